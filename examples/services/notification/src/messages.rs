//! What was said to whom.

use chassis::{Database, Failure, Page, Write, now_ms, rfc3339};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::addressee::Channel;

/// So many are kept of a user.
const KEPT: i64 = 200;

/// Something that was said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notification {
    id: String,
    channel: String,
    template: String,
    subject: String,
    text: String,
    /// The order it is about, if it is about one.
    order_id: Option<String>,
    created_at: String,
}

/// Something to be said.
pub(crate) struct Message<'m> {
    pub(crate) event_id: &'m str,
    pub(crate) channel: Channel,
    pub(crate) user_id: &'m str,
    pub(crate) template: &'m str,
    pub(crate) version: i64,
    pub(crate) recipient: &'m str,
    pub(crate) subject: &'m str,
    pub(crate) text: &'m str,
    pub(crate) order_id: Option<&'m str>,
}

impl Message<'_> {
    /// Writes it down for the sender, unless this was said of this event on this channel.
    pub(crate) async fn put(&self, write: &mut Write) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO message (id, event_id, channel, user_id, template, version, recipient, subject, \
                      text, order_id, created_at, sent_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0) \
                      ON CONFLICT (event_id, channel) DO NOTHING";
        sqlx::query(insert)
            .bind(Uuid::now_v7().to_string())
            .bind(self.event_id)
            .bind(self.channel.word())
            .bind(self.user_id)
            .bind(self.template)
            .bind(self.version)
            .bind(self.recipient)
            .bind(self.subject)
            .bind(self.text)
            .bind(self.order_id)
            .bind(now_ms())
            .execute(&mut **write)
            .await
            .map(|_| ())
    }
}

/// Forgets what was said to this user long ago.
pub(crate) async fn forget(write: &mut Write, user_id: &str) -> Result<(), sqlx::Error> {
    let old = "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE user_id = $1 AND sent_at > 0 \
               ORDER BY id DESC LIMIT 100 OFFSET $2)";
    sqlx::query(old).bind(user_id).bind(KEPT).execute(&mut **write).await.map(|_| ())
}

/// A page of what was said to this user, newest first, and how much there is.
pub(crate) async fn list(
    database: &Database,
    user_id: &str,
    page: Page,
) -> Result<(Vec<Notification>, i64), Failure> {
    let items = "SELECT * FROM message WHERE user_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    let rows = sqlx::query(items)
        .bind(user_id)
        .bind(page.size())
        .bind(page.offset())
        .fetch_all(database.pool())
        .await?;
    let total = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM message WHERE user_id = $1")
        .bind(user_id)
        .fetch_one(database.pool())
        .await?;
    Ok((rows.iter().map(Notification::read).collect::<Result<_, _>>()?, total))
}

impl Notification {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            channel: row.try_get("channel")?,
            template: row.try_get("template")?,
            subject: row.try_get("subject")?,
            text: row.try_get("text")?,
            order_id: row.try_get("order_id")?,
            created_at: rfc3339(row.try_get("created_at")?),
        })
    }
}
