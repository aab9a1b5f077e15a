//! Where orders are taken. An order is written down before anything else, and from then on it is not lost. If there is
//! a free hand, it is seen through while the shopper waits; if not, it is queued and the shopper told where to look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use chassis::events::{context_of, traceparent};
use chassis::{Chassis, Failure, SettingsError, now_ms};
use sqlx::Row;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

use crate::order::{By, Happened, Item, Order, PayBy};
use crate::saga::{Lease, Saga};
use crate::store::{AppendError, Loaded, Store};

/// So long a shopper is kept waiting for the end. The edge gives an order three seconds.
const WAIT: Duration = Duration::from_millis(2000);
/// A worker that finds nothing looks again after this.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Taken at once from the queue.
const TAKE: i64 = 8;

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
    queued: Arc<AtomicI64>,
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

/// An order that is taken.
pub(crate) enum Taken {
    /// Under this key there was one before.
    Before(String),
    /// As far as it came while the shopper waited.
    Now(String),
}

impl Desk {
    pub(crate) fn new(chassis: &Chassis, store: Store, saga: Arc<Saga>) -> Result<Self, SettingsError> {
        let settings = &chassis.settings;
        Ok(Self {
            chassis: chassis.clone(),
            store,
            saga,
            counter: Arc::new(Semaphore::new(settings.parsed("ORDERS_AT_ONCE", 32)?)),
            workers: Arc::new(Semaphore::new(settings.parsed("WORKERS", 8)?)),
            queued: Arc::default(),
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

    /// Orders that wait for a hand.
    pub(crate) fn queued(&self) -> i64 {
        self.queued.load(Ordering::Relaxed)
    }

    /// Takes an order, and sees it through if there is a free hand.
    pub(crate) async fn take(&self, wanted: Wanted) -> Result<Taken, Failure> {
        let hand = if self.promote(None) { None } else { self.counter.clone().try_acquire_owned().ok() };
        if hand.is_none() && self.queued() >= self.queue_max {
            return Err(Failure::unavailable(
                "queue_full",
                "there are more orders than can be kept; try again soon",
            ));
        }
        let Some(lease) = self.write_down(&wanted, hand.is_some()).await? else {
            return Ok(Taken::Before(self.order_of_key(&wanted).await?));
        };
        let id = lease.order_id.clone();
        if let Some(hand) = hand {
            let desk = self.clone();
            let driven = self.chassis.spawn(async move { desk.drive(&lease, hand).await }.in_current_span());
            // A shopper who is told to look later, or hangs up, does not stop the order.
            let _still_under_way = tokio::time::timeout(WAIT, driven).await;
        } else {
            self.bell.notify_one();
        }
        Ok(Taken::Now(id))
    }

    #[tracing::instrument(name = "take down", skip_all, fields(items = wanted.items.len(), order.id))]
    async fn write_down(&self, wanted: &Wanted, at_once: bool) -> Result<Option<Lease>, Failure> {
        let now = now_ms();
        let id = Uuid::now_v7().to_string();
        tracing::Span::current().record("order.id", &id);
        let mut write = self.store.database.write().await?;
        if let Some(key) = &wanted.key {
            let noted = sqlx::query("INSERT INTO order_key VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                .bind(&wanted.user_id)
                .bind(key)
                .bind(request(wanted))
                .bind(&id)
                .execute(&mut *write)
                .await?;
            if noted.rows_affected() == 0 {
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
        let lease_until = if at_once { now + self.saga.lease_ms() } else { 0 };
        let traceparent = traceparent();
        sqlx::query("INSERT INTO saga VALUES ($1, 'open', $2, $3, 0, '', $4, $2)")
            .bind(&id)
            .bind(now)
            .bind(lease_until)
            .bind(&traceparent)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(Some(Lease { order_id: id, attempts: 0, traceparent, opened_at: now }))
    }

    async fn order_of_key(&self, wanted: &Wanted) -> Result<String, Failure> {
        let row =
            sqlx::query("SELECT order_id, request FROM order_key WHERE user_id = $1 AND request_key = $2")
                .bind(&wanted.user_id)
                .bind(wanted.key.as_deref().unwrap_or_default())
                .fetch_one(self.store.database.pool())
                .await?;
        if row.try_get::<String, _>("request")? != request(wanted) {
            let message = "this Idempotency-Key was used for another order";
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", message));
        }
        Ok(row.try_get("order_id")?)
    }

    /// Calls an order off. What was done for it is undone by whoever drives it.
    pub(crate) async fn cancel(&self, mut loaded: Loaded) -> Result<(), Failure> {
        for _ in 0..5 {
            if !loaded.order.can_be_cancelled() {
                let status = loaded.order.status().word();
                return Err(Failure::conflict(
                    "too_late",
                    format!("an order that is {status} cannot be called off"),
                ));
            }
            let mut write = self.store.database.write().await?;
            let closing = Happened::Closing { by: By::Shopper, reason: "cancelled".to_owned() };
            match self.store.append(&mut write, &mut loaded, &[closing]).await {
                Ok(()) => {
                    sqlx::query("UPDATE saga SET next_at = $1, attempts = 0 WHERE order_id = $2")
                        .bind(now_ms())
                        .bind(&loaded.id)
                        .execute(&mut *write)
                        .await?;
                    write.rings(self.bell.clone());
                    write.commit().await?;
                    return Ok(());
                }
                Err(AppendError::Outrun) => drop(write),
                Err(AppendError::Database(error)) => return Err(error.into()),
            }
            loaded = self.store.load(&loaded.id).await?.ok_or_else(|| Failure::not_found("order"))?;
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
        self.count_queue().await?;
        let free = i64::try_from(self.workers.available_permits()).unwrap_or(TAKE).min(TAKE);
        if free == 0 {
            return Ok(false);
        }
        let leases = self.saga.lease(free).await?;
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

    async fn count_queue(&self) -> Result<(), sqlx::Error> {
        let open = "SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE state = 'open'";
        let open = sqlx::query_scalar(open).fetch_one(self.store.database.pool()).await?;
        self.queued.store(open, Ordering::Relaxed);
        Ok(())
    }
}

/// The request, as it is compared with the one that came before under the same key.
fn request(wanted: &Wanted) -> String {
    let items: BTreeMap<_, _> = wanted.items.iter().map(|item| (&item.product_id, item.quantity)).collect();
    serde_json::to_string(&(items, &wanted.pay_by)).unwrap_or_default()
}
