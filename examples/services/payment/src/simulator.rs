//! How the simulated provider behaves, and what is in its books. For operators and tests; no route of the gateway leads here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chassis::{Body, Failure, FailureBody};
use serde::Serialize;
use sqlx::Row;
use utoipa::ToSchema;

use crate::provider::{Behaviour, Provider};

/// What is in the provider's books.
#[derive(Serialize, ToSchema)]
pub(crate) struct Books {
    /// Charges that stand.
    charges: i64,
    /// Orders that were charged.
    orders: i64,
    /// Orders that were charged more than once.
    doubled: i64,
    /// What was taken, without what was given back.
    cents: i64,
}

/// How the provider behaves.
#[utoipa::path(get, path = "/simulator", tag = "simulator", responses((status = 200, body = Behaviour)))]
pub(crate) async fn shown(State(provider): State<Arc<Provider>>) -> Json<Behaviour> {
    Json(provider.behaviour())
}

/// Makes the provider slow, or fail.
#[utoipa::path(put, path = "/simulator", tag = "simulator", request_body = Behaviour,
    responses((status = 200, body = Behaviour), (status = 400, body = FailureBody)))]
pub(crate) async fn set(
    State(provider): State<Arc<Provider>>,
    Body(behaviour): Body<Behaviour>,
) -> Result<Json<Behaviour>, Failure> {
    let shares = [behaviour.failure_rate, behaviour.lost_rate, behaviour.decline_rate];
    if behaviour.delay_ms > 60_000 || shares.iter().any(|share| !(0.0..=1.0).contains(share)) {
        return Err(Failure::invalid("delay_ms goes to 60000, and rates from 0 to 1"));
    }
    provider.behave(behaviour);
    tracing::warn!(?behaviour, "the provider behaves otherwise");
    Ok(Json(behaviour))
}

/// What the provider has charged.
#[utoipa::path(get, path = "/simulator/books", tag = "simulator", responses((status = 200, body = Books)))]
pub(crate) async fn books(State(provider): State<Arc<Provider>>) -> Result<Json<Books>, Failure> {
    let sums = "SELECT CAST(COUNT(*) AS BIGINT) AS charges, CAST(COUNT(DISTINCT order_id) AS BIGINT) AS orders, \
                CAST(COALESCE(SUM(amount_cents - refunded_cents), 0) AS BIGINT) AS cents \
                FROM provider_charge WHERE status = 'charged'";
    let row = sqlx::query(sums).fetch_one(provider.books().pool()).await?;
    let doubled = "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT order_id FROM provider_charge \
                   WHERE status = 'charged' GROUP BY order_id HAVING COUNT(*) > 1) AS twice";
    let doubled = sqlx::query_scalar(doubled).fetch_one(provider.books().pool()).await?;
    let (charges, orders, cents) = (row.try_get("charges")?, row.try_get("orders")?, row.try_get("cents")?);
    Ok(Json(Books { charges, orders, doubled, cents }))
}
