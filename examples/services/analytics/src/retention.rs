//! Forgets facts of which nothing more is to be expected. The figures made of them stay.

use std::time::Duration;

use chassis::{Database, now_ms};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// So many at once: whoever has something to write does not wait long.
const SOME: i64 = 500;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Forgets.
pub(crate) struct Retention {
    pub(crate) database: Database,
    pub(crate) keep_days: u32,
    pub(crate) stop: CancellationToken,
}

impl Retention {
    /// Until the service ends.
    pub(crate) async fn run(self) {
        while !self.stop.is_cancelled() {
            let wait = match self.forget().await {
                // There is more of it.
                Ok(true) => Duration::from_millis(50),
                Ok(false) => EVERY,
                Err(error) => {
                    tracing::warn!(%error, "old facts are not forgotten");
                    EVERY
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn forget(&self) -> Result<bool, sqlx::Error> {
        let before = now_ms() - i64::from(self.keep_days) * DAY_MS;
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = "SELECT 1 FROM fact WHERE at < $1 LIMIT 1";
        if sqlx::query(look).bind(before).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(false);
        }
        let mut write = self.database.write().await?;
        // What is younger than the batch's end stays: one key is enough to delete both, and neither has a row number.
        let end = "SELECT CAST(MAX(at) AS BIGINT) FROM (SELECT at FROM fact WHERE at < $1 ORDER BY at LIMIT $2) AS old";
        let end: i64 = sqlx::query_scalar(end).bind(before).bind(SOME).fetch_one(&mut *write).await?;
        for statement in ["DELETE FROM fact WHERE at <= $1", "DELETE FROM order_fact WHERE at <= $1"] {
            sqlx::query(statement).bind(end).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(true)
    }
}
