//! What is over is swept out, a little at a time: sessions that have ended, keys nobody will send again.

use std::time::Duration;

use chassis::{Chassis, Database, now_ms};

const EVERY: Duration = Duration::from_secs(60);
const KEY_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Sweeps until it is told to stop.
pub(crate) async fn keep(chassis: Chassis) {
    let mut clock = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = chassis.stop.cancelled() => return,
        }
        if let Err(error) = sweep(&chassis.database, now_ms()).await {
            tracing::warn!(%error, "what is over stays for now");
        }
    }
}

async fn sweep(database: &Database, now: i64) -> Result<(), sqlx::Error> {
    let mut write = database.write().await?;
    let sessions =
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < $1 LIMIT 500)";
    sqlx::query(sessions).bind(now).execute(&mut *write).await?;
    let keys = "DELETE FROM order_keys WHERE order_id IN \
                (SELECT order_id FROM order_keys WHERE created_at < $1 LIMIT 500)";
    sqlx::query(keys).bind(now - KEY_MS).execute(&mut *write).await?;
    write.commit().await
}
