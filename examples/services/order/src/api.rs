//! What can be asked of orders.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::{Body, Caller, Failure, FailureBody, Page, Params, Part, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::desk::{Desk, Wanted};
use crate::order::{Item, PayBy, Status};
use crate::queue::Queue;
use crate::store::{Noted, Store};
use crate::view::{Told, View};

const PRODUCTS_MAX: usize = 50;
const QUANTITY_MAX: i64 = 100;
const KINDS: &[&str] = &["card", "invoice", "wallet"];

#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) desk: Desk,
    pub(crate) queue: Queue,
    pub(crate) store: Store,
    pub(crate) view: View,
}

/// What to order.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewOrder {
    items: Vec<Item>,
    payment: PayBy,
}

/// A page of orders.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed {
    items: Vec<Told>,
    page: i64,
    size: i64,
    total: i64,
}

/// What happened to an order.
#[derive(Serialize, ToSchema)]
pub(crate) struct History {
    items: Vec<Entry>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    version: i64,
    at: String,
    event: Value,
}

/// Is everything queued?
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct Promotion {
    on: bool,
    /// Orders that are not finished.
    #[serde(default)]
    open: i64,
}

impl NewOrder {
    fn checked(self, caller: &Caller, headers: &HeaderMap) -> Result<Wanted, Failure> {
        // A key that was not read would be none, and an order that was sent twice would be two.
        let unreadable = |_| Failure::invalid("an Idempotency-Key is plain ASCII");
        let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned));
        let key = key.transpose().map_err(unreadable)?;
        let is_quantity = |quantity: i64| (1..=QUANTITY_MAX).contains(&quantity);
        let are_quantities = self.items.iter().all(|item| is_quantity(item.quantity));
        let mut together = BTreeMap::<String, i64>::new();
        for item in self.items {
            let sum = together.entry(item.product_id).or_default();
            *sum = sum.saturating_add(item.quantity);
        }
        let problem = if together.is_empty() || together.len() > PRODUCTS_MAX {
            "an order has 1 to 50 products"
        } else if !are_quantities || !together.values().copied().all(is_quantity) {
            "a quantity is between 1 and 100"
        } else if !together.keys().all(|id| is_product(id)) {
            "a product_id has 1 to 64 letters, digits, dots, dashes or underscores"
        } else if !KINDS.contains(&self.payment.kind.as_str()) {
            "payment.type is card, invoice or wallet"
        } else if !is_token(&self.payment.token)
            || (self.payment.token.is_empty() && self.payment.kind != "invoice")
        {
            "payment.token has 1 to 200 visible letters of ASCII"
        } else if key.as_deref().is_some_and(|key| key.is_empty() || key.len() > 200) {
            "an Idempotency-Key has 1 to 200 letters"
        } else {
            let item = |(product_id, quantity)| Item { product_id, quantity };
            let items = together.into_iter().map(item).collect();
            return Ok(Wanted { user_id: caller.id.clone(), items, pay_by: self.payment, key });
        };
        Err(Failure::invalid(problem))
    }
}

/// Can a product be called this? Such names stand for themselves in a query, so that fifty of them fit into one; and an
/// order whose products nobody can look up would have to wait for ever.
fn is_product(id: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(is_fine)
}

/// Can `payment` keep this? What it cannot keep would never be paid, nor called off.
fn is_token(token: &str) -> bool {
    token.len() <= 200 && token.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Orders {
    /// The order, and what happened to it, if the caller may see it. What is not theirs does not exist for them. From the
    /// events themselves: who has just written reads what they wrote.
    async fn seen_by(&self, caller: Option<&Caller>, id: &str) -> Result<(Told, Vec<Noted>), Failure> {
        if Uuid::parse_str(id).is_err() {
            return Err(Failure::not_found("order"));
        }
        let history = self.store.since(id, 0).await?;
        let told = Told::of_history(id, &history);
        let may_see = caller.is_none_or(|caller| caller.is("staff") || caller.id == told.user_id);
        if history.is_empty() || !may_see { Err(Failure::not_found("order")) } else { Ok((told, history)) }
    }
}

/// Orders.
#[utoipa::path(post, path = "/api/orders", tag = "orders", request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same request twice is the same order")),
    responses((status = 201, body = Told, description = "completed"),
        (status = 202, body = Told, description = "queued or delayed; look at Location"),
        (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 402, body = FailureBody, description = "the payment was declined"),
        (status = 409, body = FailureBody, description = "out of stock"),
        (status = 422, body = FailureBody, description = "it cannot be ordered"),
        (status = 429, body = FailureBody, description = "too many of the caller's orders are open"),
        (status = 503, body = FailureBody, description = "the queue is full")))]
pub(crate) async fn place(
    State(orders): State<Orders>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewOrder>,
) -> Result<Response, Failure> {
    let id = orders.desk.take(new.checked(&caller, &headers)?).await?;
    let (told, _) = orders.seen_by(None, &id).await?;
    let location = [(header::LOCATION, format!("/api/orders/{id}"))];
    let status = match told.status {
        Status::Completed => StatusCode::CREATED,
        Status::Delayed | Status::Queued | Status::Running => StatusCode::ACCEPTED,
        Status::Cancelled | Status::Rejected => {
            let status = match told.reason.as_str() {
                "out_of_stock" => StatusCode::CONFLICT,
                "payment_declined" => StatusCode::PAYMENT_REQUIRED,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            let reason = told.reason.clone();
            let message = format!("the order is {}: {}", told.status.word(), reason.replace('_', " "));
            return Err(Failure::new(status, &reason, message).with(told));
        }
    };
    Ok((status, location, Json(told)).into_response())
}

/// The caller's orders, the latest first; all orders for staff.
#[utoipa::path(get, path = "/api/orders", tag = "orders", params(Page),
    responses((status = 200, body = Listed), (status = 401, body = FailureBody)))]
pub(crate) async fn list(
    State(orders): State<Orders>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<Listed>, Failure> {
    let user = if caller.is("staff") { None } else { Some(caller.id.as_str()) };
    let items = orders.view.list(user, page.offset(), page.size()).await?;
    let total = orders.view.count(user).await?;
    Ok(Json(Listed { items, page: page.number(), size: page.size(), total }))
}

/// One order.
#[utoipa::path(get, path = "/api/orders/{id}", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, body = Told), (status = 404, body = FailureBody)))]
pub(crate) async fn one(
    State(orders): State<Orders>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Told>, Failure> {
    Ok(Json(orders.seen_by(caller.as_ref(), &id).await?.0))
}

/// What happened to an order.
#[utoipa::path(get, path = "/api/orders/{id}/events", tag = "orders", params(("id" = String, Path)),
    responses((status = 200, body = History), (status = 404, body = FailureBody)))]
pub(crate) async fn history(
    State(orders): State<Orders>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<History>, Failure> {
    let (_, history) = orders.seen_by(caller.as_ref(), &id).await?;
    let is_shopper = caller.is_some_and(|caller| !caller.is("staff"));
    let entries = history.into_iter().map(|noted| {
        let mut event = serde_json::to_value(&noted.happened).unwrap_or(Value::Null);
        // What one can pay with is shown to nobody; what was wrong inside is nothing for shoppers.
        if let Some(pay_by) = event.get_mut("pay_by").and_then(Value::as_object_mut) {
            pay_by.remove("token");
        }
        if let (true, Some(event)) = (is_shopper, event.as_object_mut()) {
            event.remove("why");
        }
        Entry { version: noted.version, at: rfc3339(noted.at), event }
    });
    Ok(Json(History { items: entries.collect() }))
}

/// Calls an order off, as long as it is not paid.
#[utoipa::path(post, path = "/api/orders/{id}/cancel", tag = "orders", params(("id" = String, Path)),
    responses((status = 202, body = Told), (status = 404, body = FailureBody),
        (status = 409, body = FailureBody, description = "it is too late")))]
pub(crate) async fn cancel(
    State(orders): State<Orders>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<(StatusCode, Json<Told>), Failure> {
    orders.seen_by(Some(&caller), &id).await?;
    orders.desk.cancel(&id).await?;
    let (told, _) = orders.seen_by(Some(&caller), &id).await?;
    Ok((StatusCode::ACCEPTED, Json(told)))
}

/// Is there a promotion?
#[utoipa::path(get, path = "/promotion", tag = "operators", responses((status = 200, body = Promotion)))]
pub(crate) async fn promotion(State(orders): State<Orders>) -> Json<Promotion> {
    Json(Promotion { on: orders.desk.promote(None), open: orders.queue.open() })
}

/// Begins or ends a promotion at this instance: while it lasts, every order is queued.
#[utoipa::path(put, path = "/promotion", tag = "operators", request_body = Promotion,
    responses((status = 200, body = Promotion)))]
pub(crate) async fn promote(
    State(orders): State<Orders>,
    Body(promotion): Body<Promotion>,
) -> Json<Promotion> {
    Json(Promotion { on: orders.desk.promote(Some(promotion.on)), open: orders.queue.open() })
}

/// Throws the read model away and makes it again from the events.
#[utoipa::path(post, path = "/view/rebuild", tag = "operators", responses((status = 202)))]
pub(crate) async fn rebuild(State(orders): State<Orders>) -> Result<StatusCode, Failure> {
    orders.view.rebuild().await?;
    Ok(StatusCode::ACCEPTED)
}
