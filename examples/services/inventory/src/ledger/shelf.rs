//! What is put on the shelf: by staff, and when the shop opens.

use chassis::now_ms;
use serde::Deserialize;

use super::{Ledger, Stock, stock};
use crate::refusal::Refusal;

/// What the shop opens with.
const CATALOGUE: &str = include_str!("../../../catalogue.json");

#[derive(Deserialize)]
struct Opening {
    id: String,
    stock: i64,
}

impl Ledger {
    /// Says how many pieces of a product are on the shelf. What is promised must be among them.
    pub(crate) async fn put(&self, product: &str, on_hand: i64) -> Result<Stock, Refusal> {
        let mut write = self.database.write().await?;
        let statement = "INSERT INTO stock (product_id, on_hand, reserved, changed_at) VALUES ($1, $2, 0, $3) \
                         ON CONFLICT (product_id) DO UPDATE SET on_hand = excluded.on_hand, \
                         changed_at = excluded.changed_at WHERE stock.reserved <= excluded.on_hand \
                         RETURNING product_id, on_hand, reserved";
        let row = sqlx::query(statement)
            .bind(product)
            .bind(on_hand)
            .bind(now_ms())
            .fetch_optional(&mut *write)
            .await?;
        let stock = stock(&row.ok_or(Refusal::Promised)?)?;
        write.commit().await?;
        Ok(stock)
    }

    /// Fills the shelf from the catalogue, unless something was ever on it.
    pub(crate) async fn open(&self) -> Result<(), Refusal> {
        let products: Vec<Opening> =
            serde_json::from_str(CATALOGUE).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let mut write = self.database.write().await?;
        let some = sqlx::query("SELECT product_id FROM stock LIMIT 1").fetch_optional(&mut *write).await?;
        if some.is_some() {
            return Ok(());
        }
        // Of several that open at once each brings the same.
        let statement = "INSERT INTO stock (product_id, on_hand, reserved, changed_at) VALUES ($1, $2, 0, $3) \
                         ON CONFLICT (product_id) DO NOTHING";
        for product in products {
            sqlx::query(statement)
                .bind(product.id)
                .bind(product.stock)
                .bind(now_ms())
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(())
    }
}
