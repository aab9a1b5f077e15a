//! An order is one transaction: stock, order, payment, shipment, message, all of it or nothing. That is the strength of a
//! monolith; the order service next door needs a saga for the same promise.
//!
//! Stock is never sold twice: it is taken by an UPDATE that only matches while there is enough, product by product in the
//! order of their ids, so that two orders never wait for each other crosswise.

use chassis::{Write, now_ms};

use crate::basket::{Basket, Method, request_text};
use crate::notifications;
use crate::told::row_id;

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

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
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

/// The order itself.
pub(crate) async fn row(
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

/// A line of it.
pub(crate) async fn item(
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
