//! An order is one transaction: stock, order, payment, shipment, message, all of it or nothing. That is the strength of a
//! monolith; the order service next door needs a saga for the same promise.
//!
//! Stock is never sold twice: it is taken by an UPDATE that only matches while there is enough, product by product in the
//! order of their ids, so that two orders never wait for each other crosswise.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use chassis::{Database, Failure, Write, now_ms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::told::row_id;
use crate::{notifications, stock};

pub(crate) const LINES_MAX: usize = 50;
pub(crate) const QUANTITY_MAX: i64 = 100;
/// An invoice is a loan: not for more than this.
const INVOICE_MAX_CENTS: i64 = 50_000;

/// How the shopper pays.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MethodKind {
    Card,
    Invoice,
    Wallet,
}

/// How, and with what.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Method {
    #[serde(rename = "type")]
    pub(crate) kind: MethodKind,
    /// What stands for the card or wallet. `tok_declined` is declined.
    #[serde(default)]
    pub(crate) token: String,
}

/// What is ordered, checked: every product once, in the order of the ids.
#[derive(Debug, Serialize)]
pub(crate) struct Basket(BTreeMap<String, i64>);

/// Why nothing was ordered.
pub(crate) enum Refused {
    /// The key belongs to this order, which was for the same: that is the answer.
    Before(String),
    Database(sqlx::Error),
    Declined(&'static str),
    KeyReused,
    OutOfStock,
    Unknown(String),
}

#[derive(Serialize)]
struct Short<'a> {
    product_id: &'a str,
    wanted: i64,
    available: i64,
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Basket {
    /// Of these lines; two of one product become one.
    pub(crate) fn of(lines: impl IntoIterator<Item = (String, i64)>) -> Result<Self, Failure> {
        let mut basket: BTreeMap<String, i64> = BTreeMap::new();
        for (product, quantity) in lines {
            let sum = basket.entry(product).or_default();
            *sum = sum.saturating_add(quantity);
            if quantity < 1 || *sum > QUANTITY_MAX || basket.len() > LINES_MAX {
                let want = format!("up to {LINES_MAX} products, 1 to {QUANTITY_MAX} of each");
                return Err(
                    Failure::invalid("nobody can order this").with(serde_json::json!({ "items": want }))
                );
            }
        }
        if basket.is_empty() {
            let details = serde_json::json!({ "items": "at least one" });
            return Err(Failure::invalid("nothing is ordered").with(details));
        }
        Ok(Self(basket))
    }
}

impl Method {
    /// 400 unless it can be charged at all.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.token.len() > 200 || (self.token.is_empty() && self.kind != MethodKind::Invoice) {
            let details = serde_json::json!({ "payment.token": "1 to 200 letters" });
            return Err(Failure::invalid("a card or wallet needs its token").with(details));
        }
        Ok(())
    }

    fn declines(&self, total_cents: i64) -> Option<&'static str> {
        match self.kind {
            MethodKind::Invoice if total_cents > INVOICE_MAX_CENTS => {
                Some("an invoice is for 500 euros at most")
            }
            MethodKind::Card | MethodKind::Wallet if self.token == "tok_declined" => {
                Some("the bank declines")
            }
            MethodKind::Card | MethodKind::Invoice | MethodKind::Wallet => None,
        }
    }

    fn word(&self) -> &'static str {
        match self.kind {
            MethodKind::Card => "card",
            MethodKind::Invoice => "invoice",
            MethodKind::Wallet => "wallet",
        }
    }
}

/// Orders, within this transaction. What it returns is the order's id; it is true once the transaction is committed.
#[tracing::instrument(skip_all, fields(order.id = tracing::field::Empty, order.total_cents = tracing::field::Empty))]
pub(crate) async fn place(
    write: &mut Write,
    user_id: &str,
    basket: &Basket,
    method: &Method,
    key: Option<&str>,
) -> Result<String, Refused> {
    let (order, now) = (row_id(), now_ms());
    if let Some(key) = key {
        claim(write, user_id, key, &order, &request_text(basket, method)).await?;
    }
    let mut total_cents = 0;
    for (product, quantity) in &basket.0 {
        let unit_cents = take(write, product, *quantity).await?;
        total_cents += unit_cents * quantity;
        item(write, &order, product, *quantity, unit_cents).await?;
    }
    if let Some(reason) = method.declines(total_cents) {
        return Err(Refused::Declined(reason));
    }
    tracing::Span::current().record("order.id", &order).record("order.total_cents", total_cents);
    row(write, &order, user_id, ("completed", None), total_cents).await?;
    history(write, &order, 1, "order.placed").await?;
    history(write, &order, 2, "order.completed").await?;
    sqlx::query(
        "INSERT INTO payments (id, order_id, user_id, status, amount_cents, refunded_cents, currency, method, \
         created_at) VALUES ($1, $2, $3, 'captured', $4, 0, 'EUR', $5, $6)",
    )
    .bind(row_id())
    .bind(&order)
    .bind(user_id)
    .bind(total_cents)
    .bind(method.word())
    .bind(now)
    .execute(&mut **write)
    .await?;
    let shipment = row_id();
    sqlx::query(
        "INSERT INTO shipments (id, order_id, user_id, status, tracking, created_at, updated_at) \
         VALUES ($1, $2, $3, 'created', $4, $5, $5)",
    )
    .bind(&shipment)
    .bind(&order)
    .bind(user_id)
    .bind(format!("OLD-{}", shipment.rsplit('-').next().unwrap_or_default().to_uppercase()))
    .bind(now)
    .execute(&mut **write)
    .await?;
    notifications::tell(write, user_id, "order.completed", Some(&order)).await?;
    Ok(order)
}

/// Takes so many from the shelf, if they are there, and says what one costs.
async fn take(write: &mut Write, product: &str, quantity: i64) -> Result<i64, Refused> {
    let price: Option<i64> = sqlx::query_scalar("SELECT price_cents FROM products WHERE id = $1")
        .bind(product)
        .fetch_optional(&mut **write)
        .await?;
    let price = price.ok_or_else(|| Refused::Unknown(product.to_owned()))?;
    let taken =
        sqlx::query("UPDATE stock SET on_hand = on_hand - $1 WHERE product_id = $2 AND on_hand >= $1")
            .bind(quantity)
            .bind(product)
            .execute(&mut **write)
            .await?;
    if taken.rows_affected() == 1 { Ok(price) } else { Err(Refused::OutOfStock) }
}

/// Writes the key down, or says which order it belongs to. Of two requests at once the second waits here for the first.
async fn claim(
    write: &mut Write,
    user_id: &str,
    key: &str,
    order: &str,
    request: &str,
) -> Result<(), Refused> {
    let claimed = sqlx::query(
        "INSERT INTO order_keys (user_id, name, order_id, request, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id, name) DO NOTHING",
    )
    .bind(user_id)
    .bind(key)
    .bind(order)
    .bind(request)
    .bind(now_ms())
    .execute(&mut **write)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(());
    }
    let (before, was): (String, String) =
        sqlx::query_as("SELECT order_id, request FROM order_keys WHERE user_id = $1 AND name = $2")
            .bind(user_id)
            .bind(key)
            .fetch_one(&mut **write)
            .await?;
    Err(if was == request { Refused::Before(before) } else { Refused::KeyReused })
}

/// What was refused is kept, and told to the shopper in words. The transaction it was refused in must be gone by now.
pub(crate) async fn explain(
    database: &Database,
    user_id: &str,
    basket: &Basket,
    refused: Refused,
) -> Result<String, Failure> {
    let (reason, failure) = match refused {
        Refused::Before(order) => return Ok(order),
        Refused::Database(error) => return Err(error.into()),
        Refused::KeyReused => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(Failure::new(status, "key_reused", "this key was used for another order"));
        }
        Refused::Unknown(product) => {
            let details = serde_json::json!({ "product_id": product });
            return Err(Failure::invalid("there is no such product").with(details));
        }
        Refused::Declined(why) => {
            ("payment_declined", Failure::new(StatusCode::PAYMENT_REQUIRED, "payment_declined", why))
        }
        Refused::OutOfStock => {
            let mut short = Vec::new();
            for (product_id, wanted) in &basket.0 {
                let available = stock::on_hand(database, product_id).await?.unwrap_or(0);
                if available < *wanted {
                    short.push(Short { product_id, wanted: *wanted, available });
                }
            }
            ("out_of_stock", Failure::conflict("out_of_stock", "there is not enough in stock").with(short))
        }
    };
    reject(database, user_id, basket, reason).await?;
    Err(failure)
}

async fn reject(
    database: &Database,
    user_id: &str,
    basket: &Basket,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let (order, mut total_cents) = (row_id(), 0);
    let mut write = database.write().await?;
    for (product, quantity) in &basket.0 {
        let price: i64 = sqlx::query_scalar("SELECT price_cents FROM products WHERE id = $1")
            .bind(product)
            .fetch_one(&mut *write)
            .await?;
        total_cents += price * quantity;
        item(&mut write, &order, product, *quantity, price).await?;
    }
    row(&mut write, &order, user_id, ("rejected", Some(reason)), total_cents).await?;
    history(&mut write, &order, 1, "order.placed").await?;
    history(&mut write, &order, 2, "order.rejected").await?;
    write.commit().await
}

async fn row(
    write: &mut Write,
    order: &str,
    user_id: &str,
    (status, reason): (&str, Option<&str>),
    total_cents: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO orders (id, user_id, status, total_cents, currency, reason, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'EUR', $5, $6, $6)",
    )
    .bind(order)
    .bind(user_id)
    .bind(status)
    .bind(total_cents)
    .bind(reason)
    .bind(now_ms())
    .execute(&mut **write)
    .await?;
    Ok(())
}

async fn item(
    write: &mut Write,
    order: &str,
    product: &str,
    quantity: i64,
    unit_cents: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO order_items (order_id, product_id, quantity, unit_cents) VALUES ($1, $2, $3, $4)",
    )
    .bind(order)
    .bind(product)
    .bind(quantity)
    .bind(unit_cents)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Notes what became of an order.
pub(crate) async fn history(
    write: &mut Write,
    order: &str,
    position: i64,
    kind: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO order_history (order_id, position, kind, at) VALUES ($1, $2, $3, $4)")
        .bind(order)
        .bind(position)
        .bind(kind)
        .bind(now_ms())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// What was asked for, to know it again. The token stays out: it is worth money.
fn request_text(basket: &Basket, method: &Method) -> String {
    let items: Vec<String> =
        basket.0.iter().map(|(product, quantity)| format!("{product}x{quantity}")).collect();
    format!("{} {}", items.join(" "), method.word())
}
