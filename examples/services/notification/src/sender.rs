//! Sends what was written down: here, to the log. A message is marked as sent and *then* sent, so one that is under way
//! when the service is killed is not sent a second time. To lose one instead of sending it twice is a choice; whoever
//! has a mail provider that knows messages by a key gives it event and channel, and marks afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::{Database, now_ms};
use sqlx::Row;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// So many at once.
const SOME: i64 = 50;
/// What another instance wrote rings no bell here.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// What has not moved for so long has come to its end.
const KEEP_JOURNEYS_MS: i64 = 30 * 24 * 3600 * 1000;

/// Sends.
pub(crate) struct Sender {
    pub(crate) database: Database,
    pub(crate) bell: Arc<Notify>,
    pub(crate) stop: CancellationToken,
}

impl Sender {
    /// Until the service ends.
    pub(crate) async fn run(self) {
        let mut tidied = Instant::now();
        while !self.stop.is_cancelled() {
            // It listens before it looks: what is written in between is not overheard.
            let mut rung = std::pin::pin!(self.bell.notified());
            rung.as_mut().enable();
            match self.send_some().await {
                Ok(SOME) => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "nothing can be sent"),
            }
            if tidied.elapsed() > TIDY_EVERY {
                tidied = Instant::now();
                if let Err(error) = self.tidy().await {
                    tracing::warn!(%error, "nothing can be tidied");
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = rung => {}
            }
        }
    }

    async fn send_some(&self) -> Result<i64, sqlx::Error> {
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = "SELECT id FROM message WHERE sent_at = 0 LIMIT 1";
        if sqlx::query(look).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(0);
        }
        let mut write = self.database.write().await?;
        let take = "UPDATE message SET sent_at = $1 WHERE sent_at = 0 AND id IN \
                    (SELECT id FROM message WHERE sent_at = 0 ORDER BY id LIMIT $2) \
                    RETURNING id, channel, recipient, subject";
        let taken = sqlx::query(take).bind(now_ms()).bind(SOME).fetch_all(&mut *write).await?;
        write.commit().await?;
        for row in &taken {
            let id: String = row.try_get("id")?;
            let channel: String = row.try_get("channel")?;
            let to: String = row.try_get("recipient")?;
            let subject: String = row.try_get("subject")?;
            tracing::info!(channel, to, subject, id, "sent");
        }
        Ok(i64::try_from(taken.len()).unwrap_or(SOME))
    }

    async fn tidy(&self) -> Result<(), sqlx::Error> {
        let mut write = self.database.write().await?;
        let old = "DELETE FROM journey WHERE at < $1";
        sqlx::query(old).bind(now_ms() - KEEP_JOURNEYS_MS).execute(&mut *write).await?;
        write.commit().await
    }
}
