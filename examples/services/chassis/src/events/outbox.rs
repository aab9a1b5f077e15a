//! What is to be told is written down together with what it tells of.

use std::sync::Arc;

use tokio::sync::Notify;

use super::way::BUS;
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

    /// What waits for somebody to whom there is no way any more is given to those who are told now, if a broker has come
    /// or gone: it stands for all of them. Else it becomes a dead letter, which is listed; nobody looks for what waits.
    /// How many became that.
    pub(crate) async fn readdress(&self, write: &mut Write) -> Result<u64, sqlx::Error> {
        let waited_for = "SELECT DISTINCT subscriber FROM delivery WHERE state = 'waiting'";
        let waited_for: Vec<String> = sqlx::query_scalar(waited_for).fetch_all(&mut **write).await?;
        let mut dead = 0;
        for stray in waited_for.iter().filter(|name| !self.subscribers.contains(name)) {
            let has_heirs = !self.subscribers.is_empty()
                && (stray == BUS || self.subscribers.iter().any(|name| name == BUS));
            let (many, what) = if has_heirs {
                (self.hand_over(write, stray).await?, "given to those who are told now")
            } else {
                let many = bury(write, stray).await?;
                dead += many;
                (many, "they are dead letters")
            };
            tracing::warn!(subscriber = stray, events = many, "there is no way to it any more: {what}");
        }
        Ok(dead)
    }

    async fn hand_over(&self, write: &mut Write, stray: &str) -> Result<u64, sqlx::Error> {
        for heir in &*self.subscribers {
            let statement = "INSERT INTO delivery (event_id, subscriber, state, attempts, next_at, lease_until) \
                             SELECT event_id, CAST($1 AS TEXT), 'waiting', 0, CAST($2 AS BIGINT), 0 FROM delivery \
                             WHERE state = 'waiting' AND subscriber = $3 ON CONFLICT (event_id, subscriber) \
                             DO UPDATE SET state = 'waiting', attempts = 0, next_at = excluded.next_at";
            sqlx::query(statement).bind(heir).bind(now_ms()).bind(stray).execute(&mut **write).await?;
        }
        let statement = "DELETE FROM delivery WHERE state = 'waiting' AND subscriber = $1";
        Ok(sqlx::query(statement).bind(stray).execute(&mut **write).await?.rows_affected())
    }
}

async fn bury(write: &mut Write, stray: &str) -> Result<u64, sqlx::Error> {
    let statement = "UPDATE delivery SET state = 'dead', lease_until = 0, last_error = $1 \
                     WHERE state = 'waiting' AND subscriber = $2";
    let why = "nobody is told under this name any more";
    Ok(sqlx::query(statement).bind(why).bind(stray).execute(&mut **write).await?.rows_affected())
}
