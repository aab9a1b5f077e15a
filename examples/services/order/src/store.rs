//! The events of orders: added to, never changed. What an order is, is worked out from its last snapshot and what
//! happened since.

use std::sync::Arc;

use chassis::events::{Event, Outbox};
use chassis::{Chassis, Database, Failure, Write, now_ms};
use serde::Serialize;
use sqlx::Row;
use tokio::sync::Notify;

use crate::order::{Happened, Line, Order};

/// A snapshot each so many events. An order that goes well has six.
const SNAPSHOT_EVERY: i64 = 4;

/// The event store.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) database: Database,
    outbox: Outbox,
    /// Rings when a read model is behind.
    pub(crate) behind: Arc<Notify>,
}

/// An order as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) order: Order,
}

/// Something that happened, and when.
pub(crate) struct Noted {
    pub(crate) version: i64,
    pub(crate) happened: Happened,
    pub(crate) at: i64,
}

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Something else happened to the order meanwhile.
    #[error("somebody else was faster")]
    Outrun,
}

/// What others are told about an order.
#[derive(Serialize)]
struct Told<'a> {
    order_id: &'a str,
    user_id: &'a str,
    status: &'static str,
    items: &'a [Line],
    total_cents: i64,
    currency: &'a str,
    reason: &'a str,
}

impl Store {
    pub(crate) fn new(chassis: &Chassis) -> Self {
        Self { database: chassis.database.clone(), outbox: chassis.outbox.clone(), behind: Arc::default() }
    }

    /// The order as it is now.
    pub(crate) async fn load(&self, id: &str) -> Result<Option<Loaded>, sqlx::Error> {
        let snapshot = sqlx::query("SELECT version, body FROM order_snapshot WHERE order_id = $1")
            .bind(id)
            .fetch_optional(self.database.pool())
            .await?;
        let (mut version, mut order) = match snapshot {
            Some(row) => (row.try_get("version")?, read(&row.try_get::<String, _>("body")?)?),
            None => (0, Order::default()),
        };
        for noted in self.since(id, version).await? {
            order.apply(&noted.happened);
            version = noted.version;
        }
        Ok((version > 0).then(|| Loaded { id: id.to_owned(), version, order }))
    }

    /// What happened to it after this version.
    pub(crate) async fn since(&self, id: &str, version: i64) -> Result<Vec<Noted>, sqlx::Error> {
        let statement =
            "SELECT version, body, at FROM order_event WHERE order_id = $1 AND version > $2 ORDER BY version";
        let rows = sqlx::query(statement).bind(id).bind(version).fetch_all(self.database.pool()).await?;
        rows.iter()
            .map(|row| {
                let happened = read(&row.try_get::<String, _>("body")?)?;
                Ok(Noted { version: row.try_get("version")?, happened, at: row.try_get("at")? })
            })
            .collect()
    }

    /// Adds what happened, in a transaction of the caller's: what else belongs to it is written with it or not at all.
    /// Refuses if something else happened to the order since it was loaded, also when there is nothing to add.
    pub(crate) async fn append(
        &self,
        write: &mut Write,
        loaded: &mut Loaded,
        events: &[Happened],
    ) -> Result<(), AppendError> {
        if events.is_empty() {
            return Self::is_newest(write, loaded).await;
        }
        let now = now_ms();
        let mut after = loaded.clone();
        for happened in events {
            after.version += 1;
            after.order.apply(happened);
            let added = sqlx::query("INSERT INTO order_event VALUES ($1, $2, $3, $4)")
                .bind(&after.id)
                .bind(after.version)
                .bind(written(happened))
                .bind(now)
                .execute(&mut **write)
                .await;
            match added {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Err(AppendError::Outrun);
                }
                added => added?,
            };
            if let Some(kind) = told_as(happened) {
                let event = Event::now(kind, &after.id, told(&after));
                self.outbox.put(write, event).await?;
            }
        }
        if after.version / SNAPSHOT_EVERY > loaded.version / SNAPSHOT_EVERY {
            let statement = "INSERT INTO order_snapshot VALUES ($1, $2, $3) \
                             ON CONFLICT (order_id) DO UPDATE SET version = excluded.version, body = excluded.body";
            sqlx::query(statement)
                .bind(&after.id)
                .bind(after.version)
                .bind(written(&after.order))
                .execute(&mut **write)
                .await?;
        }
        let statement = "INSERT INTO order_behind VALUES ($1, $2) ON CONFLICT (order_id) DO UPDATE \
                         SET version = excluded.version WHERE order_behind.version < excluded.version";
        sqlx::query(statement).bind(&after.id).bind(after.version).execute(&mut **write).await?;
        write.rings(self.behind.clone());
        *loaded = after;
        Ok(())
    }

    async fn is_newest(write: &mut Write, loaded: &Loaded) -> Result<(), AppendError> {
        let newer =
            sqlx::query("SELECT version FROM order_event WHERE order_id = $1 AND version > $2 LIMIT 1")
                .bind(&loaded.id)
                .bind(loaded.version)
                .fetch_optional(&mut **write)
                .await?;
        if newer.is_some() { Err(AppendError::Outrun) } else { Ok(()) }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Database(error) => error.into(),
            AppendError::Outrun => Self::conflict("try_again", "the order has just changed"),
        }
    }
}

/// The name under which others hear of it, if they do. What happens inside is nobody's business.
fn told_as(happened: &Happened) -> Option<&'static str> {
    match happened {
        Happened::Cancelled => Some("order.cancelled"),
        Happened::Completed => Some("order.completed"),
        Happened::Delayed { .. } => Some("order.delayed"),
        Happened::Placed { .. } => Some("order.placed"),
        Happened::Rejected => Some("order.rejected"),
        Happened::Checked { .. }
        | Happened::Closing { .. }
        | Happened::Paid { .. }
        | Happened::PaymentVoided
        | Happened::StockConfirmed
        | Happened::StockReleased
        | Happened::StockReserved => None,
    }
}

fn told(loaded: &Loaded) -> Told<'_> {
    let order = &loaded.order;
    Told {
        order_id: &loaded.id,
        user_id: &order.user_id,
        status: order.status().word(),
        items: &order.lines,
        total_cents: order.total_cents,
        currency: &order.currency,
        reason: order.reason(),
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(crate) fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
