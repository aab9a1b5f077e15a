//! Where orders are taken. An order is written down before anything else, and from then on it is not lost. If there is
//! a free hand, it is seen through while the shopper waits; if not, it is queued and the shopper told where to look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use chassis::{Chassis, Failure, SettingsError};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use uuid::Uuid;

use crate::keys::Keys;
use crate::order::{By, Happened, Item, Order, PayBy};
use crate::queue::Queue;
use crate::saga::{First, Lease, Saga};
use crate::store::{AppendError, Loaded, Store};

/// So long a shopper is kept waiting, taking down included. The edge gives an order three seconds.
const WAIT: Duration = Duration::from_millis(2000);
/// So often calling off is outrun by the order's driver, and no oftener: it has that many steps.
const CANCEL_TRIES: usize = 8;

/// The desk.
#[derive(Clone)]
pub(crate) struct Desk {
    chassis: Chassis,
    store: Store,
    saga: Arc<Saga>,
    keys: Keys,
    queue: Queue,
    /// Hands for orders whose shoppers wait. Those of the queue are others: a long queue keeps no shopper waiting, and
    /// shoppers keep no delayed order from being finished.
    counter: Arc<Semaphore>,
    queue_max: i64,
    open_max: i64,
    promotion: Arc<AtomicBool>,
}

/// What a shopper wants.
pub(crate) struct Wanted {
    pub(crate) user_id: String,
    pub(crate) items: Vec<Item>,
    pub(crate) pay_by: PayBy,
    pub(crate) key: Option<String>,
}

/// An order that is taken, and who sees it through while its shopper waits, if anybody does.
struct Taken {
    id: String,
    driven: Option<JoinHandle<()>>,
}

impl Desk {
    pub(crate) fn new(
        chassis: &Chassis,
        store: Store,
        saga: Arc<Saga>,
        keys: Keys,
        queue: Queue,
    ) -> Result<Self, SettingsError> {
        let settings = &chassis.settings;
        Ok(Self {
            chassis: chassis.clone(),
            store,
            saga,
            keys,
            queue,
            counter: Arc::new(Semaphore::new(settings.parsed("ORDERS_AT_ONCE", 32)?)),
            queue_max: settings.parsed("QUEUE_MAX", 20_000)?,
            open_max: settings.parsed("OPEN_ORDERS_MAX", 100)?,
            promotion: Arc::default(),
        })
    }

    /// During a promotion every order is queued: taking one down costs little, so none is turned away.
    pub(crate) fn promote(&self, on: Option<bool>) -> bool {
        if let Some(on) = on {
            self.promotion.store(on, Ordering::Relaxed);
        }
        self.promotion.load(Ordering::Relaxed)
    }

    /// Takes an order, and sees it through if there is a free hand. Its id, when it is finished or its shopper has waited
    /// long enough.
    pub(crate) async fn take(&self, wanted: Wanted) -> Result<String, Failure> {
        let answer_by = Instant::now() + WAIT;
        let desk = self.clone();
        // A shopper who hangs up leaves no order without a driver: all of it is done in a task of its own.
        let taking = self.chassis.spawn(async move { desk.begin(&wanted).await }.in_current_span());
        let interrupted = |_| Failure::unavailable("interrupted", "ask again with the same Idempotency-Key");
        let taken = taking.await.map_err(interrupted)??;
        if let Some(driven) = taken.driven {
            let _still_under_way = timeout_at(answer_by, driven).await;
        }
        Ok(taken.id)
    }

    async fn begin(&self, wanted: &Wanted) -> Result<Taken, Failure> {
        if self.queue.open() >= self.queue_max {
            let full = || {
                Failure::unavailable("queue_full", "there are more orders than can be kept; try again soon")
            };
            let id = self.keys.order_of(wanted).await?.ok_or_else(full)?;
            return Ok(Taken { id, driven: None });
        }
        let hand = if self.promote(None) { None } else { self.counter.clone().try_acquire_owned().ok() };
        let first = if hand.is_some() { First::Ourselves } else { First::Anybody };
        let Some(lease) = self.write_down(wanted, first).await? else {
            let gone =
                || Failure::conflict("try_again", "the order of this Idempotency-Key was just forgotten");
            let id = self.keys.order_of(wanted).await?.ok_or_else(gone)?;
            return Ok(Taken { id, driven: None });
        };
        let id = lease.order_id.clone();
        let Some(hand) = hand else {
            self.queue.ring();
            return Ok(Taken { id, driven: None });
        };
        let saga = self.saga.clone();
        let driving = async move {
            let _busy = hand;
            saga.drive(&lease).await;
        };
        Ok(Taken { id, driven: Some(self.chassis.spawn(driving.in_current_span())) })
    }

    /// Writes an order down, unless there was one under its key.
    #[tracing::instrument(name = "take down", skip_all, fields(items = wanted.items.len(), order.id, ?first))]
    async fn write_down(&self, wanted: &Wanted, first: First) -> Result<Option<Lease>, Failure> {
        let id = Uuid::now_v7().to_string();
        tracing::Span::current().record("order.id", &id);
        let mut write = self.store.database.write().await?;
        if !self.keys.note(&mut write, wanted, &id).await? {
            tracing::info!("this key was here before");
            return Ok(None);
        }
        // Of one user's that come at the same moment a few more may get in, when there is more than one writer.
        if self.saga.leases.open_orders_of(&mut write, &wanted.user_id).await? >= self.open_max {
            let message = "too many of your orders are not finished; try again when one is";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_orders", message));
        }
        let mut loaded = Loaded { id: id.clone(), version: 0, order: Order::default() };
        let placed = Happened::Placed {
            user_id: wanted.user_id.clone(),
            items: wanted.items.clone(),
            pay_by: wanted.pay_by.clone(),
        };
        self.store.append(&mut write, &mut loaded, &[placed]).await?;
        let lease = self.saga.leases.open(&mut write, &id, &wanted.user_id, first).await?;
        write.commit().await?;
        Ok(Some(lease))
    }

    /// Calls an order off. What was done for it is undone by whoever drives it.
    pub(crate) async fn cancel(&self, id: &str) -> Result<(), Failure> {
        for _ in 0..CANCEL_TRIES {
            let Some(mut loaded) = self.store.load(id).await? else {
                return Err(Failure::not_found("order"));
            };
            if !loaded.order.can_be_cancelled() {
                let message =
                    format!("an order that is {} cannot be called off", loaded.order.status().word());
                return Err(Failure::conflict("too_late", message));
            }
            let mut write = self.store.database.write().await?;
            self.saga.leases.hurry(&mut write, id).await?;
            let closing = Happened::Closing { by: By::Shopper, reason: "cancelled".to_owned() };
            match self.store.append(&mut write, &mut loaded, &[closing]).await {
                Ok(()) => {
                    write.commit().await?;
                    self.queue.ring();
                    return Ok(());
                }
                Err(AppendError::Outrun) => {}
                Err(AppendError::Database(error)) => return Err(error.into()),
            }
        }
        Err(AppendError::Outrun.into())
    }
}
