//! Where orders are taken. An order is written down before anything else, and from then on it is not lost. If there is
//! a free hand, it is seen through while the shopper waits; if not, it is queued and the shopper told where to look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use chassis::events::context_of;
use chassis::{Chassis, Failure, SettingsError, now_ms};
use sqlx::Row;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::order::{By, Happened, Item, Order, PayBy};
use crate::saga::{First, Lease, Saga};
use crate::store::{AppendError, Loaded, Store};

/// So long a shopper is kept waiting, taking down included. The edge gives an order three seconds.
const WAIT: Duration = Duration::from_millis(2000);
/// A worker that finds nothing looks again after this.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Taken at once from the queue.
const TAKE: i64 = 8;
/// So often calling off is outrun by the order's driver, and no oftener: it has that many steps.
const CANCEL_TRIES: usize = 8;
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// The desk.
#[derive(Clone)]
pub(crate) struct Desk {
    chassis: Chassis,
    store: Store,
    saga: Arc<Saga>,
    /// Hands for orders whose shoppers wait, and hands for those in the queue. They are apart: a full queue keeps no
    /// shopper waiting, and shoppers keep no delayed order from being finished.
    counter: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    open: Arc<AtomicI64>,
    queue_max: i64,
    promotion: Arc<AtomicBool>,
    bell: Arc<Notify>,
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
    pub(crate) fn new(chassis: &Chassis, store: Store, saga: Arc<Saga>) -> Result<Self, SettingsError> {
        let settings = &chassis.settings;
        Ok(Self {
            chassis: chassis.clone(),
            store,
            saga,
            counter: Arc::new(Semaphore::new(settings.parsed("ORDERS_AT_ONCE", 32)?)),
            workers: Arc::new(Semaphore::new(settings.parsed("WORKERS", 16)?)),
            open: Arc::default(),
            queue_max: settings.parsed("QUEUE_MAX", 20_000)?,
            promotion: Arc::default(),
            bell: Arc::default(),
        })
    }

    /// During a promotion every order is queued: taking one down costs little, so none is turned away.
    pub(crate) fn promote(&self, on: Option<bool>) -> bool {
        if let Some(on) = on {
            self.promotion.store(on, Ordering::Relaxed);
        }
        self.promotion.load(Ordering::Relaxed)
    }

    /// Orders that are not finished, a moment ago.
    pub(crate) fn open(&self) -> i64 {
        self.open.load(Ordering::Relaxed)
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
        let hand = if self.promote(None) { None } else { self.counter.clone().try_acquire_owned().ok() };
        if hand.is_none() && self.open() >= self.queue_max {
            let full = || {
                Failure::unavailable("queue_full", "there are more orders than can be kept; try again soon")
            };
            let id = self.order_of_key(wanted).await?.ok_or_else(full)?;
            return Ok(Taken { id, driven: None });
        }
        let first = if hand.is_some() { First::Ourselves } else { First::Anybody };
        let Some(lease) = self.write_down(wanted, first).await? else {
            let gone =
                || Failure::conflict("try_again", "the order of this Idempotency-Key was just forgotten");
            let id = self.order_of_key(wanted).await?.ok_or_else(gone)?;
            return Ok(Taken { id, driven: None });
        };
        let id = lease.order_id.clone();
        let Some(hand) = hand else {
            self.bell.notify_one();
            return Ok(Taken { id, driven: None });
        };
        let desk = self.clone();
        let driven = self.chassis.spawn(async move { desk.drive(&lease, hand).await }.in_current_span());
        Ok(Taken { id, driven: Some(driven) })
    }

    /// Writes an order down, unless there was one under its key.
    #[tracing::instrument(name = "take down", skip_all, fields(items = wanted.items.len(), order.id, ?first))]
    async fn write_down(&self, wanted: &Wanted, first: First) -> Result<Option<Lease>, Failure> {
        let id = Uuid::now_v7().to_string();
        tracing::Span::current().record("order.id", &id);
        let mut write = self.store.database.write().await?;
        if let Some(key) = &wanted.key {
            let statement = "INSERT INTO order_key (user_id, request_key, request, order_id, at) \
                             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
            let noted = sqlx::query(statement)
                .bind(&wanted.user_id)
                .bind(key)
                .bind(request(wanted))
                .bind(&id)
                .bind(now_ms())
                .execute(&mut *write)
                .await?;
            if noted.rows_affected() == 0 {
                tracing::info!("this key was here before");
                return Ok(None);
            }
        }
        let mut loaded = Loaded { id: id.clone(), version: 0, order: Order::default() };
        let placed = Happened::Placed {
            user_id: wanted.user_id.clone(),
            items: wanted.items.clone(),
            pay_by: wanted.pay_by.clone(),
        };
        self.store.append(&mut write, &mut loaded, &[placed]).await?;
        let lease = self.saga.leases.open(&mut write, &id, first).await?;
        write.commit().await?;
        Ok(Some(lease))
    }

    /// The order of this key, if there is one. 422 if the key was used for something else.
    async fn order_of_key(&self, wanted: &Wanted) -> Result<Option<String>, Failure> {
        let Some(key) = &wanted.key else { return Ok(None) };
        let row =
            sqlx::query("SELECT order_id, request FROM order_key WHERE user_id = $1 AND request_key = $2")
                .bind(&wanted.user_id)
                .bind(key)
                .fetch_optional(self.store.database.pool())
                .await?;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<String, _>("request")? != request(wanted) {
            let message = "this Idempotency-Key was used for another order";
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message));
        }
        Ok(Some(row.try_get("order_id")?))
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
                    write.rings(self.bell.clone());
                    return Ok(write.commit().await?);
                }
                Err(AppendError::Outrun) => {}
                Err(AppendError::Database(error)) => return Err(error.into()),
            }
        }
        Err(AppendError::Outrun.into())
    }

    /// Sees queued and delayed orders through, and those of drivers that died, until the service ends.
    pub(crate) async fn work(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let taken = self.take_from_queue().await;
            if let Err(error) = &taken {
                tracing::error!(%error, "the queue cannot be read");
            }
            if !matches!(taken, Ok(true)) {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.bell.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    async fn take_from_queue(&self) -> Result<bool, sqlx::Error> {
        let free = i64::try_from(self.workers.available_permits()).unwrap_or(TAKE).min(TAKE);
        if free == 0 {
            return Ok(false);
        }
        let leases = self.saga.leases.take(free).await?;
        let some = !leases.is_empty();
        for lease in leases {
            let Ok(hand) = self.workers.clone().acquire_owned().await else { return Ok(false) };
            let desk = self.clone();
            self.chassis.spawn(async move {
                desk.resume(&lease, hand).await;
                desk.bell.notify_one();
            });
        }
        Ok(some)
    }

    async fn resume(&self, lease: &Lease, hand: OwnedSemaphorePermit) {
        let span = tracing::info_span!("resume", order.id = lease.order_id, attempt = lease.attempts);
        let _ = span.set_parent(context_of(&lease.traceparent));
        self.drive(lease, hand).instrument(span).await;
    }

    async fn drive(&self, lease: &Lease, _hand: OwnedSemaphorePermit) {
        if let Err(error) = self.saga.drive(lease).await {
            tracing::error!(%error, order = lease.order_id, "it waits until its lease has run out");
        }
    }

    /// Counts what is open and forgets what is old, until the service ends.
    pub(crate) async fn keep(self, stop: CancellationToken) {
        let mut forget_at = Instant::now();
        while !stop.is_cancelled() {
            match self.saga.leases.open_orders().await {
                Ok(open) => self.open.store(open, Ordering::Relaxed),
                Err(error) => tracing::error!(%error, "the queue cannot be counted"),
            }
            if Instant::now() >= forget_at {
                forget_at = Instant::now() + FORGET_EVERY;
                if let Err(error) = self.saga.leases.forget().await {
                    tracing::error!(%error, "what is old cannot be forgotten");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// The request, as it is compared with the one that came before under the same key.
fn request(wanted: &Wanted) -> String {
    let items: BTreeMap<_, _> = wanted.items.iter().map(|item| (&item.product_id, item.quantity)).collect();
    serde_json::to_string(&(items, &wanted.pay_by)).unwrap_or_default()
}
