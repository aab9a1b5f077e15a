//! What the steps ask of other services, and what their answers mean for an order.

use std::collections::HashMap;

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
            // Only a word that a step knows is a refusal. All else, and be it a 404, may be a mistake on the way, and no
            // order is given up for that.
            Err(failed) => Outcome::Unknown(failed.to_string()),
        }
    }

    async fn check(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let (user, products) = tokio::join!(self.check_user(loaded), self.price(loaded));
        match (user?, products) {
            (Some(refusal), _) => Ok(Outcome::Refused(refusal.to_owned())),
            (None, priced) => priced,
        }
    }

    /// Why this user cannot order, if they cannot.
    #[tracing::instrument(name = "check user", skip_all, err(Display, level = "info"),
        fields(user.id = loaded.order.user_id))]
    async fn check_user(&self, loaded: &Loaded) -> Result<Option<&'static str>, CallFailed> {
        let call = self.user.get(&format!("/api/users/{}", loaded.order.user_id));
        let refusal = match call.send::<User>().await {
            Ok(user) if user.active => None,
            Ok(_) => Some("user_inactive"),
            Err(failed) if refusal(&failed) == "not_found" => Some("unknown_user"),
            Err(failed) => return Err(failed),
        };
        tracing::info!(refusal, "user checked");
        Ok(refusal)
    }

    #[tracing::instrument(name = "fetch product batch", skip_all, err(Display, level = "info"),
        fields(products = loaded.order.lines.len()))]
    async fn price(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let order = &loaded.order;
        let ids: Vec<_> = order.lines.iter().map(|line| line.product_id.as_str()).collect();
        let call = self.product.get("/api/products").query(&[("ids", &ids.join(","))]);
        let products = call.send::<Products>().await?.items;
        let by_id: HashMap<_, _> = products.iter().map(|product| (product.id.as_str(), product)).collect();
        let mut lines = Vec::with_capacity(order.lines.len());
        let mut total_cents = 0_i64;
        for line in &order.lines {
            let Some(product) = by_id.get(line.product_id.as_str()) else {
                tracing::info!(product.id = line.product_id, "unknown product");
                return Ok(Outcome::Refused("unknown_product".to_owned()));
            };
            total_cents = total_cents.saturating_add(product.price_cents.saturating_mul(line.quantity));
            lines.push(Line { unit_cents: product.price_cents, ..line.clone() });
        }
        let currency = products.first().map_or_else(String::new, |product| product.currency.clone());
        if products.iter().any(|product| product.currency != currency) {
            return Ok(Outcome::Refused("several_currencies".to_owned()));
        }
        tracing::info!(total_cents, currency, "priced");
        Ok(Outcome::Done(vec![Happened::Checked { lines, total_cents, currency }]))
    }

    #[tracing::instrument(name = "reserve stock", skip_all, err(Display, level = "info"),
        fields(order.id = loaded.id, products = loaded.order.lines.len()))]
    async fn reserve(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let item = |line: &Line| json!({ "product_id": line.product_id, "quantity": line.quantity });
        let items: Vec<_> = loaded.order.lines.iter().map(item).collect();
        // As long as it can be held: an order that is delayed over night keeps its stock.
        let body = json!({ "reservation_id": loaded.id, "items": items, "ttl_seconds": 24 * 3600 });
        let call = self.inventory.post("/api/inventory/reservations").key(&format!("{}-reserve", loaded.id));
        match call.json(&body).send_empty().await {
            Ok(()) => {
                tracing::info!(reservation.id = loaded.id, "reserved");
                Ok(Outcome::Done(vec![Happened::StockReserved]))
            }
            Err(CallFailed::Refused { body, .. }) if body.error == "out_of_stock" => {
                tracing::info!(details = %body.details, "out of stock");
                Ok(Outcome::Refused(body.error))
            }
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "charge payment", skip_all, err(Display, level = "info"),
        fields(order.id = loaded.id, amount_cents = loaded.order.total_cents, currency = loaded.order.currency,
            method = loaded.order.kind))]
    async fn charge(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        if loaded.order.total_cents == 0 {
            tracing::info!("there is nothing to pay");
            return Ok(Outcome::Done(vec![Happened::Paid { payment_id: String::new() }]));
        }
        let call = self.payment.post("/api/payments").key(&loaded.id).json(&payment(loaded));
        match call.send::<Paid>().await {
            Ok(paid) => {
                tracing::info!(payment.id = paid.id, "charged");
                Ok(Outcome::Done(vec![Happened::Paid { payment_id: paid.id }]))
            }
            Err(CallFailed::Refused { body, .. }) => match body.error.as_str() {
                "payment_declined" | "payment_voided" => {
                    tracing::info!(why = body.message, "declined");
                    Ok(Outcome::Refused(body.error))
                }
                "invalid_request" => {
                    tracing::warn!(why = body.message, "it cannot be paid so");
                    Ok(Outcome::Refused("payment_invalid".to_owned()))
                }
                other => Ok(Outcome::Unknown(format!("payment says {other}: {}", body.message))),
            },
            Err(failed) => Err(failed),
        }
    }

    #[tracing::instrument(name = "confirm stock", skip_all, err(Display, level = "info"), fields(order.id = loaded.id))]
    async fn confirm(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let path = format!("/api/inventory/reservations/{}/confirm", loaded.id);
        let call = self.inventory.post(&path).key(&format!("{}-confirm", loaded.id));
        match call.send_empty().await {
            Ok(()) => Ok(Outcome::Done(vec![Happened::StockConfirmed, Happened::Completed])),
            Err(failed) => match refusal(&failed) {
                // It was delayed so long that the stock went to somebody else: the money goes back.
                "not_found" | "reservation_expired" | "reservation_released" => {
                    tracing::warn!(%failed, "the stock is gone");
                    Ok(Outcome::Refused("out_of_stock".to_owned()))
                }
                _ => Err(failed),
            },
        }
    }

    #[tracing::instrument(name = "void payment", skip_all, err(Display, level = "info"), fields(order.id = loaded.id))]
    async fn void(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        if loaded.order.total_cents > 0 {
            // Under the key of the charge: a charge that is still on its way will find it called off.
            let call = self.payment.post("/api/payments/void").key(&loaded.id).json(&payment(loaded));
            call.send_empty().await?;
        }
        Ok(Outcome::Done(vec![Happened::PaymentVoided]))
    }

    #[tracing::instrument(name = "release stock", skip_all, err(Display, level = "info"), fields(order.id = loaded.id))]
    async fn release(&self, loaded: &Loaded) -> Result<Outcome, CallFailed> {
        let path = format!("/api/inventory/reservations/{}/release", loaded.id);
        self.inventory.post(&path).key(&format!("{}-release", loaded.id)).send_empty().await?;
        Ok(Outcome::Done(vec![Happened::StockReleased]))
    }
}

/// The word with which the service itself says no; empty if it did not.
fn refusal(failed: &CallFailed) -> &str {
    match failed {
        CallFailed::Refused { body, .. } => &body.error,
        CallFailed::Away { .. } | CallFailed::Nonsense { .. } => "",
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
