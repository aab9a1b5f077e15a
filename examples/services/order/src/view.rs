//! The read model: one row an order, in the shape lists are asked for. It follows the events, a moment behind them, and
//! nobody writes to it otherwise; so it can be thrown away and made again, with other columns if lists change.

use std::time::Duration;

use chassis::{Chassis, Database, rfc3339};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::order::{Line, Order, Status};
use crate::store::{Noted, Store, read, written};

/// Brought up to date in one transaction.
const AT_ONCE: i64 = 64;
/// What another instance wrote rings no bell here.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An order as it is told.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) status: Status,
    pub(crate) items: Vec<Line>,
    pub(crate) total_cents: i64,
    pub(crate) currency: String,
    /// Why it is rejected, cancelled or delayed.
    pub(crate) reason: String,
    pub(crate) payment_id: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// The read model.
#[derive(Clone)]
pub(crate) struct View {
    database: Database,
    store: Store,
}

impl Told {
    /// An order to which this happened.
    pub(crate) fn of(id: &str, order: &Order, first: i64, last: i64) -> Self {
        Self {
            id: id.to_owned(),
            user_id: order.user_id.clone(),
            status: order.status(),
            items: order.lines.clone(),
            total_cents: order.total_cents,
            currency: order.currency.clone(),
            reason: order.reason().to_owned(),
            payment_id: order.payment_id.clone(),
            created_at: rfc3339(first),
            updated_at: rfc3339(last),
        }
    }

    /// An order to which all of this happened.
    pub(crate) fn of_history(id: &str, history: &[Noted]) -> Self {
        let mut order = Order::default();
        for noted in history {
            order.apply(&noted.happened);
        }
        let at = |noted: Option<&Noted>| noted.map_or(0, |noted| noted.at);
        Self::of(id, &order, at(history.first()), at(history.last()))
    }
}

impl View {
    pub(crate) fn new(chassis: &Chassis, store: &Store) -> Self {
        Self { database: chassis.database.clone(), store: store.clone() }
    }

    /// Follows the events until the service ends.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let rung = self.store.behind.notified();
            match self.catch_up().await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::error!(%error, "the read model stays behind"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = rung => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn catch_up(&self) -> Result<usize, sqlx::Error> {
        // In order, so that two instances that are at it at once never wait for each other crosswise.
        let behind = sqlx::query("SELECT order_id FROM order_behind ORDER BY order_id LIMIT $1")
            .bind(AT_ONCE)
            .fetch_all(self.database.pool())
            .await?;
        if behind.is_empty() {
            return Ok(0);
        }
        let mut rows = Vec::with_capacity(behind.len());
        for row in &behind {
            let id: String = row.try_get("order_id")?;
            let history = self.store.since(&id, 0).await?;
            if let (Some(first), Some(last)) = (history.first(), history.last()) {
                rows.push((first.at, last.version, Told::of_history(&id, &history)));
            }
        }
        let mut write = self.database.write().await?;
        for (first, version, told) in rows {
            // Two instances may be at it: the one that knows more wins.
            let statement = "INSERT INTO order_view VALUES ($1, $2, $3, $4, $5, $6, $7) \
                             ON CONFLICT (order_id) DO UPDATE SET version = excluded.version, status = excluded.status, \
                             body = excluded.body, total_cents = excluded.total_cents \
                             WHERE order_view.version < excluded.version";
            sqlx::query(statement)
                .bind(&told.id)
                .bind(version)
                .bind(&told.user_id)
                .bind(told.status.word())
                .bind(written(&told))
                .bind(told.total_cents)
                .bind(first)
                .execute(&mut *write)
                .await?;
            sqlx::query("DELETE FROM order_behind WHERE order_id = $1 AND version <= $2")
                .bind(&told.id)
                .bind(version)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(behind.len())
    }

    /// The orders of a user, the latest first; of all users for staff.
    pub(crate) async fn list(
        &self,
        user: Option<&str>,
        offset: i64,
        size: i64,
    ) -> Result<Vec<Told>, sqlx::Error> {
        // Two statements and no `$1 = '' OR`: each finds its way along an index.
        let query = match user {
            Some(user) => sqlx::query(
                "SELECT body FROM order_view WHERE user_id = $3 ORDER BY created_at DESC, order_id DESC LIMIT $1 OFFSET $2",
            )
            .bind(size).bind(offset).bind(user),
            None => sqlx::query("SELECT body FROM order_view ORDER BY created_at DESC, order_id DESC LIMIT $1 OFFSET $2").bind(size).bind(offset),
        };
        let rows = query.fetch_all(self.database.pool()).await?;
        rows.iter().map(|row| read(&row.try_get::<String, _>("body")?)).collect()
    }

    /// How many there are of them.
    pub(crate) async fn count(&self, user: Option<&str>) -> Result<i64, sqlx::Error> {
        let query = match user {
            Some(user) => {
                sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM order_view WHERE user_id = $1")
                    .bind(user)
            }
            None => sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM order_view"),
        };
        query.fetch_one(self.database.pool()).await
    }

    /// Throws it away and makes it again.
    pub(crate) async fn rebuild(&self) -> Result<(), sqlx::Error> {
        let mut write = self.database.write().await?;
        sqlx::query("DELETE FROM order_view").execute(&mut *write).await?;
        // SQLite takes `ON` after a SELECT for a join, unless there is a WHERE.
        let all = "INSERT INTO order_behind SELECT order_id, MAX(version) FROM order_event WHERE version > 0 \
                   GROUP BY order_id ON CONFLICT (order_id) DO UPDATE \
                   SET version = excluded.version WHERE order_behind.version < excluded.version";
        sqlx::query(all).execute(&mut *write).await?;
        write.rings(self.store.behind.clone());
        write.commit().await
    }
}
