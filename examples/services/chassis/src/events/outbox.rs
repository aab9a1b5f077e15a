//! What is to be told is written down together with what it tells of.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Event, traceparent};
use crate::clock::now_ms;
use crate::database::Write;

/// Where events wait until they are told.
#[derive(Clone)]
pub struct Outbox {
    source: &'static str,
    subscribers: Arc<[String]>,
    pub(super) bell: Arc<Notify>,
}

impl Outbox {
    pub(crate) fn new(source: &'static str, subscribers: Vec<String>) -> Self {
        Self { source, subscribers: subscribers.into(), bell: Arc::default() }
    }

    /// Writes it down. It is told when, and only if, the transaction is committed.
    pub async fn put(&self, write: &mut Write, mut event: Event) -> Result<(), sqlx::Error> {
        self.source.clone_into(&mut event.source);
        let body = serde_json::to_string(&event).unwrap_or_default();
        let now = now_ms();
        sqlx::query("INSERT INTO outbox (id, body, traceparent, at) VALUES ($1, $2, $3, $4)")
            .bind(&event.id)
            .bind(body)
            .bind(traceparent())
            .bind(now)
            .execute(&mut **write)
            .await?;
        for subscriber in &*self.subscribers {
            let statement = "INSERT INTO delivery (event_id, subscriber, state, attempts, next_at, lease_until) \
                             VALUES ($1, $2, 'waiting', 0, $3, 0)";
            sqlx::query(statement).bind(&event.id).bind(subscriber).bind(now).execute(&mut **write).await?;
        }
        write.rings(self.bell.clone());
        Ok(())
    }
}
