//! The door for HTTP and JSON.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::{Body, Caller, Failure, FailureBody, Part, rfc3339};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::inventory::Inventory;
use crate::ledger::{Reserved, Stock};
use crate::reservation::{self, Reservation, Wish};

/// A product and how many of it.
#[derive(Deserialize, Serialize, ToSchema)]
struct Item {
    product_id: String,
    /// From 1 to 10000.
    quantity: i64,
}

/// What to reserve.
#[derive(Deserialize, ToSchema)]
struct NewReservation {
    /// The caller's name for it, of 64 letters at most: asking again with the same name gives the same answer.
    reservation_id: String,
    /// 50 at most.
    items: Vec<Item>,
    /// How long it is held: 900 unless told, 86400 at most.
    ttl_seconds: Option<i64>,
}

/// What is on the shelf.
#[derive(Deserialize, ToSchema)]
struct OnHand {
    /// Pieces, the promised ones among them.
    on_hand: i64,
}

/// A reservation as it stands.
#[derive(Serialize, ToSchema)]
struct Shown {
    reservation_id: String,
    state: reservation::State,
    items: Vec<Item>,
    /// If nobody confirms it before.
    expires_at: String,
}

impl From<Reservation> for Shown {
    fn from(reservation: Reservation) -> Self {
        let item = |(product, quantity): (&str, i64)| Item { product_id: product.to_owned(), quantity };
        let items = reservation.items.iter().map(item).collect();
        let expires_at = rfc3339(reservation.expires_at);
        Self { reservation_id: reservation.id, state: reservation.state, items, expires_at }
    }
}

pub(crate) fn routes(inventory: Inventory) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(stock, put))
        .routes(routes!(reserve))
        .routes(routes!(one))
        .routes(routes!(confirm))
        .routes(routes!(release))
        .with_state(inventory)
}

/// Tells how much there is of a product.
#[utoipa::path(get, path = "/api/inventory/{product}", tag = "stock", params(("product" = String, Path)), responses(
    (status = 200, description = "so much", body = Stock),
    (status = 400, description = "no product is called this", body = FailureBody),
    (status = 404, description = "it was never in stock", body = FailureBody)))]
async fn stock(
    State(inventory): State<Inventory>,
    Part(product): Part<String>,
) -> Result<Json<Stock>, Failure> {
    Ok(Json(inventory.stock(&product).await?))
}

/// Says how many pieces of a product are on the shelf. For staff.
#[utoipa::path(put, path = "/api/inventory/{product}", tag = "stock", params(("product" = String, Path)),
    request_body = OnHand, responses(
    (status = 200, description = "so much there is now", body = Stock),
    (status = 400, description = "`details` names what is wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "the caller is not staff", body = FailureBody),
    (status = 409, description = "`stock_promised`: more than that is reserved", body = FailureBody)))]
async fn put(
    State(inventory): State<Inventory>,
    caller: Caller,
    Part(product): Part<String>,
    Body(new): Body<OnHand>,
) -> Result<Json<Stock>, Failure> {
    caller.must_be("staff")?;
    let stock = inventory.put(&product, new.on_hand).await?;
    tracing::info!(product, on_hand = stock.on_hand, by = caller.id, "the shelf was filled");
    Ok(Json(stock))
}

/// Reserves all items or none of them.
#[utoipa::path(post, path = "/api/inventory/reservations", tag = "reservations", request_body = NewReservation,
    responses(
    (status = 200, description = "it was there", body = Shown),
    (status = 201, description = "it is reserved", body = Shown),
    (status = 400, description = "`details` names what is wrong", body = FailureBody),
    (status = 403, description = "shoppers order; they do not reserve", body = FailureBody),
    (status = 409, description = "`out_of_stock`, where `details` are `[{product_id, wanted, available}]`; \
        `reservation_differs`, `reservation_released`, `reservation_expired`", body = FailureBody)))]
async fn reserve(
    State(inventory): State<Inventory>,
    caller: Option<Caller>,
    Body(new): Body<NewReservation>,
) -> Result<(StatusCode, Json<Shown>), Failure> {
    is_service(caller)?;
    let lines = new.items.into_iter().map(|item| (item.product_id, item.quantity));
    let wish = Wish::checked(new.reservation_id, lines, new.ttl_seconds)?;
    Ok(match inventory.reserve(&wish).await? {
        Reserved::Before(reservation) => (StatusCode::OK, Json(reservation.into())),
        Reserved::Now(reservation) => (StatusCode::CREATED, Json(reservation.into())),
    })
}

/// Tells how a reservation stands.
#[utoipa::path(get, path = "/api/inventory/reservations/{id}", tag = "reservations", params(("id" = String, Path)),
    responses(
    (status = 200, description = "so it stands", body = Shown),
    (status = 400, description = "no reservation is called this", body = FailureBody),
    (status = 403, description = "it is not for shoppers", body = FailureBody),
    (status = 404, description = "there is no such reservation", body = FailureBody)))]
async fn one(
    State(inventory): State<Inventory>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Shown>, Failure> {
    is_service(caller)?;
    Ok(Json(inventory.reservation(&id).await?.into()))
}

/// Takes what is reserved from the shelf. Asking again changes nothing.
#[utoipa::path(post, path = "/api/inventory/reservations/{id}/confirm", tag = "reservations",
    params(("id" = String, Path)), responses(
    (status = 200, description = "it is confirmed", body = Shown),
    (status = 400, description = "no reservation is called this", body = FailureBody),
    (status = 403, description = "it is not for shoppers", body = FailureBody),
    (status = 404, description = "there is no such reservation", body = FailureBody),
    (status = 409, description = "`reservation_released` or `reservation_expired`", body = FailureBody)))]
async fn confirm(
    State(inventory): State<Inventory>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Shown>, Failure> {
    is_service(caller)?;
    Ok(Json(inventory.confirm(&id).await?.into()))
}

/// Gives up what is reserved. Asking again changes nothing, and asking before the reservation came keeps it from coming.
#[utoipa::path(post, path = "/api/inventory/reservations/{id}/release", tag = "reservations",
    params(("id" = String, Path)), responses(
    (status = 200, description = "it is released, or expired before", body = Shown),
    (status = 400, description = "no reservation is called this", body = FailureBody),
    (status = 403, description = "it is not for shoppers", body = FailureBody),
    (status = 409, description = "`reservation_confirmed`", body = FailureBody)))]
async fn release(
    State(inventory): State<Inventory>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Shown>, Failure> {
    is_service(caller)?;
    Ok(Json(inventory.release(&id).await?.into()))
}

/// Who could reserve for nothing could empty the shop. The sidecar lets only the order service come this far; should a
/// route ever lead a shopper here, this still says no.
pub(crate) fn is_service(caller: Option<Caller>) -> Result<(), Failure> {
    caller.map_or(Ok(()), |caller| caller.must_be("staff"))
}
