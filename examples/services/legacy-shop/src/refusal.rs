//! What becomes of an order that is refused: it is kept as rejected, and the shopper is told why.

use axum::http::StatusCode;
use chassis::{Database, Failure};
use serde::Serialize;

use crate::basket::Basket;
use crate::checkout::{Refused, history, item, row};
use crate::stock;
use crate::told::row_id;

#[derive(Serialize)]
struct Short<'a> {
    product_id: &'a str,
    wanted: i64,
    available: i64,
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
