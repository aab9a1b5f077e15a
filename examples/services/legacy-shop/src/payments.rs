//! `/api/payments`: what was paid. A payment is made with its order; the provider gets the list of the day at night.

use axum::Json;
use axum::extract::State;
use chassis::{Body, Caller, Failure, FailureBody, Params, Part};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::told::{Items, time};

/// A payment.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Payment {
    id: String,
    order_id: String,
    user_id: String,
    status: String,
    amount_cents: i64,
    refunded_cents: i64,
    currency: String,
    method: String,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    created_at: i64,
}

#[derive(Deserialize, ToSchema)]
struct NewRefund {
    /// All that is left, unless told.
    amount_cents: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfOrder {
    order_id: String,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(of_order)).routes(routes!(one)).routes(routes!(refund))
}

/// The payments of an order.
#[utoipa::path(get, path = "/api/payments", tag = "payments", params(OfOrder),
    responses((status = 200, body = Items<Payment>), (status = 401, body = FailureBody)))]
async fn of_order(
    State(shop): State<Shop>,
    caller: Caller,
    Params(of): Params<OfOrder>,
) -> Result<Json<Items<Payment>>, Failure> {
    let query = "SELECT * FROM payments WHERE order_id = $1 ORDER BY id LIMIT 100";
    let mut all: Vec<Payment> =
        sqlx::query_as(query).bind(of.order_id).fetch_all(shop.database.pool()).await?;
    all.retain(|payment| payment.user_id == caller.id || caller.is("staff"));
    Ok(Json(Items::new(all)))
}

/// One payment.
#[utoipa::path(get, path = "/api/payments/{id}", tag = "payments", params(("id" = String, Path)),
    responses((status = 200, body = Payment), (status = 401, body = FailureBody), (status = 404, body = FailureBody)))]
async fn one(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Payment>, Failure> {
    let payment = of_id(&shop, &id).await?;
    if payment.user_id != caller.id && !caller.is("staff") {
        return Err(Failure::not_found("payment"));
    }
    Ok(Json(payment))
}

/// Gives money back; for staff.
#[utoipa::path(post, path = "/api/payments/{id}/refund", tag = "payments", request_body = NewRefund,
    params(("id" = String, Path)),
    responses((status = 200, body = Payment), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 403, body = FailureBody), (status = 404, body = FailureBody),
        (status = 409, body = FailureBody, description = "more than is left")))]
async fn refund(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
    Body(new): Body<NewRefund>,
) -> Result<Json<Payment>, Failure> {
    caller.must_be("staff")?;
    if new.amount_cents.is_some_and(|cents| cents < 1) {
        let details = serde_json::json!({ "amount_cents": "1 or more" });
        return Err(Failure::invalid("nothing is given back").with(details));
    }
    let payment = of_id(&shop, &id).await?;
    let cents = new.amount_cents.unwrap_or(payment.amount_cents - payment.refunded_cents);
    let mut write = shop.database.write().await?;
    let query = "UPDATE payments SET refunded_cents = refunded_cents + $1, \
                 status = CASE WHEN refunded_cents + $1 = amount_cents THEN 'refunded' ELSE status END \
                 WHERE id = $2 AND $1 > 0 AND refunded_cents + $1 <= amount_cents";
    let given = sqlx::query(query).bind(cents).bind(&id).execute(&mut *write).await?;
    if given.rows_affected() == 0 {
        return Err(Failure::conflict("refund_too_large", "this is more than is left of it"));
    }
    write.commit().await?;
    Ok(Json(of_id(&shop, &id).await?))
}

async fn of_id(shop: &Shop, id: &str) -> Result<Payment, Failure> {
    let query = "SELECT * FROM payments WHERE id = $1";
    let found = sqlx::query_as(query).bind(id).fetch_optional(shop.database.pool()).await?;
    found.ok_or_else(|| Failure::not_found("payment"))
}
