//! Who is at which order. A lease is the right to drive an order for a while, and it has a name of its own: whoever was
//! so slow that another has taken over finds that the name has changed, and writes nothing any more.

use chassis::events::traceparent;
use chassis::{Database, Settings, SettingsError, Write, now_ms};
use sqlx::Row;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// The first wait after a step that could not be done, and the longest.
const WAIT_MIN_MS: i64 = 500;
const WAIT_MAX_MS: i64 = 15_000;
/// A time that is further ahead than anybody ever sets one comes from a clock that was wrong, and is not waited for.
const CLOCK_WRONG_MS: i64 = 60_000;
/// Forgotten in one transaction.
const FORGET: i64 = 500;

/// The leases.
#[derive(Clone)]
pub(crate) struct Leases {
    database: Database,
    lease_ms: i64,
    keep_ms: i64,
}

/// The right to drive an order.
pub(crate) struct Lease {
    pub(crate) order_id: String,
    holder: String,
    /// So often its next step was tried.
    pub(crate) attempts: i64,
    pub(crate) traceparent: String,
    pub(crate) opened_at: i64,
}

/// Where the work on an order stands.
pub(crate) enum Stand<'a> {
    /// There is nothing left to do.
    Closed,
    /// Its driver goes on.
    Goes,
    /// Its next step has been tried so often, and is to be tried again later.
    Waits { attempts: i64, why: &'a str },
}

/// Who begins with an order that was just taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum First {
    /// Whoever is free.
    Anybody,
    /// Whoever took it, at once.
    Ourselves,
}

impl Leases {
    pub(crate) fn new(database: &Database, settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            database: database.clone(),
            lease_ms: settings.parsed("SAGA_LEASE_MS", 20_000)?,
            keep_ms: settings.parsed("KEEP_WORK_S", 7 * 24 * 3600_i64)?.saturating_mul(1000),
        })
    }

    /// Opens the work on a new order, in the transaction that takes it down.
    pub(crate) async fn open(
        &self,
        write: &mut Write,
        id: &str,
        user: &str,
        first: First,
    ) -> Result<Lease, sqlx::Error> {
        let now = now_ms();
        let lease = Lease {
            order_id: id.to_owned(),
            holder: Uuid::now_v7().to_string(),
            attempts: 0,
            traceparent: traceparent(),
            opened_at: now,
        };
        let until = if first == First::Ourselves { now + self.lease_ms } else { 0 };
        let statement = "INSERT INTO saga \
                         (order_id, user_id, state, next_at, lease_until, holder, attempts, last_error, \
                         traceparent, opened_at) VALUES ($1, $6, 'open', $2, $3, $4, 0, '', $5, $2)";
        sqlx::query(statement)
            .bind(&lease.order_id)
            .bind(now)
            .bind(until)
            .bind(&lease.holder)
            .bind(&lease.traceparent)
            .bind(user)
            .execute(&mut **write)
            .await?;
        Ok(lease)
    }

    /// Takes orders that wait for somebody to drive them, at most so many, those first that have waited longest.
    pub(crate) async fn take(&self, at_most: i64) -> Result<Vec<Lease>, sqlx::Error> {
        let now = now_ms();
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = "SELECT order_id FROM saga WHERE state = 'open' AND (next_at <= $1 OR next_at > $2) \
                    AND (lease_until < $1 OR lease_until > $3) LIMIT 1";
        let some = sqlx::query(look).bind(now).bind(now + WAIT_MAX_MS + CLOCK_WRONG_MS);
        let some = some.bind(now + self.lease_ms + CLOCK_WRONG_MS);
        if some.fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(Vec::new());
        }
        // The conditions stand twice: on Postgres another instance may have taken what the inner part has found.
        let take = "UPDATE saga SET lease_until = $4, holder = $5 \
                    WHERE state = 'open' AND (next_at <= $1 OR next_at > $2) \
                    AND (lease_until < $1 OR lease_until > $3) AND order_id IN \
                    (SELECT order_id FROM saga WHERE state = 'open' AND (next_at <= $1 OR next_at > $2) \
                    AND (lease_until < $1 OR lease_until > $3) ORDER BY next_at LIMIT $6) \
                    RETURNING order_id, holder, attempts, traceparent, opened_at";
        let mut write = self.database.write().await?;
        let rows = sqlx::query(take)
            .bind(now)
            .bind(now + WAIT_MAX_MS + CLOCK_WRONG_MS)
            .bind(now + self.lease_ms + CLOCK_WRONG_MS)
            .bind(now + self.lease_ms)
            .bind(Uuid::now_v7().to_string())
            .bind(at_most)
            .fetch_all(&mut *write)
            .await?;
        write.commit().await?;
        rows.iter().map(Lease::of).collect()
    }

    /// Writes down where the work stands; `false` if the lease is somebody else's by now. Until the end of the
    /// transaction nobody else changes the order.
    pub(crate) async fn settle(
        &self,
        write: &mut Write,
        lease: &Lease,
        stand: &Stand<'_>,
    ) -> Result<bool, sqlx::Error> {
        let now = now_ms();
        let (state, next_at, until, attempts, why) = match *stand {
            Stand::Closed => ("closed", now, 0, 0, ""),
            Stand::Goes => ("open", now, now + self.lease_ms, 0, ""),
            Stand::Waits { attempts, why } => ("open", now + wait_ms(attempts), 0, attempts, why),
        };
        let statement = "UPDATE saga SET state = $1, next_at = $2, lease_until = $3, attempts = $4, last_error = $5 \
                         WHERE order_id = $6 AND holder = $7";
        let settled = sqlx::query(statement)
            .bind(state)
            .bind(next_at)
            .bind(until)
            .bind(attempts)
            .bind(why.chars().take(500).collect::<String>())
            .bind(&lease.order_id)
            .bind(&lease.holder)
            .execute(&mut **write)
            .await?;
        Ok(settled.rows_affected() == 1)
    }

    /// Something else is to be done for it, and soon. Who is at it stays at it. Until the end of the transaction nobody
    /// else changes the order.
    pub(crate) async fn hurry(&self, write: &mut Write, id: &str) -> Result<(), sqlx::Error> {
        let statement = "UPDATE saga SET next_at = $1, attempts = 0 WHERE order_id = $2 AND state = 'open'";
        sqlx::query(statement).bind(now_ms()).bind(id).execute(&mut **write).await.map(|_| ())
    }

    /// Gives the lease back: somebody else may go on.
    pub(crate) async fn give_back(&self, lease: &Lease) -> Result<(), sqlx::Error> {
        let statement = "UPDATE saga SET lease_until = 0 WHERE order_id = $1 AND holder = $2";
        let free = sqlx::query(statement).bind(&lease.order_id).bind(&lease.holder);
        free.execute(self.database.pool()).await.map(|_| ())
    }

    /// Orders that are not finished.
    pub(crate) async fn open_orders(&self) -> Result<i64, sqlx::Error> {
        let open = "SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE state = 'open'";
        sqlx::query_scalar(open).fetch_one(self.database.pool()).await
    }

    /// Those of this user that are not finished.
    pub(crate) async fn open_orders_of(&self, write: &mut Write, user: &str) -> Result<i64, sqlx::Error> {
        let open = "SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE user_id = $1 AND state = 'open'";
        sqlx::query_scalar(open).bind(user).fetch_one(&mut **write).await
    }

    /// Forgets work that was closed long ago: some of it.
    pub(crate) async fn forget(&self) -> Result<(), sqlx::Error> {
        let old = now_ms() - self.keep_ms;
        let look = sqlx::query("SELECT order_id FROM saga WHERE state = 'closed' AND next_at < $1 LIMIT 1");
        if look.bind(old).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(());
        }
        let forget = "DELETE FROM saga WHERE order_id IN \
                      (SELECT order_id FROM saga WHERE state = 'closed' AND next_at < $1 ORDER BY next_at LIMIT $2)";
        let mut write = self.database.write().await?;
        sqlx::query(forget).bind(old).bind(FORGET).execute(&mut *write).await?;
        write.commit().await
    }
}

impl Lease {
    fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            order_id: row.try_get("order_id")?,
            holder: row.try_get("holder")?,
            attempts: row.try_get("attempts")?,
            traceparent: row.try_get("traceparent")?,
            opened_at: row.try_get("opened_at")?,
        })
    }
}

/// Twice as long after each attempt.
fn wait_ms(attempts: i64) -> i64 {
    (WAIT_MIN_MS << attempts.saturating_sub(1).clamp(0, 10)).min(WAIT_MAX_MS)
}

#[cfg(test)]
mod tests {
    use super::wait_ms;

    #[test]
    fn each_wait_is_longer_than_the_one_before_and_none_is_too_long() {
        let waits = [1, 2, 3, 5, 6, 7, i64::MAX].map(wait_ms);
        assert_eq!(waits, [500, 1000, 2000, 8000, 15_000, 15_000, 15_000]);
    }
}
