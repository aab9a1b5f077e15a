//! Sees an order through: does the next step, writes down that it is done, and so on, until nothing is left to do.
//!
//! Between a step and writing it down there is a moment in which we may crash. So every step can be done twice: it
//! carries a key made from the order's id, and the service it asks does it once. One driver at a time holds the lease of
//! an order (`leases.rs`); if it dies, the lease runs out and another goes on from what is written.

mod calls;
mod crash;
mod leases;

use std::sync::LazyLock;

use chassis::{Chassis, Database, SettingsError, now_ms};
use prometheus::{IntCounterVec, register_int_counter_vec};
use tokio_util::sync::CancellationToken;

use crate::order::{By, Happened, Next, Step};
use crate::store::{AppendError, Loaded, Store};
use calls::{Calls, Outcome};
use leases::Stand;
pub(crate) use leases::{First, Lease, Leases};

static ENDED: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!("shop_orders_total", "Orders, by what became of them.", &["status"]).ok()
});

/// The orchestrator.
pub(crate) struct Saga {
    database: Database,
    store: Store,
    pub(crate) leases: Leases,
    calls: Calls,
    crash: crash::Crash,
    stop: CancellationToken,
    give_up_after_ms: i64,
}

/// What came of writing down.
enum Saved {
    /// Nothing is written: the lease is somebody else's by now.
    Lost,
    /// Nothing is written: something happened to the order meanwhile.
    Outrun,
    Written,
}

/// A step that could not be done.
struct Attempt {
    /// How often it was tried.
    times: i64,
    why: String,
}

impl Saga {
    pub(crate) fn new(chassis: &Chassis, store: Store) -> Result<Self, SettingsError> {
        let settings = &chassis.settings;
        Ok(Self {
            database: chassis.database.clone(),
            store,
            leases: Leases::new(&chassis.database, settings)?,
            calls: Calls::new(chassis)?,
            crash: crash::Crash::of(settings),
            stop: chassis.stop.clone(),
            give_up_after_ms: settings.parsed("GIVE_UP_AFTER_S", 24 * 3600_i64)?.saturating_mul(1000),
        })
    }

    /// Drives an order until it has come to its end, has to wait, or is somebody else's. If the database fails, it is
    /// taken up again when the lease has run out.
    pub(crate) async fn drive(&self, lease: &Lease) {
        if let Err(error) = self.steps(lease).await {
            tracing::error!(%error, order = lease.order_id, "it waits until its lease has run out");
        }
    }

    #[tracing::instrument(name = "see an order through", skip_all,
        fields(order.id = lease.order_id, order.status, attempt = lease.attempts))]
    async fn steps(&self, lease: &Lease) -> Result<(), sqlx::Error> {
        let Some(mut loaded) = self.store.load(&lease.order_id).await? else { return Ok(()) };
        let mut tried = lease.attempts;
        loop {
            tracing::Span::current().record("order.status", loaded.order.status().word());
            let (events, failed) = match loaded.order.next() {
                Next::Nothing => return Ok(()),
                Next::End(By::Refusal) => (vec![Happened::Rejected], None),
                Next::End(By::Shopper) => (vec![Happened::Cancelled], None),
                // We end. Another instance, or the next, goes on from here.
                Next::Do(_) if self.stop.is_cancelled() => return self.leases.give_back(lease).await,
                Next::Do(step) => {
                    self.crash.here(step, "before");
                    let outcome = self.calls.perform(step, &loaded).await;
                    self.crash.here(step, "after");
                    match outcome {
                        Outcome::Done(events) => (events, None),
                        Outcome::Refused(reason) => (vec![refused(reason)], None),
                        Outcome::Unknown(why) if self.is_given_up(lease, step) => {
                            tracing::warn!(order = loaded.id, step = step.word(), why, "it is given up");
                            (vec![refused("given_up".to_owned())], None)
                        }
                        Outcome::Unknown(why) => {
                            tracing::warn!(order = loaded.id, step = step.word(), why, "it has to wait");
                            (delayed(&loaded, step, &why), Some(Attempt { times: tried + 1, why }))
                        }
                    }
                }
            };
            match self.save(&mut loaded, &events, lease, failed.as_ref()).await? {
                Saved::Lost => {
                    tracing::warn!(order = loaded.id, "another driver has taken over");
                    return Ok(());
                }
                // The shopper called it off meanwhile: what is next has changed.
                Saved::Outrun => {
                    let Some(now) = self.store.load(&lease.order_id).await? else { return Ok(()) };
                    loaded = now;
                    continue;
                }
                Saved::Written => self.crash.saved(&events),
            }
            if failed.is_some() {
                tracing::Span::current().record("order.status", loaded.order.status().word());
                return Ok(());
            }
            tried = 0;
        }
    }

    /// What leads to the end is given up one day. What undoes is not, and neither is what is paid.
    fn is_given_up(&self, lease: &Lease, step: Step) -> bool {
        matches!(step, Step::Charge | Step::Check | Step::Reserve)
            && now_ms() - lease.opened_at > self.give_up_after_ms
    }

    /// Writes down what happened and where the work stands, both or neither.
    #[tracing::instrument(name = "save", skip_all, fields(order.id = loaded.id, order.version, order.status,
        events = names(events).join(", ")))]
    async fn save(
        &self,
        loaded: &mut Loaded,
        events: &[Happened],
        lease: &Lease,
        failed: Option<&Attempt>,
    ) -> Result<Saved, sqlx::Error> {
        let ends = events.iter().any(Happened::is_end);
        let stand = match failed {
            Some(Attempt { times, why }) => Stand::Waits { attempts: *times, why },
            None if ends => Stand::Closed,
            None => Stand::Goes,
        };
        let mut write = self.database.write().await?;
        if !self.leases.settle(&mut write, lease, &stand).await? {
            return Ok(Saved::Lost);
        }
        let mut after = loaded.clone();
        match self.store.append(&mut write, &mut after, events).await {
            Err(AppendError::Database(error)) => return Err(error),
            Err(AppendError::Outrun) => return Ok(Saved::Outrun),
            Ok(()) => write.commit().await?,
        }
        *loaded = after;
        let (span, status) = (tracing::Span::current(), loaded.order.status());
        span.record("order.version", loaded.version).record("order.status", status.word());
        if let (Some(ended), true) = (&*ENDED, ends) {
            ended.with_label_values(&[status.word()]).inc();
        }
        Ok(Saved::Written)
    }
}

fn refused(reason: String) -> Happened {
    Happened::Closing { by: By::Refusal, reason }
}

/// The shopper is told once that a step takes longer. That something is not undone yet is nothing to tell.
fn delayed(loaded: &Loaded, step: Step, why: &str) -> Vec<Happened> {
    let undoes = matches!(step, Step::Release | Step::Void);
    if undoes || loaded.order.delayed == Some(step) {
        return Vec::new();
    }
    vec![Happened::Delayed { step, why: why.to_owned() }]
}

fn names(events: &[Happened]) -> Vec<String> {
    let name = |happened: &Happened| serde_json::to_value(happened).ok()?["kind"].as_str().map(str::to_owned);
    events.iter().filter_map(name).collect()
}
