//! Sees an order through: does the next step, writes down that it is done, and so on, until nothing is left to do.
//!
//! Between a step and writing it down there is a moment in which we may crash. So every step can be done twice: it
//! carries a key made from the order's id, and the service it asks does it once. One driver at a time holds the lease of an order; if it dies,
//! the lease runs out and another goes on from what is written.

mod calls;
mod crash;

use std::sync::LazyLock;
use std::time::Duration;

use chassis::{Chassis, Database, SettingsError, now_ms};
use prometheus::{IntCounterVec, register_int_counter_vec};
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use crate::order::{By, Happened, Next, Status, Step};
use crate::store::{AppendError, Loaded, Store};
use calls::{Calls, Outcome};

/// The first wait after a step that could not be done, and the longest.
const WAIT_MIN_MS: i64 = 500;
const WAIT_MAX_MS: i64 = 15_000;

static ENDED: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!("shop_orders_total", "Orders, by what became of them.", &["status"]).ok()
});

/// The orchestrator.
pub(crate) struct Saga {
    database: Database,
    store: Store,
    calls: Calls,
    crash: crash::Crash,
    stop: CancellationToken,
    lease_ms: i64,
    give_up_after_ms: i64,
}

/// The right to drive an order.
pub(crate) struct Lease {
    pub(crate) order_id: String,
    pub(crate) attempts: i64,
    pub(crate) traceparent: String,
    pub(crate) opened_at: i64,
}

impl Saga {
    pub(crate) fn new(chassis: &Chassis, store: Store) -> Result<Self, SettingsError> {
        let settings = &chassis.settings;
        Ok(Self {
            database: chassis.database.clone(),
            store,
            calls: Calls::new(chassis)?,
            crash: crash::Crash::of(settings),
            stop: chassis.stop.clone(),
            lease_ms: settings.parsed("SAGA_LEASE_MS", 20_000)?,
            give_up_after_ms: settings.parsed("GIVE_UP_AFTER_S", 24 * 3600_i64)? * 1000,
        })
    }

    /// How long a driver is believed to live without a sign.
    pub(crate) fn lease_ms(&self) -> i64 {
        self.lease_ms
    }

    /// Drives an order until it has come to its end, or has to wait.
    #[tracing::instrument(name = "see an order through", skip_all, fields(order.id = lease.order_id, order.status))]
    pub(crate) async fn drive(&self, lease: &Lease) -> Result<Option<Loaded>, sqlx::Error> {
        let Some(mut loaded) = self.store.load(&lease.order_id).await? else { return Ok(None) };
        loop {
            let (events, error) = match loaded.order.next() {
                Next::Nothing => break,
                Next::End(By::Refusal) => (vec![Happened::Rejected], None),
                Next::End(By::Shopper) => (vec![Happened::Cancelled], None),
                // We end. Another instance, or the next, goes on from here.
                Next::Do(_) if self.stop.is_cancelled() => {
                    let free = sqlx::query("UPDATE saga SET lease_until = 0 WHERE order_id = $1");
                    free.bind(&loaded.id).execute(self.database.pool()).await?;
                    break;
                }
                Next::Do(step) => {
                    self.crash.here(step, "before");
                    let outcome = self.calls.perform(step, &loaded).await;
                    self.crash.here(step, "after");
                    match outcome {
                        Outcome::Done(events) => (events, None),
                        Outcome::Refused(reason) => {
                            (vec![Happened::Closing { by: By::Refusal, reason }], None)
                        }
                        Outcome::Unknown(why) => self.wait_or_give_up(lease, &loaded, step, why),
                    }
                }
            };
            let waits = error.is_some();
            match self.save(&mut loaded, &events, lease, error.as_deref()).await {
                // The shopper called it off meanwhile: what is next has changed.
                Err(AppendError::Outrun) => {
                    let Some(now) = self.store.load(&lease.order_id).await? else { return Ok(None) };
                    loaded = now;
                    continue;
                }
                Err(AppendError::Database(error)) => return Err(error),
                Ok(()) => {}
            }
            self.crash.saved(&events);
            if waits {
                break;
            }
        }
        let status = loaded.order.status();
        tracing::Span::current().record("order.status", status.word());
        if let (Some(ended), true) = (&*ENDED, is_end(status)) {
            ended.with_label_values(&[status.word()]).inc();
        }
        Ok(Some(loaded))
    }

    /// A step of which nobody knows whether it was done is done again later. What leads to the end is given up one day;
    /// what undoes is not.
    fn wait_or_give_up(
        &self,
        lease: &Lease,
        loaded: &Loaded,
        step: Step,
        why: String,
    ) -> (Vec<Happened>, Option<String>) {
        tracing::warn!(order = loaded.id, step = step.word(), why, "it has to wait");
        let undoes = matches!(step, Step::Release | Step::Void);
        if !undoes && step != Step::Confirm && now_ms() - lease.opened_at > self.give_up_after_ms {
            return (vec![Happened::Closing { by: By::Refusal, reason: "given_up".to_owned() }], None);
        }
        if loaded.order.delayed == Some(step) || undoes {
            return (Vec::new(), Some(why));
        }
        (vec![Happened::Delayed { step, why: why.clone() }], Some(why))
    }

    /// Writes down what happened and where the work stands, both or neither.
    #[tracing::instrument(name = "save", skip_all, fields(events = ?names(events)))]
    async fn save(
        &self,
        loaded: &mut Loaded,
        events: &[Happened],
        lease: &Lease,
        error: Option<&str>,
    ) -> Result<(), AppendError> {
        let mut write = self.database.write().await?;
        let mut after = loaded.clone();
        self.store.append(&mut write, &mut after, events).await?;
        let now = now_ms();
        let (state, next_at, lease_until) = match error {
            Some(_) => ("open", now + wait_ms(lease.attempts), 0),
            None if is_end(after.order.status()) => ("closed", now, 0),
            None => ("open", now, now + self.lease_ms),
        };
        let statement = "UPDATE saga SET state = $1, next_at = $2, lease_until = $3, attempts = $4, last_error = $5 \
                         WHERE order_id = $6";
        sqlx::query(statement)
            .bind(state)
            .bind(next_at)
            .bind(lease_until)
            .bind(if error.is_some() { lease.attempts + 1 } else { 0 })
            .bind(error.unwrap_or_default().chars().take(500).collect::<String>())
            .bind(&after.id)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        *loaded = after;
        Ok(())
    }

    /// Takes orders that wait for somebody to drive them.
    pub(crate) async fn lease(&self, at_most: i64) -> Result<Vec<Lease>, sqlx::Error> {
        let now = now_ms();
        let look =
            "SELECT order_id FROM saga WHERE state = 'open' AND next_at <= $1 AND lease_until < $1 LIMIT 1";
        if sqlx::query(look).bind(now).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut write = self.database.write().await?;
        let take = "UPDATE saga SET lease_until = $1 WHERE state = 'open' AND lease_until < $2 AND order_id IN \
                    (SELECT order_id FROM saga WHERE state = 'open' AND next_at <= $2 AND lease_until < $2 \
                    ORDER BY next_at LIMIT $3) RETURNING order_id, attempts, traceparent, opened_at";
        let rows = sqlx::query(take)
            .bind(now + self.lease_ms)
            .bind(now)
            .bind(at_most)
            .fetch_all(&mut *write)
            .await?;
        write.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(Lease {
                    order_id: row.try_get("order_id")?,
                    attempts: row.try_get("attempts")?,
                    traceparent: row.try_get("traceparent")?,
                    opened_at: row.try_get("opened_at")?,
                })
            })
            .collect()
    }
}

fn is_end(status: Status) -> bool {
    matches!(status, Status::Cancelled | Status::Completed | Status::Rejected)
}

fn names(events: &[Happened]) -> Vec<String> {
    let name = |happened: &Happened| serde_json::to_value(happened).ok()?["kind"].as_str().map(str::to_owned);
    events.iter().filter_map(name).collect()
}

fn wait_ms(attempts: i64) -> i64 {
    let wait = Duration::from_millis(WAIT_MIN_MS.unsigned_abs()) * (1 << attempts.clamp(0, 10));
    i64::try_from(wait.as_millis()).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS)
}
