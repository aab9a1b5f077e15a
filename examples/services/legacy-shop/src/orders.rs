//! `/api/orders`: ordering (see `checkout.rs`), what was ordered, calling it off.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use chassis::{Body, Caller, Database, Failure, FailureBody, Page, Params, Part, now_ms};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, FromRow};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::basket::{Basket, Method};
use crate::checkout::{history, place};
use crate::refusal::explain;
use crate::told::{Items, Listing, local, placeholders, time};
use crate::{Shop, notifications};

/// An order.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct Order {
    pub(crate) id: String,
    user_id: String,
    pub(crate) status: String,
    #[sqlx(skip)]
    pub(crate) items: Vec<Item>,
    pub(crate) total_cents: i64,
    currency: String,
    reason: Option<String>,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    created_at: i64,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    updated_at: i64,
    /// The time of the office, without a zone: `21.11.2026 11:42:07`.
    #[sqlx(skip)]
    pub(crate) placed_on: String,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    pub(crate) product_id: String,
    pub(crate) quantity: i64,
    unit_cents: i64,
}

/// What happened to an order.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Happened {
    position: i64,
    kind: String,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    at: i64,
}

#[derive(Deserialize, ToSchema)]
struct Wanted {
    product_id: String,
    quantity: i64,
}

#[derive(Deserialize, ToSchema)]
struct NewOrder {
    items: Vec<Wanted>,
    payment: Method,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new()
        .routes(routes!(list, order))
        .routes(routes!(one))
        .routes(routes!(events))
        .routes(routes!(cancel))
}

/// Orders. The same `Idempotency-Key` again is the same order again.
#[utoipa::path(post, path = "/api/orders", tag = "orders", request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "names the order")),
    responses((status = 201, body = Order), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 402, body = FailureBody, description = "the payment is declined"),
        (status = 409, body = FailureBody, description = "there is not enough in stock"),
        (status = 422, body = FailureBody, description = "the key was used for another order")))]
async fn order(
    State(shop): State<Shop>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewOrder>,
) -> Result<impl IntoResponse, Failure> {
    let key = headers.get("idempotency-key").map(HeaderValue::to_str).transpose();
    let key = key.ok().filter(|key| key.is_none_or(|key| (1..=200).contains(&key.len())));
    let key = key.ok_or_else(|| Failure::invalid("an Idempotency-Key has 1 to 200 letters"))?;
    new.payment.check()?;
    let basket = Basket::of(new.items.into_iter().map(|wanted| (wanted.product_id, wanted.quantity)))?;
    let mut write = shop.database.write().await?;
    let id = match place(&mut write, &caller.id, &basket, &new.payment, key).await {
        Ok(id) => {
            write.commit().await?;
            id
        }
        Err(refused) => {
            drop(write);
            explain(&shop.database, &caller.id, &basket, refused).await?
        }
    };
    let order = of_id(&shop.database, &id).await?;
    let location = [(header::LOCATION, format!("/api/orders/{id}"))];
    Ok((StatusCode::CREATED, location, Json(order)))
}

/// The caller's orders, the latest first.
#[utoipa::path(get, path = "/api/orders", tag = "orders", params(Page),
    responses((status = 200, body = Listing<Order>), (status = 401, body = FailureBody)))]
async fn list(
    State(shop): State<Shop>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Listing<Order>>, Failure> {
    Ok(Json(of_user(&shop.database, &caller.id, page).await?))
}

/// One order.
#[utoipa::path(get, path = "/api/orders/{id}", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, body = Order), (status = 401, body = FailureBody), (status = 404, body = FailureBody)))]
async fn one(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Order>, Failure> {
    Ok(Json(seen_by(&shop, &caller, &id).await?))
}

/// What happened to an order.
#[utoipa::path(get, path = "/api/orders/{id}/events", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, body = Items<Happened>), (status = 401, body = FailureBody),
        (status = 404, body = FailureBody)))]
async fn events(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Items<Happened>>, Failure> {
    seen_by(&shop, &caller, &id).await?;
    let query = "SELECT position, kind, at FROM order_history WHERE order_id = $1 ORDER BY position";
    Ok(Json(Items::new(sqlx::query_as(query).bind(&id).fetch_all(shop.database.pool()).await?)))
}

/// Calls an order off, while it is in the house: the stock is put back, the money given back.
#[utoipa::path(post, path = "/api/orders/{id}/cancel", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, body = Order), (status = 401, body = FailureBody), (status = 404, body = FailureBody),
        (status = 409, body = FailureBody, description = "it has left the house, or is over")))]
async fn cancel(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<Order>, Failure> {
    let order = seen_by(&shop, &caller, &id).await?;
    let (mut write, now) = (shop.database.write().await?, now_ms());
    // The shipment decides: whoever moves it first, the driver or the shopper, has won.
    let query = "UPDATE shipments SET status = 'cancelled', updated_at = $1 WHERE order_id = $2 AND status = 'created'";
    let stopped = sqlx::query(query).bind(now).bind(&id).execute(&mut *write).await?;
    if stopped.rows_affected() == 0 {
        return Err(Failure::conflict("not_cancellable", "it has left the house, or is over"));
    }
    let query = "UPDATE orders SET status = 'cancelled', updated_at = $1 WHERE id = $2";
    sqlx::query(query).bind(now).bind(&id).execute(&mut *write).await?;
    let query = "UPDATE payments SET status = 'refunded', refunded_cents = amount_cents WHERE order_id = $1";
    sqlx::query(query).bind(&id).execute(&mut *write).await?;
    let mut items = order.items;
    // The order in which checkouts lock them. The database's own order of texts depends on its locale.
    items.sort_by(|one, other| one.product_id.cmp(&other.product_id));
    for item in &items {
        let query = "UPDATE stock SET on_hand = on_hand + $1 WHERE product_id = $2";
        sqlx::query(query).bind(item.quantity).bind(&item.product_id).execute(&mut *write).await?;
    }
    history(&mut write, &id, 3, "order.cancelled").await?;
    notifications::tell(&mut write, &order.user_id, "order.cancelled", Some(&id)).await?;
    write.commit().await?;
    Ok(Json(of_id(&shop.database, &id).await?))
}

/// An order of the caller's own, or any for staff; nobody learns of the orders of others.
async fn seen_by(shop: &Shop, caller: &Caller, id: &str) -> Result<Order, Failure> {
    let order = of_id(&shop.database, id).await?;
    if order.user_id == caller.id || caller.is("staff") {
        Ok(order)
    } else {
        Err(Failure::not_found("order"))
    }
}

async fn of_id(database: &Database, id: &str) -> Result<Order, Failure> {
    let rows =
        sqlx::query_as("SELECT * FROM orders WHERE id = $1").bind(id).fetch_all(database.pool()).await?;
    whole(database, rows).await?.pop().ok_or_else(|| Failure::not_found("order"))
}

/// A page of a user's orders, the latest first.
pub(crate) async fn of_user(
    database: &Database,
    user_id: &str,
    page: Page,
) -> Result<Listing<Order>, sqlx::Error> {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM orders WHERE user_id = $1";
    let total = sqlx::query_scalar(count).bind(user_id).fetch_one(database.pool()).await?;
    let rows = "SELECT * FROM orders WHERE user_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    let rows = sqlx::query_as(rows).bind(user_id).bind(page.size()).bind(page.offset());
    Ok(Listing::new(whole(database, rows.fetch_all(database.pool()).await?).await?, page, total))
}

async fn whole(database: &Database, mut orders: Vec<Order>) -> Result<Vec<Order>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(orders);
    }
    let sql = format!(
        "SELECT order_id, product_id, quantity, unit_cents FROM order_items WHERE order_id IN ({}) ORDER BY product_id",
        placeholders(orders.len())
    );
    let mut query = sqlx::query_as::<_, (String, String, i64, i64)>(AssertSqlSafe(sql));
    for order in &orders {
        query = query.bind(&order.id);
    }
    let mut items: HashMap<String, Vec<Item>> = HashMap::new();
    for (order, product_id, quantity, unit_cents) in query.fetch_all(database.pool()).await? {
        items.entry(order).or_default().push(Item { product_id, quantity, unit_cents });
    }
    for order in &mut orders {
        order.items = items.remove(&order.id).unwrap_or_default();
        order.placed_on = local(order.created_at);
    }
    Ok(orders)
}
