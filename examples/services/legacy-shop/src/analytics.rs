//! `/api/analytics`: figures for staff, reckoned from everybody's tables while the shop sells from them.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Failure, FailureBody, Params, now_ms, rfc3339};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::told::Items;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What was sold on a day.
#[derive(Debug, Serialize, ToSchema)]
struct Day {
    day: String,
    orders: i64,
    revenue_cents: i64,
}

/// What was sold of a product.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Sold {
    product_id: String,
    quantity: i64,
    revenue_cents: i64,
}

/// What became of orders.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Funnel {
    placed: i64,
    delayed: i64,
    completed: i64,
    rejected: i64,
    cancelled: i64,
}

/// All there is, counted.
#[derive(Debug, FromRow, Serialize, ToSchema)]
struct Totals {
    orders: i64,
    revenue_cents: i64,
    refunded_cents: i64,
    users: i64,
    reviews: i64,
    shipments: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Span {
    /// How many days back, 365 at most; 30 unless told.
    days: Option<u32>,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new()
        .routes(routes!(sales))
        .routes(routes!(products))
        .routes(routes!(funnel))
        .routes(routes!(totals))
}

/// What was sold, day by day.
#[utoipa::path(get, path = "/api/analytics/sales", tag = "analytics", params(Span),
    responses((status = 200, body = Items<Day>), (status = 401, body = FailureBody), (status = 403, body = FailureBody)))]
async fn sales(
    State(shop): State<Shop>,
    caller: Caller,
    Params(span): Params<Span>,
) -> Result<Json<Items<Day>>, Failure> {
    caller.must_be("staff")?;
    let days = i64::from(span.days.unwrap_or(30).clamp(1, 365));
    let query = "SELECT created_at / 86400000, CAST(COUNT(*) AS BIGINT), CAST(SUM(total_cents) AS BIGINT) FROM orders \
                 WHERE status = 'completed' AND created_at >= $1 GROUP BY created_at / 86400000 ORDER BY 1";
    let rows: Vec<(i64, i64, i64)> =
        sqlx::query_as(query).bind(now_ms() - days * DAY_MS).fetch_all(shop.database.pool()).await?;
    let told = rows.into_iter().map(|(day, orders, revenue_cents)| {
        let day = rfc3339(day * DAY_MS).chars().take("2026-11-21".len()).collect();
        Day { day, orders, revenue_cents }
    });
    Ok(Json(Items::new(told.collect())))
}

/// What sells best.
#[utoipa::path(get, path = "/api/analytics/products", tag = "analytics",
    responses((status = 200, body = Items<Sold>), (status = 401, body = FailureBody), (status = 403, body = FailureBody)))]
async fn products(State(shop): State<Shop>, caller: Caller) -> Result<Json<Items<Sold>>, Failure> {
    caller.must_be("staff")?;
    let query = "SELECT i.product_id, CAST(SUM(i.quantity) AS BIGINT) AS quantity, \
                 CAST(SUM(i.quantity * i.unit_cents) AS BIGINT) AS revenue_cents \
                 FROM order_items i JOIN orders o ON o.id = i.order_id WHERE o.status = 'completed' \
                 GROUP BY i.product_id ORDER BY 3 DESC, 1 LIMIT 50";
    Ok(Json(Items::new(sqlx::query_as(query).fetch_all(shop.database.pool()).await?)))
}

/// What became of orders. None is ever delayed here: there is nobody to wait for.
#[utoipa::path(get, path = "/api/analytics/funnel", tag = "analytics",
    responses((status = 200, body = Funnel), (status = 401, body = FailureBody), (status = 403, body = FailureBody)))]
async fn funnel(State(shop): State<Shop>, caller: Caller) -> Result<Json<Funnel>, Failure> {
    caller.must_be("staff")?;
    let query = "SELECT CAST(COUNT(*) AS BIGINT) AS placed, CAST(0 AS BIGINT) AS delayed, \
                 CAST(COALESCE(SUM(CASE WHEN status = 'completed' THEN 1 ELSE 0 END), 0) AS BIGINT) AS completed, \
                 CAST(COALESCE(SUM(CASE WHEN status = 'rejected' THEN 1 ELSE 0 END), 0) AS BIGINT) AS rejected, \
                 CAST(COALESCE(SUM(CASE WHEN status = 'cancelled' THEN 1 ELSE 0 END), 0) AS BIGINT) AS cancelled \
                 FROM orders";
    Ok(Json(sqlx::query_as(query).fetch_one(shop.database.pool()).await?))
}

/// All there is, counted.
#[utoipa::path(get, path = "/api/analytics/totals", tag = "analytics",
    responses((status = 200, body = Totals), (status = 401, body = FailureBody), (status = 403, body = FailureBody)))]
async fn totals(State(shop): State<Shop>, caller: Caller) -> Result<Json<Totals>, Failure> {
    caller.must_be("staff")?;
    let query = "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM orders) AS orders, \
                 (SELECT CAST(COALESCE(SUM(amount_cents), 0) AS BIGINT) FROM payments) AS revenue_cents, \
                 (SELECT CAST(COALESCE(SUM(refunded_cents), 0) AS BIGINT) FROM payments) AS refunded_cents, \
                 (SELECT CAST(COUNT(*) AS BIGINT) FROM users) AS users, \
                 (SELECT CAST(COUNT(*) AS BIGINT) FROM reviews) AS reviews, \
                 (SELECT CAST(COUNT(*) AS BIGINT) FROM shipments) AS shipments";
    Ok(Json(sqlx::query_as(query).fetch_one(shop.database.pool()).await?))
}
