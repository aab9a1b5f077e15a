//! Takes what is in the outbox to each subscriber, until it has it. One task a subscriber: one that is away holds up
//! nobody else. Several instances of a service may do this on one database: an event that one of them is at is leased.

use std::time::Duration;

use futures_util::future::join_all;
use prometheus::{IntCounterVec, IntGaugeVec, register_int_counter_vec, register_int_gauge_vec};
use sqlx::Row;
use std::sync::LazyLock;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::way::Told;
use super::{Event, Outbox, Way, context_of};
use crate::clock::now_ms;
use crate::database::Database;

/// Told at once to one subscriber.
const AT_ONCE: i64 = 8;
/// How long one may be at it. Longer than telling takes, and not so long that a crash holds up the shop.
const LEASE_MS: i64 = 10_000;
/// So many refusals make a dead letter: two minutes of patience.
const ATTEMPTS_MAX: i64 = 8;
/// What nobody wants is told again after a second, and then after twice as long each time, so often.
const DOUBLINGS_MAX: i64 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// What another instance wrote rings no bell here.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// A hundred a second, which is more than the shop tells.
const TIDY_AT_ONCE: i64 = 500;
const KEEP_TOLD_MS: i64 = 24 * 3600 * 1000;
const KEEP_HEARD_MS: i64 = 7 * 24 * 3600 * 1000;

static TOLD: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!("shop_events_total", "Events told.", &["subscriber", "outcome"]).ok()
});
static LEFT: LazyLock<Option<IntGaugeVec>> =
    LazyLock::new(|| register_int_gauge_vec!("shop_events_left", "Events not heard yet.", &["state"]).ok());

/// The deliveries of one service.
pub(crate) struct Deliveries {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    pub(crate) stop: CancellationToken,
}

/// One event for one subscriber.
struct Due {
    event: Event,
    traceparent: String,
    attempts: i64,
    lease_until: i64,
}

impl Deliveries {
    /// Tells this subscriber until the service ends.
    pub(crate) async fn run(&self, subscriber: &str, way: &Way) {
        let mut pause = PAUSE_MIN;
        while !self.stop.is_cancelled() {
            // Who listens only after the look misses what is put there in between.
            let rung = self.outbox.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let round = self.round(subscriber, way).await;
            let wait = match round {
                Ok(Round::Away) => {
                    pause = (pause * 2).min(PAUSE_MAX);
                    pause
                }
                Ok(Round::Nothing) => LOOK_EVERY,
                Ok(Round::Some) => {
                    pause = PAUSE_MIN;
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, subscriber, "the outbox cannot be read");
                    PAUSE_MAX
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                () = rung, if wait == LOOK_EVERY => {}
            }
        }
    }

    async fn round(&self, subscriber: &str, way: &Way) -> Result<Round, sqlx::Error> {
        let due = self.lease(subscriber).await?;
        if due.is_empty() {
            return Ok(Round::Nothing);
        }
        let told = join_all(due.iter().map(|due| tell(due, subscriber, way))).await;
        let mut round = Round::Some;
        let mut write = self.database.write().await?;
        for (due, told) in due.iter().zip(told) {
            let (state, outcome, attempts, wait, error) = match told {
                Told::Away(why) => {
                    round = Round::Away;
                    ("waiting", "away", due.attempts, 0, Some(why))
                }
                Told::Unwanted(why) => {
                    let wait = 1000 << due.attempts.min(DOUBLINGS_MAX);
                    ("waiting", "unwanted", due.attempts + 1, wait, Some(why))
                }
                Told::Heard => ("done", "heard", due.attempts, 0, None),
                Told::Refused(why) if due.attempts + 1 < ATTEMPTS_MAX => {
                    ("waiting", "refused", due.attempts + 1, 1000 << due.attempts, Some(why))
                }
                Told::Refused(why) => ("dead", "dead", due.attempts + 1, 0, Some(why)),
            };
            if let Some(why) = &error {
                tracing::warn!(subscriber, event = due.event.id, kind = due.event.kind, outcome, why);
            }
            if let Some(told) = &*TOLD {
                told.with_label_values(&[subscriber, outcome]).inc();
            }
            // If it took longer than the lease, another instance is at it, and what that one sees counts.
            let statement = "UPDATE delivery SET state = $1, attempts = $2, next_at = $3, lease_until = 0, \
                             last_error = $4 WHERE event_id = $5 AND subscriber = $6 AND lease_until = $7";
            sqlx::query(statement)
                .bind(state)
                .bind(attempts)
                .bind(now_ms() + wait)
                .bind(error)
                .bind(&due.event.id)
                .bind(subscriber)
                .bind(due.lease_until)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(round)
    }

    async fn lease(&self, subscriber: &str) -> Result<Vec<Due>, sqlx::Error> {
        let now = now_ms();
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = "SELECT event_id FROM delivery WHERE state = 'waiting' AND subscriber = $1 AND next_at <= $2 \
                    AND lease_until < $2 LIMIT 1";
        let some = sqlx::query(look).bind(subscriber).bind(now).fetch_optional(self.database.pool()).await?;
        if some.is_none() {
            return Ok(Vec::new());
        }
        let lease_until = now + LEASE_MS;
        let mut write = self.database.write().await?;
        let take = "UPDATE delivery SET lease_until = $1 WHERE subscriber = $2 AND lease_until < $3 \
                    AND state = 'waiting' AND event_id IN (SELECT event_id FROM delivery WHERE subscriber = $2 \
                    AND state = 'waiting' AND next_at <= $3 AND lease_until < $3 ORDER BY event_id LIMIT $4) \
                    RETURNING event_id, attempts";
        let taken = sqlx::query(take)
            .bind(lease_until)
            .bind(subscriber)
            .bind(now)
            .bind(AT_ONCE)
            .fetch_all(&mut *write)
            .await?;
        write.commit().await?;
        let mut due = Vec::with_capacity(taken.len());
        for row in taken {
            let id: String = row.try_get("event_id")?;
            let event = sqlx::query("SELECT body, traceparent FROM outbox WHERE id = $1")
                .bind(&id)
                .fetch_one(self.database.pool())
                .await?;
            let body: String = event.try_get("body")?;
            let event_body =
                serde_json::from_str(&body).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let traceparent = event.try_get("traceparent")?;
            let attempts = row.try_get("attempts")?;
            due.push(Due { event: event_body, traceparent, attempts, lease_until });
        }
        due.sort_by(|one, other| one.event.id.cmp(&other.event.id));
        Ok(due)
    }

    /// Forgets what was told long ago, and counts what is left.
    pub(crate) async fn tidy(&self) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.tidy_once().await {
                tracing::error!(%error, "the outbox cannot be tidied");
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(TIDY_EVERY) => {}
            }
        }
    }

    async fn tidy_once(&self) -> Result<(), sqlx::Error> {
        if let Some(left) = &*LEFT {
            for state in ["waiting", "dead"] {
                let count: i64 =
                    sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state = $1")
                        .bind(state)
                        .fetch_one(self.database.pool())
                        .await?;
                left.with_label_values(&[state]).set(count);
            }
        }
        let now = now_ms();
        let told = "SELECT o.id FROM outbox o WHERE o.at < $1 AND NOT EXISTS \
                    (SELECT 1 FROM delivery d WHERE d.event_id = o.id AND d.state <> 'done') LIMIT $2";
        let forget: [&[&str]; 3] = [
            &["DELETE FROM delivery WHERE event_id = $1", "DELETE FROM outbox WHERE id = $1"],
            &["DELETE FROM inbox WHERE event_id = $1"],
            &["DELETE FROM refusal WHERE event_id = $1"],
        ];
        let heard = "SELECT event_id FROM inbox WHERE at < $1 LIMIT $2";
        let refused = "SELECT event_id FROM refusal WHERE at < $1 LIMIT $2";
        let keep = [KEEP_TOLD_MS, KEEP_HEARD_MS, KEEP_HEARD_MS];
        for ((old, keep), forget) in [told, heard, refused].into_iter().zip(keep).zip(forget) {
            let old: Vec<String> = sqlx::query_scalar(old)
                .bind(now - keep)
                .bind(TIDY_AT_ONCE)
                .fetch_all(self.database.pool())
                .await?;
            // A transaction that writes holds up others: none if there is nothing to do, and a short one else.
            if old.is_empty() {
                continue;
            }
            let mut write = self.database.write().await?;
            for id in &old {
                for statement in forget {
                    sqlx::query(*statement).bind(id).execute(&mut *write).await?;
                }
            }
            write.commit().await?;
        }
        Ok(())
    }
}

enum Round {
    Away,
    Nothing,
    Some,
}

async fn tell(due: &Due, subscriber: &str, way: &Way) -> Told {
    let span = tracing::info_span!(
        "tell",
        otel.name = format!("tell {} to {subscriber}", due.event.kind),
        otel.kind = "producer",
        event.id = due.event.id,
    );
    let _ = span.set_parent(context_of(&due.traceparent));
    way.tell(&due.event).instrument(span).await
}
