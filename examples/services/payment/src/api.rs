//! What can be asked of payments.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chassis::{Body, Caller, Failure, FailureBody, Key, Params, Part};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::charging::{Charged, Order, Payments};
use crate::records::{Method, MethodKind, Payment, Status};

/// An invoice is a loan: not for more than this.
const INVOICE_MAX_CENTS: i64 = 50_000;
const AMOUNT_MAX_CENTS: i64 = 100_000_000;

/// What to charge.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPayment {
    order_id: String,
    user_id: String,
    amount_cents: i64,
    currency: String,
    method: Method,
}

/// How much to give back.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewRefund {
    /// All that is left, unless told.
    amount_cents: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfOrder {
    order_id: String,
}

/// Payments.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed {
    items: Vec<Payment>,
}

impl NewPayment {
    /// What can be charged.
    fn checked(self, key: Key) -> Result<Order, Failure> {
        let problem = if !(1..=AMOUNT_MAX_CENTS).contains(&self.amount_cents) {
            "amount_cents is not between 1 and 100000000"
        } else if self.currency.len() != 3 || !self.currency.bytes().all(|letter| letter.is_ascii_uppercase())
        {
            "currency has three capital letters"
        } else if self.method.kind != MethodKind::Invoice && !(1..=200).contains(&self.method.token.len()) {
            "a card or wallet needs its token"
        } else if self.method.kind == MethodKind::Invoice && self.amount_cents > INVOICE_MAX_CENTS {
            "an invoice is for 50000 cents at most"
        } else {
            return self.named(key);
        };
        Err(Failure::invalid(problem))
    }

    /// What can be called off: all that can be named. What may be charged today says nothing about what was charged
    /// yesterday, and an order that could never be paid has to be ended, too.
    fn named(self, key: Key) -> Result<Order, Failure> {
        let is_id = |id: &str| (1..=128).contains(&id.len());
        let texts = [&self.order_id, &self.user_id, &self.currency, &self.method.token];
        let problem = if !is_id(&self.order_id) || !is_id(&self.user_id) {
            "order_id and user_id have 1 to 128 letters"
        } else if self.currency.len() > 3 || self.method.token.len() > 200 || self.amount_cents < 0 {
            "currency and token are too long, or amount_cents is below 0"
        } else if texts.iter().any(|text| text.contains(char::is_control)) {
            // Not every database keeps them.
            "there is a control character in order_id, user_id, currency or method.token"
        } else {
            return Ok(Order {
                key: key.0,
                order_id: self.order_id,
                user_id: self.user_id,
                amount_cents: self.amount_cents,
                currency: self.currency,
                method: self.method,
            });
        };
        Err(Failure::invalid(problem))
    }
}

/// Charges an order, once for each Idempotency-Key.
#[utoipa::path(post, path = "/api/payments", tag = "payments", request_body = NewPayment,
    params(("Idempotency-Key" = String, Header, description = "names the payment")),
    responses((status = 201, body = Payment, description = "captured, now or before"),
        (status = 400, body = FailureBody), (status = 402, body = FailureBody, description = "declined"),
        (status = 403, body = FailureBody, description = "it is not for shoppers"),
        (status = 409, body = FailureBody, description = "it is being made, or was voided"),
        (status = 422, body = FailureBody, description = "the key was used for another payment"),
        (status = 503, body = FailureBody, description = "not known; ask again with the same key")))]
pub(crate) async fn charge(
    State(payments): State<Payments>,
    caller: Option<Caller>,
    key: Key,
    Body(new): Body<NewPayment>,
) -> Result<Response, Failure> {
    is_service(caller)?;
    let (order, own) = (new.checked(key)?, payments.clone());
    let charged = payments.to_its_end(async move { own.charge(&order).await }).await?;
    let (payment, replayed) = match charged {
        Charged::Before(payment) => (payment, "true"),
        Charged::Now(payment) => (payment, "false"),
    };
    match payment.status {
        Status::Declined => {
            let failure =
                Failure::new(StatusCode::PAYMENT_REQUIRED, "payment_declined", payment.reason.clone());
            Err(failure.with(payment))
        }
        Status::Voided => {
            Err(Failure::conflict("payment_voided", "this payment was called off").with(payment))
        }
        Status::Captured | Status::Pending | Status::Refunded => {
            Ok((StatusCode::CREATED, [("idempotency-replayed", replayed)], Json(payment)).into_response())
        }
    }
}

/// Calls a payment off: what was charged under this key is given back, what was not never will be.
#[utoipa::path(post, path = "/api/payments/void", tag = "payments", request_body = NewPayment,
    params(("Idempotency-Key" = String, Header, description = "names the payment")),
    responses((status = 200, body = Payment), (status = 400, body = FailureBody),
        (status = 403, body = FailureBody, description = "it is not for shoppers"),
        (status = 409, body = FailureBody, description = "it is being made"), (status = 422, body = FailureBody),
        (status = 503, body = FailureBody)))]
pub(crate) async fn void(
    State(payments): State<Payments>,
    caller: Option<Caller>,
    key: Key,
    Body(new): Body<NewPayment>,
) -> Result<Json<Payment>, Failure> {
    is_service(caller)?;
    let (order, own) = (new.named(key)?, payments.clone());
    Ok(Json(payments.to_its_end(async move { own.void(&order).await }).await?))
}

/// One payment.
#[utoipa::path(get, path = "/api/payments/{id}", tag = "payments", params(("id" = String, Path)),
    responses((status = 200, body = Payment), (status = 404, body = FailureBody)))]
pub(crate) async fn one(
    State(payments): State<Payments>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Payment>, Failure> {
    is_named(&id)?;
    let payment = payments.one(&id).await?;
    if may_see(caller.as_ref(), &payment) { Ok(Json(payment)) } else { Err(Failure::not_found("payment")) }
}

/// The payments of an order.
#[utoipa::path(get, path = "/api/payments", tag = "payments", params(OfOrder),
    responses((status = 200, body = Listed), (status = 400, body = FailureBody)))]
pub(crate) async fn of_order(
    State(payments): State<Payments>,
    caller: Option<Caller>,
    Params(of): Params<OfOrder>,
) -> Result<Json<Listed>, Failure> {
    if of.order_id.contains(char::is_control) {
        return Err(Failure::invalid("there is a control character in order_id"));
    }
    let rows = sqlx::query("SELECT * FROM payment WHERE order_id = $1 ORDER BY id LIMIT 100")
        .bind(of.order_id)
        .fetch_all(payments.database.pool())
        .await?;
    let mut items = rows.iter().map(Payment::of).collect::<Result<Vec<_>, _>>()?;
    items.retain(|payment| may_see(caller.as_ref(), payment));
    Ok(Json(Listed { items }))
}

/// Gives money back, once for each Idempotency-Key. If the provider does not answer, it is asked again until it does.
#[utoipa::path(post, path = "/api/payments/{id}/refund", tag = "payments", request_body = NewRefund,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header, description = "names the refund")),
    responses((status = 200, body = Payment), (status = 400, body = FailureBody), (status = 403, body = FailureBody),
        (status = 404, body = FailureBody), (status = 409, body = FailureBody, description = "more than is left"),
        (status = 422, body = FailureBody),
        (status = 503, body = FailureBody, description = "not yet; it is set aside in refunding_cents")))]
pub(crate) async fn refund(
    State(payments): State<Payments>,
    caller: Option<Caller>,
    Part(id): Part<String>,
    key: Key,
    Body(new): Body<NewRefund>,
) -> Result<Json<Payment>, Failure> {
    is_service(caller)?;
    is_named(&id)?;
    let own = payments.clone();
    let refund = async move { own.refund(&id, &key.0, new.amount_cents).await };
    Ok(Json(payments.to_its_end(refund).await?))
}

/// The sidecar lets only orders charge and call off, and only staff pay back; should a route ever lead a shopper here, this
/// still says no.
fn is_service(caller: Option<Caller>) -> Result<(), Failure> {
    caller.map_or(Ok(()), |caller| caller.must_be("staff"))
}

/// Is there a payment that can be called this?
fn is_named(id: &str) -> Result<(), Failure> {
    Uuid::parse_str(id).map(|_| ()).map_err(|_| Failure::not_found("payment"))
}

/// Shoppers see their own; staff and services see all.
fn may_see(caller: Option<&Caller>, payment: &Payment) -> bool {
    caller.is_none_or(|caller| caller.is("staff") || caller.id == payment.user_id)
}
