//! What is sold, by day and by product. What is booked can be taken back, and then nothing is left of it.

use std::collections::BTreeMap;

use chassis::Write;
use serde::{Deserialize, Serialize};

/// An order as it is booked.
#[derive(Deserialize, Serialize)]
pub(crate) struct Sale {
    pub(crate) day: String,
    pub(crate) currency: String,
    pub(crate) total_cents: i64,
    pub(crate) items: Vec<SoldItem>,
}

/// So many of this, at this price.
#[derive(Deserialize, Serialize)]
pub(crate) struct SoldItem {
    product_id: String,
    quantity: i64,
    unit_cents: i64,
}

/// Which way it is booked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Back,
    In,
}

impl Sale {
    /// Adds it to the figures, or takes it back.
    pub(crate) async fn book(&self, write: &mut Write, way: Way) -> Result<(), sqlx::Error> {
        let sign = if way == Way::In { 1 } else { -1 };
        let mut products: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for item in &self.items {
            let (pieces, cents) = products.entry(&item.product_id).or_default();
            *pieces += item.quantity;
            *cents += item.quantity.saturating_mul(item.unit_cents);
        }
        let by_day = "INSERT INTO sales_day (day, currency, orders, pieces, revenue_cents) VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (day, currency) DO UPDATE SET orders = sales_day.orders + excluded.orders, \
                      pieces = sales_day.pieces + excluded.pieces, \
                      revenue_cents = sales_day.revenue_cents + excluded.revenue_cents";
        sqlx::query(by_day)
            .bind(&self.day)
            .bind(&self.currency)
            .bind(sign)
            .bind(sign * products.values().map(|(pieces, _)| pieces).sum::<i64>())
            .bind(sign * self.total_cents)
            .execute(&mut **write)
            .await?;
        let by_product = "INSERT INTO sales_product (product_id, currency, orders, pieces, revenue_cents) \
                          VALUES ($1, $2, $3, $4, $5) ON CONFLICT (product_id, currency) DO UPDATE SET \
                          orders = sales_product.orders + excluded.orders, \
                          pieces = sales_product.pieces + excluded.pieces, \
                          revenue_cents = sales_product.revenue_cents + excluded.revenue_cents";
        for (product_id, (pieces, cents)) in products {
            sqlx::query(by_product)
                .bind(product_id)
                .bind(&self.currency)
                .bind(sign)
                .bind(sign * pieces)
                .bind(sign * cents)
                .execute(&mut **write)
                .await?;
        }
        Ok(())
    }
}
