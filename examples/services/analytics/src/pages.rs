//! What staff asks of it.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Database, Failure, FailureBody, Page, Params, now_ms, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::figures::{self, Funnel, SalesOfDay, SalesOfProduct, Totals};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Serialize, ToSchema)]
struct Days {
    items: Vec<SalesOfDay>,
}

#[derive(Serialize, ToSchema)]
struct Products {
    items: Vec<SalesOfProduct>,
    page: i64,
    size: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Since {
    /// So many days, today among them: 1 to 366, 30 unless told.
    #[param(minimum = 1, maximum = 366)]
    days: Option<i64>,
}

pub(crate) fn routes(database: Database) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(sales))
        .routes(routes!(products))
        .routes(routes!(funnel))
        .routes(routes!(totals))
        .with_state(database)
}

/// What was sold, by day.
#[utoipa::path(get, path = "/api/analytics/sales", tag = "analytics", params(Since), responses(
    (status = 200, description = "the last day first; days without sales are left out", body = Days),
    (status = 400, description = "`days` is no number", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "this is for staff", body = FailureBody)))]
async fn sales(
    State(database): State<Database>,
    caller: Caller,
    Params(since): Params<Since>,
) -> Result<Json<Days>, Failure> {
    caller.must_be("staff")?;
    let days = since.days.unwrap_or(30).clamp(1, 366);
    let first = rfc3339(now_ms() - (days - 1) * DAY_MS);
    let items = figures::sales(&database, first.get(..10).unwrap_or_default()).await?;
    Ok(Json(Days { items }))
}

/// What was sold, by product, the one that brought in most first.
#[utoipa::path(get, path = "/api/analytics/products", tag = "analytics", params(Page), responses(
    (status = 200, description = "a page of them", body = Products),
    (status = 400, description = "the page is no number", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "this is for staff", body = FailureBody)))]
async fn products(
    State(database): State<Database>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Products>, Failure> {
    caller.must_be("staff")?;
    let items = figures::products(&database, page).await?;
    Ok(Json(Products { items, page: page.number(), size: page.size() }))
}

/// How far orders come.
#[utoipa::path(get, path = "/api/analytics/funnel", tag = "analytics", responses(
    (status = 200, description = "orders by stage", body = Funnel),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "this is for staff", body = FailureBody)))]
async fn funnel(State(database): State<Database>, caller: Caller) -> Result<Json<Funnel>, Failure> {
    caller.must_be("staff")?;
    Ok(Json(figures::funnel(&database).await?))
}

/// Everything, to be compared with what the other services have.
#[utoipa::path(get, path = "/api/analytics/totals", tag = "analytics", responses(
    (status = 200, description = "the figures", body = Totals),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "this is for staff", body = FailureBody)))]
async fn totals(State(database): State<Database>, caller: Caller) -> Result<Json<Totals>, Failure> {
    caller.must_be("staff")?;
    Ok(Json(figures::totals(&database).await?))
}
