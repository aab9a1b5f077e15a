//! The products in the database. What belongs together is written together: the product, the words that lead to it, and
//! the revision by which lists are known.

use axum::http::StatusCode;
use chassis::{Database, Failure, Page, Write, now_ms};
use sqlx::{AssertSqlSafe, Row};
use uuid::Uuid;

use crate::draft::Draft;
use crate::product::{Category, Product};
use crate::search::{self, Query};
use crate::versions;

/// More categories than this is a list nobody reads.
const CATEGORIES_MAX: i64 = 200;

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct Catalogue {
    pub(crate) database: Database,
}

impl Catalogue {
    /// How often anything has changed.
    pub(crate) async fn revision(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT revision FROM catalogue WHERE id = 1")
            .fetch_one(self.database.pool())
            .await
    }

    /// One product.
    pub(crate) async fn one(&self, id: &str) -> Result<Product, Failure> {
        let row = sqlx::query("SELECT * FROM product WHERE id = $1")
            .bind(id)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(Product::read(&row.ok_or_else(|| Failure::not_found("product"))?)?)
    }

    /// These products, in the order they were asked for, as far as they are there.
    #[tracing::instrument(skip_all, name = "product batch", fields(products = ids.len()))]
    pub(crate) async fn these(&self, ids: &[&str]) -> Result<Vec<Product>, sqlx::Error> {
        let places = (1..=ids.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let mut select = sqlx::query(AssertSqlSafe(format!("SELECT * FROM product WHERE id IN ({places})")));
        for id in ids {
            select = select.bind(*id);
        }
        let rows = select.fetch_all(self.database.pool()).await?;
        let mut products = rows.iter().map(Product::read).collect::<Result<Vec<_>, _>>()?;
        products.sort_by_key(|product| ids.iter().position(|id| *id == product.id));
        Ok(products)
    }

    /// A page of all, or of a category, and how many there are.
    pub(crate) async fn list(
        &self,
        category: Option<&str>,
        page: Page,
    ) -> Result<(Vec<Product>, i64), sqlx::Error> {
        let (rows, total) = match category {
            None => (
                sqlx::query("SELECT * FROM product ORDER BY id LIMIT $1 OFFSET $2"),
                sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM product"),
            ),
            Some(category) => (
                sqlx::query("SELECT * FROM product WHERE category = $1 ORDER BY id LIMIT $2 OFFSET $3")
                    .bind(category),
                sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM product WHERE category = $1")
                    .bind(category),
            ),
        };
        let rows = rows.bind(page.size()).bind(page.offset()).fetch_all(self.database.pool()).await?;
        let total = total.fetch_one(self.database.pool()).await?;
        Ok((rows.iter().map(Product::read).collect::<Result<_, _>>()?, total))
    }

    /// The categories there are, by name.
    pub(crate) async fn categories(&self) -> Result<Vec<Category>, sqlx::Error> {
        let select = "SELECT category, CAST(COUNT(*) AS BIGINT) AS products FROM product \
                      GROUP BY category ORDER BY category LIMIT $1";
        let rows = sqlx::query(select).bind(CATEGORIES_MAX).fetch_all(self.database.pool()).await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(Category { name: row.try_get("category")?, products: row.try_get("products")? })
        };
        rows.iter().map(read).collect()
    }

    /// What is found, the best first.
    pub(crate) async fn search(&self, query: &Query, page: Page) -> Result<Vec<Product>, sqlx::Error> {
        search::find(&self.database, query, page).await
    }

    /// Adds a product.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn add(&self, draft: &Draft) -> Result<Product, Failure> {
        let id = Uuid::now_v7().to_string();
        let mut write = self.database.write().await?;
        let product = insert(&mut write, &id, draft).await?.ok_or_else(|| Failure::not_found("product"))?;
        revise(&mut write).await?;
        write.commit().await?;
        Ok(product)
    }

    /// Changes a product, if it is still one of the versions the caller has seen; else 412.
    #[tracing::instrument(skip_all, fields(product.id = id))]
    pub(crate) async fn change(&self, id: &str, seen: &[String], draft: &Draft) -> Result<Product, Failure> {
        let mut write = self.database.write().await?;
        let version: Option<i64> = sqlx::query_scalar("SELECT version FROM product WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut *write)
            .await?;
        let version = version.ok_or_else(|| Failure::not_found("product"))?;
        if !versions::is_among(seen, version) {
            return Err(changed_meanwhile());
        }
        // On Postgres somebody else may change it between the two statements: the version is compared again.
        let update = "UPDATE product SET name = $3, description = $4, category = $5, price_cents = $6, \
                      currency = $7, tags = $8, updated_at = $9, version = version + 1 \
                      WHERE id = $1 AND version = $2 RETURNING *";
        let row = sqlx::query(update)
            .bind(id)
            .bind(version)
            .bind(&draft.name)
            .bind(&draft.description)
            .bind(&draft.category)
            .bind(draft.price_cents)
            .bind(&draft.currency)
            .bind(draft.tags.join(" "))
            .bind(now_ms())
            .fetch_optional(&mut *write)
            .await?;
        let product = Product::read(&row.ok_or_else(changed_meanwhile)?)?;
        search::forget(&mut write, id).await?;
        search::put(&mut write, id, draft).await?;
        revise(&mut write).await?;
        write.commit().await?;
        Ok(product)
    }

    /// Is there nothing yet?
    pub(crate) async fn is_empty(&self) -> Result<bool, sqlx::Error> {
        let some = sqlx::query("SELECT id FROM product LIMIT 1").fetch_optional(self.database.pool()).await?;
        Ok(some.is_none())
    }

    /// Adds those that are not there; says how many. Replicas that start together do it once.
    pub(crate) async fn fill(&self, products: &[(String, Draft)]) -> Result<usize, sqlx::Error> {
        let mut write = self.database.write().await?;
        let mut made = 0;
        for (id, draft) in products {
            made += usize::from(insert(&mut write, id, draft).await?.is_some());
        }
        revise(&mut write).await?;
        write.commit().await?;
        Ok(made)
    }
}

/// `None` if there is a product of this id.
async fn insert(write: &mut Write, id: &str, draft: &Draft) -> Result<Option<Product>, sqlx::Error> {
    let insert = "INSERT INTO product (id, name, description, category, price_cents, currency, tags, version, \
                  updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8) ON CONFLICT (id) DO NOTHING RETURNING *";
    let row = sqlx::query(insert)
        .bind(id)
        .bind(&draft.name)
        .bind(&draft.description)
        .bind(&draft.category)
        .bind(draft.price_cents)
        .bind(&draft.currency)
        .bind(draft.tags.join(" "))
        .bind(now_ms())
        .fetch_optional(&mut **write)
        .await?;
    let Some(row) = row else { return Ok(None) };
    search::put(write, id, draft).await?;
    Product::read(&row).map(Some)
}

async fn revise(write: &mut Write) -> Result<(), sqlx::Error> {
    let update = "UPDATE catalogue SET revision = revision + 1 WHERE id = 1";
    sqlx::query(update).execute(&mut **write).await.map(|_| ())
}

fn changed_meanwhile() -> Failure {
    let why = "somebody has changed it since; get it again and decide anew";
    Failure::new(StatusCode::PRECONDITION_FAILED, "version_changed", why)
}
