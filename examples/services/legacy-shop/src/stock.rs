//! `/api/inventory/{product}`: what is on the shelf. Nothing is reserved here: an order takes it at once.

use axum::Json;
use axum::extract::State;
use chassis::{Body, Caller, Database, Failure, FailureBody, Part};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;

/// What there is of a product.
#[derive(Debug, Serialize, ToSchema)]
struct Stock {
    product_id: String,
    on_hand: i64,
    reserved: i64,
    available: i64,
}

#[derive(Deserialize, ToSchema)]
struct Counted {
    on_hand: i64,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(one, count))
}

/// What there is of a product.
#[utoipa::path(get, path = "/api/inventory/{product}", tag = "inventory", params(("product" = String, Path)),
    responses((status = 200, body = Stock), (status = 404, body = FailureBody)))]
async fn one(State(shop): State<Shop>, Part(product): Part<String>) -> Result<Json<Stock>, Failure> {
    let on_hand = on_hand(&shop.database, &product).await?.ok_or_else(|| Failure::not_found("product"))?;
    Ok(Json(Stock { product_id: product, on_hand, reserved: 0, available: on_hand }))
}

/// What was counted in the storehouse, for staff.
#[utoipa::path(put, path = "/api/inventory/{product}", tag = "inventory", request_body = Counted,
    params(("product" = String, Path)),
    responses((status = 200, body = Stock), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 403, body = FailureBody), (status = 404, body = FailureBody)))]
async fn count(
    State(shop): State<Shop>,
    caller: Caller,
    Part(product): Part<String>,
    Body(counted): Body<Counted>,
) -> Result<Json<Stock>, Failure> {
    caller.must_be("staff")?;
    let on_hand = counted.on_hand;
    if !(0..=1_000_000_000).contains(&on_hand) {
        let details = serde_json::json!({ "on_hand": "0 to 1000000000" });
        return Err(Failure::invalid("nobody can have so many").with(details));
    }
    let mut write = shop.database.write().await?;
    let query = "UPDATE stock SET on_hand = $1 WHERE product_id = $2";
    let counted = sqlx::query(query).bind(on_hand).bind(&product).execute(&mut *write).await?;
    if counted.rows_affected() == 0 {
        return Err(Failure::not_found("product"));
    }
    write.commit().await?;
    Ok(Json(Stock { product_id: product, on_hand, reserved: 0, available: on_hand }))
}

/// How many there are, if there is such a product.
pub(crate) async fn on_hand(database: &Database, product: &str) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT on_hand FROM stock WHERE product_id = $1")
        .bind(product)
        .fetch_optional(database.pool())
        .await
}
