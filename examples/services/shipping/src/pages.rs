//! What the world asks of it. Customers see their own shipments, staff sees all and moves them.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Failure, FailureBody, Page, Params, Part};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::quote::{self, Parcel, Quote};
use crate::shipments::{Shipment, Shipments, Which};
use crate::state::Move;

/// Some of the shipments.
#[derive(Serialize, ToSchema)]
struct List {
    items: Vec<Shipment>,
    page: i64,
    size: i64,
    total: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Only of this order.
    #[param(max_length = 128)]
    order_id: Option<String>,
}

pub(crate) fn routes(shipments: Shipments) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(price))
        .routes(routes!(one))
        .routes(routes!(dispatch))
        .routes(routes!(deliver))
        .with_state(shipments)
}

/// Shipments, newest first: one's own, or all for staff.
#[utoipa::path(get, path = "/api/shipments", tag = "shipments", params(Of, Page), responses(
    (status = 200, description = "a page of them", body = List),
    (status = 400, description = "no order is called this", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody)))]
async fn list(
    State(shipments): State<Shipments>,
    caller: Caller,
    Params(of): Params<Of>,
    Params(page): Params<Page>,
) -> Result<Json<List>, Failure> {
    let order_id = of.order_id.unwrap_or_default();
    if order_id.len() > 128 || order_id.contains(char::is_control) {
        return Err(Failure::invalid("no order is called this"));
    }
    let which = Which { order_id, user_id: sees(&caller).to_owned() };
    let (items, total) = shipments.list(&which, page).await?;
    Ok(Json(List { items, page: page.number(), size: page.size(), total }))
}

/// One shipment.
#[utoipa::path(get, path = "/api/shipments/{id}", tag = "shipments", params(("id" = String, Path)), responses(
    (status = 200, description = "this one", body = Shipment),
    (status = 400, description = "no shipment is called this", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 404, description = "there is none, or it is somebody else's", body = FailureBody)))]
async fn one(
    State(shipments): State<Shipments>,
    caller: Caller,
    Part(id): Part<Uuid>,
) -> Result<Json<Shipment>, Failure> {
    let shipment = shipments.one(id).await?;
    if !shipment.belongs_to(sees(&caller)) {
        return Err(Failure::not_found("shipment"));
    }
    Ok(Json(shipment))
}

/// It leaves. For staff.
#[utoipa::path(post, path = "/api/shipments/{id}/dispatch", tag = "shipments", params(("id" = String, Path)),
    responses(
        (status = 200, description = "it is on its way", body = Shipment),
        (status = 400, description = "no shipment is called this", body = FailureBody),
        (status = 401, description = "nobody is signed in", body = FailureBody),
        (status = 403, description = "this is for staff", body = FailureBody),
        (status = 404, description = "there is no such shipment", body = FailureBody),
        (status = 409, description = "`wrong_state`", body = FailureBody)))]
async fn dispatch(
    State(shipments): State<Shipments>,
    caller: Caller,
    Part(id): Part<Uuid>,
) -> Result<Json<Shipment>, Failure> {
    caller.must_be("staff")?;
    Ok(Json(shipments.advance(id, Move::Dispatch).await?))
}

/// It has arrived. For staff.
#[utoipa::path(post, path = "/api/shipments/{id}/deliver", tag = "shipments", params(("id" = String, Path)),
    responses(
        (status = 200, description = "it is there", body = Shipment),
        (status = 400, description = "no shipment is called this", body = FailureBody),
        (status = 401, description = "nobody is signed in", body = FailureBody),
        (status = 403, description = "this is for staff", body = FailureBody),
        (status = 404, description = "there is no such shipment", body = FailureBody),
        (status = 409, description = "`wrong_state`", body = FailureBody)))]
async fn deliver(
    State(shipments): State<Shipments>,
    caller: Caller,
    Part(id): Part<Uuid>,
) -> Result<Json<Shipment>, Failure> {
    caller.must_be("staff")?;
    Ok(Json(shipments.advance(id, Move::Deliver).await?))
}

/// What sending costs. For everybody.
#[utoipa::path(get, path = "/api/shipments/quote", tag = "shipments", params(Parcel), responses(
    (status = 200, description = "the price", body = Quote),
    (status = 400, description = "`details` names the field that is wrong", body = FailureBody),
    (status = 404, description = "nothing is sent there", body = FailureBody)))]
async fn price(
    State(shipments): State<Shipments>,
    Params(parcel): Params<Parcel>,
) -> Result<Json<Quote>, Failure> {
    Ok(Json(quote::quote(&shipments.database, &parcel).await?))
}

/// Whose shipments the caller sees; empty: everybody's.
fn sees(caller: &Caller) -> &str {
    if caller.is("staff") { "" } else { &caller.id }
}
