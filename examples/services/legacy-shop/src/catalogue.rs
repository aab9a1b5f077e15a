//! The catalogue in the database: products, their tags, their categories. `products.rs` is the API over it; the pages, the
//! search and the orders read it too.

use std::collections::{HashMap, HashSet};

use chassis::{Database, Failure, Page};
use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow};
use utoipa::ToSchema;

use crate::told::{Listing, float, local, placeholders, time};

/// A product.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price_cents: i64,
    /// The same as a float, for clients from before there were cents.
    #[sqlx(skip)]
    price: f64,
    pub(crate) currency: String,
    /// In no order.
    #[sqlx(skip)]
    pub(crate) tags: HashSet<String>,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    updated_at: i64,
    /// The time of the office, without a zone: `21.11.2026 11:42:07`.
    #[sqlx(skip)]
    last_change: String,
}

/// How many products there are in each category.
pub(crate) async fn category_counts(database: &Database) -> Result<HashMap<String, i64>, sqlx::Error> {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("SELECT category, CAST(COUNT(*) AS BIGINT) FROM products GROUP BY category")
            .fetch_all(database.pool())
            .await?;
    Ok(counts.into_iter().collect())
}

/// A page of the catalogue, or of one category, in the order of the ids.
pub(crate) async fn shelf(
    database: &Database,
    category: Option<&str>,
    page: Page,
) -> Result<Listing<Product>, sqlx::Error> {
    // Two statements, not `category = $1 OR $1 IS NULL`: that one uses no index.
    let (count, rows) = match category {
        None => (
            "SELECT CAST(COUNT(*) AS BIGINT) FROM products WHERE '' = $1",
            "SELECT * FROM products WHERE '' = $1 ORDER BY id LIMIT $2 OFFSET $3",
        ),
        Some(_) => (
            "SELECT CAST(COUNT(*) AS BIGINT) FROM products WHERE category = $1",
            "SELECT * FROM products WHERE category = $1 ORDER BY id LIMIT $2 OFFSET $3",
        ),
    };
    let category = category.unwrap_or_default();
    let total = sqlx::query_scalar(count).bind(category).fetch_one(database.pool()).await?;
    let rows = sqlx::query_as(rows).bind(category).bind(page.size()).bind(page.offset());
    let items = whole(database, rows.fetch_all(database.pool()).await?).await?;
    Ok(Listing::new(items, page, total))
}

/// The products of these ids that are there, in the order they were asked for.
pub(crate) async fn these(database: &Database, ids: &[String]) -> Result<Vec<Product>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT * FROM products WHERE id IN ({})", placeholders(ids.len()));
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for id in ids {
        query = query.bind(id);
    }
    let mut found: Vec<Product> = query.fetch_all(database.pool()).await?;
    found.sort_by_key(|product| ids.iter().position(|id| *id == product.id));
    whole(database, found).await
}

/// The product of this id, or 404.
pub(crate) async fn of_id(database: &Database, id: &str) -> Result<Product, Failure> {
    let found = these(database, &[id.to_owned()]).await?;
    found.into_iter().next().ok_or_else(|| Failure::not_found("product"))
}

/// Rows of products, with what stands in other tables or is reckoned.
pub(crate) async fn whole(
    database: &Database,
    mut products: Vec<Product>,
) -> Result<Vec<Product>, sqlx::Error> {
    if products.is_empty() {
        return Ok(products);
    }
    let places = placeholders(products.len());
    let sql = format!("SELECT product_id, tag FROM product_tags WHERE product_id IN ({places})");
    let mut query = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql));
    for product in &products {
        query = query.bind(&product.id);
    }
    let mut tags: HashMap<String, HashSet<String>> = HashMap::new();
    for (product, tag) in query.fetch_all(database.pool()).await? {
        tags.entry(product).or_default().insert(tag);
    }
    for product in &mut products {
        product.tags = tags.remove(&product.id).unwrap_or_default();
        product.price = float(product.price_cents);
        product.last_change = local(product.updated_at);
    }
    Ok(products)
}
