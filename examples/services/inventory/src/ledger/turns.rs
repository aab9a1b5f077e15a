//! Who reconciles the cache, and what it reads.

use chassis::now_ms;

use super::{Ledger, Stock, stock};

/// Products read at once.
const PAGE: i64 = 500;

impl Ledger {
    /// The next page of the books, by product.
    pub(crate) async fn page(&self, after: &str) -> Result<Vec<Stock>, sqlx::Error> {
        let statement = "SELECT product_id, on_hand, reserved FROM stock WHERE product_id > $1 \
                         ORDER BY product_id LIMIT $2";
        let rows = sqlx::query(statement).bind(after).bind(PAGE).fetch_all(self.database.pool()).await?;
        rows.iter().map(stock).collect()
    }

    /// The highest token that was shown here.
    pub(crate) async fn highest_token(&self, name: &str) -> Result<i64, sqlx::Error> {
        let token = sqlx::query_scalar("SELECT token FROM reconciliation WHERE name = $1")
            .bind(name)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(token.unwrap_or(0))
    }

    /// Notes what a turn has done. False, and nothing is noted, if a turn with a higher token was here before.
    pub(crate) async fn note_turn(
        &self,
        name: &str,
        token: i64,
        products: i64,
        repaired: i64,
    ) -> Result<bool, sqlx::Error> {
        let statement = "INSERT INTO reconciliation (name, token, products, repaired, at) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET token = excluded.token, \
                         products = excluded.products, repaired = excluded.repaired, at = excluded.at \
                         WHERE reconciliation.token <= excluded.token";
        let mut write = self.database.write().await?;
        let noted = sqlx::query(statement)
            .bind(name)
            .bind(token)
            .bind(products)
            .bind(repaired)
            .bind(now_ms())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(noted.rows_affected() == 1)
    }
}
