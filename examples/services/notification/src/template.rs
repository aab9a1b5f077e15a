//! The templates in the database: an admin writes a new version, and it is used from the next event on.

use chassis::{Database, Failure, now_ms, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};
use utoipa::ToSchema;

use crate::stage::values_of;
use crate::words::{Values, Words};

/// So many versions are kept.
const VERSIONS_KEPT: i64 = 50;

/// What there is to say.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewTemplate {
    /// One line.
    #[schema(max_length = 150)]
    subject: String,
    /// For mail.
    #[schema(max_length = 4000)]
    text: String,
    /// For SMS and push.
    #[schema(max_length = 150)]
    short: String,
}

/// What is said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Template {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) short: String,
    /// What may stand between `{{` and `}}`.
    values: Vec<String>,
    updated_by: String,
    updated_at: String,
}

impl NewTemplate {
    /// 400 with the field, the line and the column of the first mistake.
    fn check(&self, known: &[&str]) -> Result<(), Failure> {
        for (field, text, max) in
            [("subject", &self.subject, 150), ("text", &self.text, 4000), ("short", &self.short, 150)]
        {
            let refused = |line, column, why: &str| {
                let message = format!("{field}, line {line}, column {column}: {why}");
                Failure::new(axum::http::StatusCode::BAD_REQUEST, "bad_template", message)
                    .with(json!({ "field": field, "line": line, "column": column, "why": why }))
            };
            if text.trim().is_empty() || text.chars().count() > max {
                return Err(refused(1, 1, &format!("this is 1 to {max} letters long")));
            }
            if text.contains('\0') || field == "subject" && text.contains(['\n', '\r']) {
                return Err(refused(1, 1, "this is one line of text"));
            }
            if let Err(mistake) = Words::read(text, known) {
                return Err(refused(mistake.line, mistake.column, &mistake.why));
            }
        }
        Ok(())
    }
}

impl Template {
    /// The one that is used, or this version of it; 404.
    pub(crate) async fn find<'e>(
        from: impl Executor<'e, Database = Any>,
        name: &str,
        version: Option<i64>,
    ) -> Result<Self, Failure> {
        let newest = "SELECT * FROM template WHERE name = $1 AND version <= $2 AND version >= $3 \
                      ORDER BY version DESC LIMIT 1";
        let row = sqlx::query(newest)
            .bind(name)
            .bind(version.unwrap_or(i64::MAX))
            .bind(version.unwrap_or(0))
            .fetch_optional(from)
            .await?;
        Ok(Self::read(&row.ok_or_else(|| Failure::not_found("template"))?)?)
    }

    /// Writes a new version of it. 404 if nobody would use it, 409 if another admin was faster.
    pub(crate) async fn put(
        database: &Database,
        name: &str,
        by: &str,
        new: &NewTemplate,
    ) -> Result<Self, Failure> {
        new.check(values_of(name).ok_or_else(|| Failure::not_found("template"))?)?;
        let mut write = database.write().await?;
        let insert = "INSERT INTO template (name, version, subject, text, short, updated_by, updated_at) \
                      SELECT $1, COALESCE(MAX(version), 0) + 1, $2, $3, $4, $5, $6 FROM template WHERE name = $1 \
                      ON CONFLICT (name, version) DO NOTHING RETURNING *";
        let row = sqlx::query(insert)
            .bind(name)
            .bind(&new.subject)
            .bind(&new.text)
            .bind(&new.short)
            .bind(by)
            .bind(now_ms())
            .fetch_optional(&mut *write)
            .await?;
        let row = row.ok_or_else(|| Failure::conflict("edited", "somebody else has just edited it"))?;
        let template = Self::read(&row)?;
        sqlx::query("DELETE FROM template WHERE name = $1 AND version <= $2")
            .bind(name)
            .bind(template.version - VERSIONS_KEPT)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        tracing::info!(template.name, template.version, by, "a template was edited");
        Ok(template)
    }

    /// One of its texts with the values in it.
    pub(crate) fn say(&self, text: &str, values: &Values) -> Result<String, Failure> {
        let words = Words::read(text, values_of(&self.name).unwrap_or_default());
        // It was checked before it was kept, so somebody went around that: the event becomes a dead letter.
        let words = words.map_err(|mistake| {
            let message = format!("{}: {}", self.name, mistake.why);
            Failure::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "bad_template", message)
        })?;
        Ok(words.with(values))
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let name: String = row.try_get("name")?;
        Ok(Self {
            version: row.try_get("version")?,
            subject: row.try_get("subject")?,
            text: row.try_get("text")?,
            short: row.try_get("short")?,
            values: values_of(&name).unwrap_or_default().iter().map(|value| (*value).to_owned()).collect(),
            updated_by: row.try_get("updated_by")?,
            updated_at: rfc3339(row.try_get("updated_at")?),
            name,
        })
    }
}
