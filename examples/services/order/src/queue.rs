//! Orders nobody waits for: queued, delayed, or left behind by a driver that died. Workers take them in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chassis::events::context_of;
use chassis::{Chassis, SettingsError};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::keys::Keys;
use crate::saga::{Lease, Saga};

/// Who finds nothing looks again after this.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Taken at once.
const TAKE: i64 = 8;
const FORGET_EVERY: Duration = Duration::from_secs(5);

/// The queue.
#[derive(Clone)]
pub(crate) struct Queue {
    chassis: Chassis,
    saga: Arc<Saga>,
    /// With payments that take a second, sixteen work off 800 orders a minute.
    workers: Arc<Semaphore>,
    open: Arc<AtomicI64>,
    bell: Arc<Notify>,
}

impl Queue {
    pub(crate) fn new(chassis: &Chassis, saga: Arc<Saga>) -> Result<Self, SettingsError> {
        Ok(Self {
            chassis: chassis.clone(),
            saga,
            workers: Arc::new(Semaphore::new(chassis.settings.parsed("WORKERS", 16)?)),
            open: Arc::default(),
            bell: Arc::default(),
        })
    }

    /// Orders that are not finished, a moment ago.
    pub(crate) fn open(&self) -> i64 {
        self.open.load(Ordering::Relaxed)
    }

    /// There is something to do.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Sees orders through until the service ends.
    pub(crate) async fn work(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.take().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::error!(%error, "the queue cannot be read"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Takes as many as there are workers free. How many that was.
    async fn take(&self) -> Result<usize, sqlx::Error> {
        let free = i64::try_from(self.workers.available_permits()).unwrap_or(TAKE).min(TAKE);
        if free == 0 {
            return Ok(0);
        }
        let leases = self.saga.leases.take(free).await?;
        let taken = leases.len();
        for lease in leases {
            let Ok(hand) = self.workers.clone().acquire_owned().await else { return Ok(0) };
            let queue = self.clone();
            self.chassis.spawn(async move {
                queue.resume(&lease).await;
                drop(hand);
                queue.ring();
            });
        }
        Ok(taken)
    }

    async fn resume(&self, lease: &Lease) {
        let span = tracing::info_span!("resume", order.id = lease.order_id, attempt = lease.attempts);
        let _ = span.set_parent(context_of(&lease.traceparent));
        self.saga.drive(lease).instrument(span).await;
    }

    /// Counts what is open and forgets what is old, until the service ends.
    pub(crate) async fn keep(self, keys: Keys, stop: CancellationToken) {
        let mut forget_at = Instant::now();
        while !stop.is_cancelled() {
            match self.saga.leases.open_orders().await {
                Ok(open) => self.open.store(open, Ordering::Relaxed),
                Err(error) => tracing::error!(%error, "the queue cannot be counted"),
            }
            if Instant::now() >= forget_at {
                forget_at = Instant::now() + FORGET_EVERY;
                for forgotten in [keys.forget().await, self.saga.leases.forget().await] {
                    if let Err(error) = forgotten {
                        tracing::error!(%error, "what is old cannot be forgotten");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}
