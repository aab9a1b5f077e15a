//! The keys of requests: the same request twice is the same order, as long as its key is remembered.

use axum::http::StatusCode;
use chassis::{Database, Failure, Settings, SettingsError, Write, now_ms};
use ring::digest;
use sqlx::Row;

use crate::desk::Wanted;
use crate::store::written;

/// Forgotten in one transaction.
const FORGET: i64 = 500;

/// The keys.
#[derive(Clone)]
pub(crate) struct Keys {
    database: Database,
    keep_ms: i64,
}

impl Keys {
    pub(crate) fn new(database: &Database, settings: &Settings) -> Result<Self, SettingsError> {
        let keep_ms = settings.parsed("KEEP_KEYS_S", 7 * 24 * 3600_i64)?.saturating_mul(1000);
        Ok(Self { database: database.clone(), keep_ms })
    }

    /// Notes the key of a request, if it has one, in the transaction that takes its order down; `false` if it was noted
    /// before. Of two that come at once, the second waits here until the first is written or gone.
    pub(crate) async fn note(
        &self,
        write: &mut Write,
        wanted: &Wanted,
        order: &str,
    ) -> Result<bool, sqlx::Error> {
        let Some(key) = &wanted.key else { return Ok(true) };
        let statement = "INSERT INTO order_key (user_id, request_key, request, order_id, at) \
                         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let noted = sqlx::query(statement)
            .bind(&wanted.user_id)
            .bind(key)
            .bind(digest(&request(wanted)))
            .bind(order)
            .bind(now_ms())
            .execute(&mut **write)
            .await?;
        Ok(noted.rows_affected() == 1)
    }

    /// The order of this request's key, if there is one. 422 if the key was used for something else.
    pub(crate) async fn order_of(&self, wanted: &Wanted) -> Result<Option<String>, Failure> {
        let Some(key) = &wanted.key else { return Ok(None) };
        let statement = "SELECT order_id, request FROM order_key WHERE user_id = $1 AND request_key = $2";
        let row = sqlx::query(statement).bind(&wanted.user_id).bind(key);
        let Some(row) = row.fetch_optional(self.database.pool()).await? else { return Ok(None) };
        let (kept, asked) = (row.try_get::<String, _>("request")?, digest(&request(wanted)));
        // Before there were digests the request itself was kept; such keys are forgotten within a week.
        if kept != asked && digest(&kept) != asked {
            let message = "this Idempotency-Key was used for another order";
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message));
        }
        Ok(Some(row.try_get("order_id")?))
    }

    /// Forgets old ones: some of them.
    pub(crate) async fn forget(&self) -> Result<(), sqlx::Error> {
        let old = now_ms() - self.keep_ms;
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = sqlx::query("SELECT order_id FROM order_key WHERE at < $1 LIMIT 1").bind(old);
        if look.fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(());
        }
        let forget = "DELETE FROM order_key WHERE (user_id, request_key) IN \
                      (SELECT user_id, request_key FROM order_key WHERE at < $1 ORDER BY at LIMIT $2)";
        let mut write = self.database.write().await?;
        sqlx::query(forget).bind(old).bind(FORGET).execute(&mut *write).await?;
        write.commit().await
    }
}

/// The request, as it is compared with the one that came before under the same key. Its items are in order.
fn request(wanted: &Wanted) -> String {
    written(&(&wanted.items, &wanted.pay_by))
}

/// Its SHA-256, which is what is kept of it: it names what one can pay with, and is only compared.
fn digest(request: &str) -> String {
    let digest = digest::digest(&digest::SHA256, request.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
