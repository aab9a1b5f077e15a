//! A product as it is kept and as it is told.

use chassis::rfc3339;
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

/// Something the shop sells.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price_cents: i64,
    pub(crate) currency: String,
    pub(crate) tags: Vec<String>,
    pub(crate) updated_at: String,
    /// Told by the ETag.
    #[serde(skip)]
    pub(crate) version: i64,
}

/// Products that have something in common.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Category {
    pub(crate) name: String,
    /// How many there are.
    pub(crate) products: i64,
}

impl Product {
    pub(crate) fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let tags: String = row.try_get("tags")?;
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            description: row.try_get("description")?,
            category: row.try_get("category")?,
            price_cents: row.try_get("price_cents")?,
            currency: row.try_get("currency")?,
            tags: tags.split_whitespace().map(str::to_owned).collect(),
            updated_at: rfc3339(row.try_get("updated_at")?),
            version: row.try_get("version")?,
        })
    }
}
