//! `/api/shipments`: what was sent. A shipment is made with its order, in the same transaction.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Failure, FailureBody, Params, Part, now_ms};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::told::{Items, time};
use crate::{Shop, notifications};

/// A parcel.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Shipment {
    id: String,
    order_id: String,
    user_id: String,
    status: String,
    tracking: String,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    created_at: i64,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    updated_at: i64,
}

/// What sending costs.
#[derive(Debug, Serialize, ToSchema)]
struct Quote {
    country: String,
    items: u32,
    price_cents: i64,
    currency: String,
    days: u32,
}

/// Country, cents for the parcel, cents for each item in it, days.
const RATES: [(&str, i64, i64, u32); 5] =
    [("AT", 390, 20, 1), ("CH", 1290, 60, 4), ("DE", 490, 30, 2), ("FR", 890, 40, 3), ("IT", 890, 40, 3)];

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfOrder {
    order_id: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Parcel {
    /// Two letters.
    country: String,
    /// How many things are in it.
    items: u32,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new()
        .routes(routes!(of_order))
        .routes(routes!(quote))
        .routes(routes!(one))
        .routes(routes!(dispatch))
        .routes(routes!(deliver))
}

/// The shipments of an order.
#[utoipa::path(get, path = "/api/shipments", tag = "shipments", params(OfOrder),
    responses((status = 200, body = Items<Shipment>), (status = 401, body = FailureBody)))]
async fn of_order(
    State(shop): State<Shop>,
    caller: Caller,
    Params(of): Params<OfOrder>,
) -> Result<Json<Items<Shipment>>, Failure> {
    let query = "SELECT * FROM shipments WHERE order_id = $1 ORDER BY id LIMIT 100";
    let mut all: Vec<Shipment> =
        sqlx::query_as(query).bind(of.order_id).fetch_all(shop.database.pool()).await?;
    all.retain(|shipment| shipment.user_id == caller.id || caller.is("staff"));
    Ok(Json(Items::new(all)))
}

/// What sending would cost.
#[utoipa::path(get, path = "/api/shipments/quote", tag = "shipments", params(Parcel),
    responses((status = 200, body = Quote), (status = 400, body = FailureBody), (status = 404, body = FailureBody)))]
async fn quote(Params(parcel): Params<Parcel>) -> Result<Json<Quote>, Failure> {
    if !(1..=1000).contains(&parcel.items) {
        return Err(Failure::invalid("a parcel has 1 to 1000 items")
            .with(serde_json::json!({ "items": "1 to 1000" })));
    }
    let country = parcel.country.to_uppercase();
    let rate = RATES.iter().find(|(name, ..)| *name == country);
    let (_, parcel_cents, item_cents, days) = rate.ok_or_else(|| Failure::not_found("country for us"))?;
    let price_cents = parcel_cents + item_cents * i64::from(parcel.items);
    Ok(Json(Quote { country, items: parcel.items, price_cents, currency: "EUR".to_owned(), days: *days }))
}

/// One shipment.
#[utoipa::path(get, path = "/api/shipments/{id}", tag = "shipments", params(("id" = String, Path)),
    responses((status = 200, body = Shipment), (status = 401, body = FailureBody), (status = 404, body = FailureBody)))]
async fn one(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Shipment>, Failure> {
    let shipment = of_id(&shop, &id).await?;
    if shipment.user_id != caller.id && !caller.is("staff") {
        return Err(Failure::not_found("shipment"));
    }
    Ok(Json(shipment))
}

/// It has left the house; for staff.
#[utoipa::path(post, path = "/api/shipments/{id}/dispatch", tag = "shipments", params(("id" = String, Path)),
    responses((status = 200, body = Shipment), (status = 401, body = FailureBody), (status = 403, body = FailureBody),
        (status = 404, body = FailureBody), (status = 409, body = FailureBody, description = "it is not in the house")))]
async fn dispatch(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Shipment>, Failure> {
    caller.must_be("staff")?;
    moved(&shop, &id, "created", "dispatched").await
}

/// It has arrived; for staff.
#[utoipa::path(post, path = "/api/shipments/{id}/deliver", tag = "shipments", params(("id" = String, Path)),
    responses((status = 200, body = Shipment), (status = 401, body = FailureBody), (status = 403, body = FailureBody),
        (status = 404, body = FailureBody), (status = 409, body = FailureBody, description = "it is not on its way")))]
async fn deliver(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Shipment>, Failure> {
    caller.must_be("staff")?;
    moved(&shop, &id, "dispatched", "delivered").await
}

async fn moved(shop: &Shop, id: &str, from: &str, to: &str) -> Result<Json<Shipment>, Failure> {
    let mut write = shop.database.write().await?;
    let query = "UPDATE shipments SET status = $1, updated_at = $2 WHERE id = $3 AND status = $4";
    let moved = sqlx::query(query).bind(to).bind(now_ms()).bind(id).bind(from).execute(&mut *write).await?;
    if moved.rows_affected() == 0 {
        drop(write);
        let is = of_id(shop, id).await?.status;
        return Err(Failure::conflict("illegal_move", format!("it is {is} and not {from}")));
    }
    let (user, order): (String, String) =
        sqlx::query_as("SELECT user_id, order_id FROM shipments WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *write)
            .await?;
    notifications::tell(&mut write, &user, &format!("shipment.{to}"), Some(&order)).await?;
    write.commit().await?;
    Ok(Json(of_id(shop, id).await?))
}

async fn of_id(shop: &Shop, id: &str) -> Result<Shipment, Failure> {
    let query = "SELECT * FROM shipments WHERE id = $1";
    let found = sqlx::query_as(query).bind(id).fetch_optional(shop.database.pool()).await?;
    found.ok_or_else(|| Failure::not_found("shipment"))
}
