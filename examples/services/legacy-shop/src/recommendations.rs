//! `/api/recommendations`: asked of the orders themselves, each time. It is right to the minute, and slower with every order.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Database, Failure, FailureBody, Params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::told::Items;

const SUGGESTED: i64 = 8;
/// Only so many of the latest orders are looked at, or the query would grow with the shop.
const ORDERS_MAX: i64 = 1000;

/// Something the shopper may like.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Suggestion {
    pub(crate) product_id: String,
    score: f64,
    reason: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Beside {
    /// To this product; without it, to the caller.
    product_id: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(suggest))
}

/// What is bought together with a product, or with what the caller has bought.
#[utoipa::path(get, path = "/api/recommendations", tag = "recommendations", params(Beside),
    responses((status = 200, body = Items<Suggestion>), (status = 401, body = FailureBody)))]
async fn suggest(
    State(shop): State<Shop>,
    caller: Option<Caller>,
    Params(beside): Params<Beside>,
) -> Result<Json<Items<Suggestion>>, Failure> {
    let items = match (beside.product_id, caller) {
        (Some(product), _) => with_product(&shop.database, &product).await?,
        (None, Some(caller)) => for_user(&shop.database, &caller.id).await?,
        (None, None) => return Err(Failure::unknown_caller()),
    };
    Ok(Json(Items::new(items)))
}

/// What is bought together with this product; best sellers while nothing is.
pub(crate) async fn with_product(database: &Database, product: &str) -> Result<Vec<Suggestion>, sqlx::Error> {
    let query = "SELECT other.product_id, CAST(COUNT(*) AS BIGINT) FROM \
                 (SELECT order_id FROM order_items WHERE product_id = $1 ORDER BY order_id DESC LIMIT $2) AS mine \
                 JOIN order_items other ON other.order_id = mine.order_id WHERE other.product_id <> $1 \
                 GROUP BY other.product_id ORDER BY 2 DESC, 1 LIMIT $3";
    let rows = sqlx::query_as(query).bind(product).bind(ORDERS_MAX).bind(SUGGESTED);
    or_best_sellers(database, rows.fetch_all(database.pool()).await?, "bought together", product).await
}

async fn for_user(database: &Database, user: &str) -> Result<Vec<Suggestion>, sqlx::Error> {
    let query = "WITH mine AS (SELECT DISTINCT i.product_id FROM \
                 (SELECT id FROM orders WHERE user_id = $1 ORDER BY id DESC LIMIT 20) AS o \
                 JOIN order_items i ON i.order_id = o.id), \
                 near AS (SELECT DISTINCT i.order_id FROM mine JOIN order_items i ON i.product_id = mine.product_id \
                 ORDER BY i.order_id DESC LIMIT $2) \
                 SELECT other.product_id, CAST(COUNT(*) AS BIGINT) FROM near \
                 JOIN order_items other ON other.order_id = near.order_id \
                 WHERE other.product_id NOT IN (SELECT product_id FROM mine) \
                 GROUP BY other.product_id ORDER BY 2 DESC, 1 LIMIT $3";
    let rows = sqlx::query_as(query).bind(user).bind(ORDERS_MAX).bind(SUGGESTED);
    or_best_sellers(database, rows.fetch_all(database.pool()).await?, "goes with what you bought", "").await
}

async fn or_best_sellers(
    database: &Database,
    found: Vec<(String, i64)>,
    reason: &str,
    without: &str,
) -> Result<Vec<Suggestion>, sqlx::Error> {
    if !found.is_empty() {
        return Ok(told(found, reason));
    }
    let query = "SELECT i.product_id, CAST(SUM(i.quantity) AS BIGINT) FROM \
                 (SELECT id FROM orders WHERE status = 'completed' ORDER BY id DESC LIMIT $1) AS o \
                 JOIN order_items i ON i.order_id = o.id WHERE i.product_id <> $2 \
                 GROUP BY i.product_id ORDER BY 2 DESC, 1 LIMIT $3";
    let rows = sqlx::query_as(query).bind(ORDERS_MAX).bind(without).bind(SUGGESTED);
    Ok(told(rows.fetch_all(database.pool()).await?, "best seller"))
}

#[allow(clippy::cast_precision_loss, reason = "counts are small")]
fn told(rows: Vec<(String, i64)>, reason: &str) -> Vec<Suggestion> {
    let reason = reason.to_owned();
    let told = |(product_id, count)| Suggestion { product_id, score: count as f64, reason: reason.clone() };
    rows.into_iter().map(told).collect()
}
