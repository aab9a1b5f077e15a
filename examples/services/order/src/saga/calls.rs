//! What the steps ask of other services, and what their answers mean for an order.

use std::collections::HashMap;

use axum::http::StatusCode;
use chassis::{CallFailed, Chassis, Peer, SettingsError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::order::{Happened, Line, Step};
use crate::store::Loaded;

/// The services an order needs.
pub(crate) struct Calls {
    user: Peer,
    product: Peer,
    inventory: Peer,
    payment: Peer,
}

/// What came of a step.
pub(crate) enum Outcome {
    Done(Vec<Happened>),
    /// It will never be done, for this reason.
    Refused(String),
    /// Nobody knows whether it was done.
    Unknown(String),
}

#[derive(Deserialize)]
struct User {
    active: bool,
}

#[derive(Deserialize)]
struct Products {
    items: Vec<Product>,
}

#[derive(Deserialize)]
struct Product {
    id: String,
    price_cents: i64,
    currency: String,
}

#[derive(Deserialize)]
struct Paid {
    id: String,
}

/// What is asked of `payment`. What it must look like is written down in `tests/contracts/payment.json`, and the payment
/// service is tested against that.
#[derive(Serialize)]
pub(crate) struct Payment<'a> {
    order_id: &'a str,
    user_id: &'a str,
    amount_cents: i64,
    currency: &'a str,
    method: Method<'a>,
}

#[derive(Serialize)]
struct Method<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    token: &'a str,
}

impl Calls {
    pub(crate) fn new(chassis: &Chassis) -> Result<Self, SettingsError> {
        Ok(Self {
            user: chassis.peer("user")?,
            product: chassis.peer("product")?,
            inventory: chassis.peer("inventory")?,
            payment: chassis.peer("payment")?,
        })
    }

    /// Does this step. Doing it twice is the same as doing it once.
    pub(crate) async fn perform(&self, step: Step, loaded: &Loaded) -> Outcome {
        let done = match step {
            Step::Charge => self.charge(loaded).await,
            Step::Check => self.check(loaded).await,
            Step::Confirm => self.confirm(loaded).await,
            Step::Release => self.release(loaded).await,
            Step::Reserve => self.reserve(loaded).await,
            Step::Void => self.void(loaded).await,
        };
        match done {
            Ok(outcome) => outcome,
            // Only what a step knows how to read is a refusal. All else may be a mistake on the way, and no order
            // is given up for that.
            Err(failed) => Outcome::Unknown(failed.to_string()),
        }
    }

    #[tracing::instrument(name = "check user and prices", skip_all, fields(products = loaded.order.lines.len()))]
    async fn check(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let order = &loaded.order;
        let ids: Vec<_> = order.lines.iter().map(|line| line.product_id.as_str()).collect();
        let user = self.user.get(&format!("/api/users/{}", order.user_id)).send::<User>();
        let products = self.product.get("/api/products").query(&[("ids", &ids.join(","))]).send::<Products>();
        let (user, products) = tokio::join!(user, products);
        match user {
            Ok(user) if user.active => {}
            Ok(_) => return Ok(Outcome::Refused("user_inactive".to_owned())),
            Err(CallFailed::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                return Ok(Outcome::Refused("unknown_user".to_owned()));
            }
            Err(failed) => return Err(failed),
        }
        let products = products?.items;
        let by_id: HashMap<_, _> = products.iter().map(|product| (product.id.as_str(), product)).collect();
        let mut lines = Vec::with_capacity(order.lines.len());
        let mut total_cents = 0_i64;
        for line in &order.lines {
            let Some(product) = by_id.get(line.product_id.as_str()) else {
                return Ok(Outcome::Refused("unknown_product".to_owned()));
            };
            total_cents = total_cents.saturating_add(product.price_cents.saturating_mul(line.quantity));
            lines.push(Line { unit_cents: product.price_cents, ..line.clone() });
        }
        let currency = products.first().map_or_else(String::new, |product| product.currency.clone());
        if products.iter().any(|product| product.currency != currency) {
            return Ok(Outcome::Refused("several_currencies".to_owned()));
        }
        tracing::info!(total_cents, "priced");
        Ok(Outcome::Done(vec![Happened::Checked { lines, total_cents, currency }]))
    }

    #[tracing::instrument(name = "reserve stock", skip_all)]
    async fn reserve(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let item = |line: &Line| json!({ "product_id": line.product_id, "quantity": line.quantity });
        let items: Vec<_> = loaded.order.lines.iter().map(item).collect();
        // As long as it can be held: an order that is delayed over night keeps its stock.
        let body = json!({ "reservation_id": loaded.id, "items": items, "ttl_seconds": 24 * 3600 });
        let call = self.inventory.post("/api/inventory/reservations").key(&format!("{}-reserve", loaded.id));
        match call.json(&body).send_empty().await {
            Ok(()) => Ok(Outcome::Done(vec![Happened::StockReserved])),
            Err(CallFailed::Refused { body, .. }) if body.error == "out_of_stock" => {
                tracing::info!(details = %body.details, "out of stock");
                Ok(Outcome::Refused("out_of_stock".to_owned()))
            }
            Err(CallFailed::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                Ok(Outcome::Refused("unknown_product".to_owned()))
            }
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "charge", skip_all, fields(amount_cents = loaded.order.total_cents))]
    async fn charge(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let call = self.payment.post("/api/payments").key(&loaded.id).json(&payment(loaded));
        match call.send::<Paid>().await {
            Ok(paid) => Ok(Outcome::Done(vec![Happened::Paid { payment_id: paid.id }])),
            Err(CallFailed::Refused { body, .. }) if body.error == "payment_declined" => {
                tracing::info!(why = body.message, "declined");
                Ok(Outcome::Refused(body.error))
            }
            Err(CallFailed::Refused { status: StatusCode::BAD_REQUEST, body, .. }) => {
                Ok(Outcome::Refused(format!("payment_{}", body.error)))
            }
            Err(CallFailed::Refused { body, .. }) if body.error == "payment_voided" => {
                Ok(Outcome::Refused(body.error))
            }
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "confirm stock", skip_all)]
    async fn confirm(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let path = format!("/api/inventory/reservations/{}/confirm", loaded.id);
        match self.inventory.post(&path).key(&format!("{}-confirm", loaded.id)).send_empty().await {
            Ok(()) => Ok(Outcome::Done(vec![Happened::StockConfirmed, Happened::Completed])),
            // It was delayed so long that the stock went to somebody else: the money goes back.
            Err(CallFailed::Refused {
                status: StatusCode::CONFLICT | StatusCode::GONE | StatusCode::NOT_FOUND,
                ..
            }) => Ok(Outcome::Refused("out_of_stock".to_owned())),
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "void the payment", skip_all)]
    async fn void(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        // Under the key of the charge: a charge that is still on its way will find it called off.
        let call = self.payment.post("/api/payments/void").key(&loaded.id).json(&payment(loaded));
        match call.send_empty().await {
            Ok(()) => Ok(Outcome::Done(vec![Happened::PaymentVoided])),
            // It was never a payment, so there is none to call off.
            Err(CallFailed::Refused { status: StatusCode::BAD_REQUEST, .. }) => {
                Ok(Outcome::Done(vec![Happened::PaymentVoided]))
            }
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "release stock", skip_all)]
    async fn release(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let path = format!("/api/inventory/reservations/{}/release", loaded.id);
        self.inventory.post(&path).key(&format!("{}-release", loaded.id)).send_empty().await?;
        Ok(Outcome::Done(vec![Happened::StockReleased]))
    }
}

fn payment(loaded: &Loaded) -> Payment<'_> {
    let order = &loaded.order;
    Payment {
        order_id: &loaded.id,
        user_id: &order.user_id,
        amount_cents: order.total_cents,
        currency: &order.currency,
        method: Method { kind: &order.kind, token: &order.token },
    }
}
