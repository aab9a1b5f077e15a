//! The books: what is in stock and what is promised, in SQL. What is written here is true; everything else is a guess.
//!
//! Each change is one short transaction. Locks are taken in one order everywhere: the reservation first, then its
//! products by name. Read `reserving.rs` first.

use std::collections::BTreeMap;

use chassis::Database;
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

use crate::items::Items;
use crate::refusal::{Refusal, Short};
use crate::reservation::{Reservation, State};

mod ending;
mod reserving;
mod shelf;
mod turns;

pub(crate) use reserving::Reserved;

/// The books.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) database: Database,
}

/// How much there is of a product.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Stock {
    pub(crate) product_id: String,
    /// Pieces on the shelf.
    pub(crate) on_hand: i64,
    /// Of these, promised.
    pub(crate) reserved: i64,
    /// Of these, not promised.
    pub(crate) available: i64,
}

impl Ledger {
    /// How much there is of a product.
    pub(crate) async fn stock(&self, product: &str) -> Result<Stock, Refusal> {
        let row = sqlx::query("SELECT product_id, on_hand, reserved FROM stock WHERE product_id = $1")
            .bind(product)
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| stock(&row)).transpose()?.ok_or(Refusal::UnknownProduct)
    }

    /// Of which of these there is not enough. A look, and no promise.
    pub(crate) async fn shortage(&self, items: &Items) -> Result<Vec<Short>, Refusal> {
        let mut short = Vec::new();
        for (product, wanted) in items.iter() {
            let available = match self.stock(product).await {
                Ok(stock) => stock.available,
                Err(Refusal::UnknownProduct) => 0,
                Err(other) => return Err(other),
            };
            if available < wanted {
                short.push(Short { product_id: product.to_owned(), wanted, available });
            }
        }
        Ok(short)
    }

    /// The reservation of this name.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Reservation>, sqlx::Error> {
        let statement = "SELECT r.state, r.expires_at, i.product_id, i.quantity FROM reservation r \
                         LEFT JOIN reservation_item i ON i.reservation_id = r.reservation_id \
                         WHERE r.reservation_id = $1";
        let rows = sqlx::query(statement).bind(id).fetch_all(self.database.pool()).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let word: String = first.try_get("state")?;
        let state = State::of(&word).ok_or_else(|| sqlx::Error::Decode(word.into()))?;
        let mut items = BTreeMap::new();
        for row in &rows {
            if let Some(product) = row.try_get::<Option<String>, _>("product_id")? {
                items.insert(product, row.try_get("quantity")?);
            }
        }
        let (items, expires_at) = (Items::kept(items), first.try_get("expires_at")?);
        Ok(Some(Reservation { id: id.to_owned(), state, items, expires_at }))
    }
}

fn stock(row: &AnyRow) -> Result<Stock, sqlx::Error> {
    let (on_hand, reserved): (i64, i64) = (row.try_get("on_hand")?, row.try_get("reserved")?);
    Ok(Stock { product_id: row.try_get("product_id")?, on_hand, reserved, available: on_hand - reserved })
}
