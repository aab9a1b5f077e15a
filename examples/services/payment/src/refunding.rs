//! Gives money back: never more than was taken, and once for each key. What is to go back is set aside first. Then the
//! provider is asked under the refund's own key, by who wants it and, should they leave before it has answered, by a task
//! of our own: what is set aside goes back one day, whoever still has the key.

use std::time::Duration;

use axum::http::StatusCode;
use chassis::{Failure, Write, now_ms};
use sqlx::Row;
use sqlx::any::AnyRow;
use tokio::time::timeout;

use crate::charging::Payments;
use crate::provider::ProviderError;
use crate::records::{Payment, Status};

/// Who finds nothing to give back looks again after this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A refund that is set aside.
struct Due {
    key: String,
    amount_cents: i64,
    payment_id: String,
    charge_key: String,
}

impl Payments {
    /// The payment of this id.
    pub(crate) async fn one(&self, id: &str) -> Result<Payment, Failure> {
        let row = sqlx::query("SELECT * FROM payment WHERE id = $1").bind(id);
        match row.fetch_optional(self.database.pool()).await? {
            Some(row) => Ok(Payment::of(&row)?),
            None => Err(Failure::not_found("payment")),
        }
    }

    /// Gives so much back, or all that is left.
    pub(crate) async fn refund(
        &self,
        id: &str,
        key: &str,
        amount_cents: Option<i64>,
    ) -> Result<Payment, Failure> {
        let due = self.set_aside(id, key, amount_cents).await?;
        if let Err(error) = self.give_back(&due).await {
            tracing::warn!(%error, payment = id, "not known whether it is given back");
            return Err(Failure::unavailable(
                "provider_unavailable",
                "the payment provider does not answer; it is asked again until it does",
            ));
        }
        self.one(id).await
    }

    /// Asks the provider again for what is set aside, one after the other, until the service ends.
    pub(crate) async fn give_back_what_is_due(self) {
        let stop = self.chassis.stop.clone();
        while !stop.is_cancelled() {
            match self.give_back_next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "what is to be given back has to wait"),
            }
            let _stopped = timeout(LOOK_EVERY, stop.cancelled()).await;
        }
    }

    /// The one that has waited longest. `false` if there is none.
    async fn give_back_next(&self) -> Result<bool, ProviderError> {
        let now = now_ms();
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look =
            sqlx::query("SELECT refund_key FROM refund WHERE status = 'pending' AND next_at <= $1 LIMIT 1");
        if look.bind(now).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(false);
        }
        // The conditions stand twice: on Postgres another instance may have taken what the inner part has found.
        let take = "UPDATE refund SET next_at = $1 WHERE status = 'pending' AND next_at <= $2 AND refund_key IN \
                    (SELECT refund_key FROM refund WHERE status = 'pending' AND next_at <= $2 \
                    ORDER BY next_at LIMIT 1) RETURNING refund_key, payment_id, amount_cents";
        let mut write = self.database.write().await?;
        let row =
            sqlx::query(take).bind(now + self.refund_retry_ms).bind(now).fetch_optional(&mut *write).await?;
        let Some(row) = row else { return Ok(false) };
        let charge = sqlx::query("SELECT charge_key FROM payment WHERE id = $1");
        let charge = charge.bind(row.try_get::<String, _>("payment_id")?).fetch_one(&mut *write).await?;
        write.commit().await?;
        self.give_back(&Due::of(&row, charge.try_get("charge_key")?)?).await?;
        Ok(true)
    }

    /// Asks the provider, and writes down that it has given it back.
    #[tracing::instrument(name = "give back", skip_all, fields(payment.id = due.payment_id, amount_cents = due.amount_cents))]
    async fn give_back(&self, due: &Due) -> Result<(), ProviderError> {
        self.provider.refund(&due.key, &due.charge_key, due.amount_cents).await?;
        let mut write = self.database.write().await?;
        hold(&mut write, &due.payment_id).await?;
        let done = "UPDATE refund SET status = 'done' WHERE refund_key = $1 AND status = 'pending'";
        let done = sqlx::query(done).bind(&due.key).execute(&mut *write).await?;
        // Whoever came first has counted it, or has called the payment off.
        if done.rows_affected() == 1 {
            let count = "UPDATE payment SET refunded_cents = refunded_cents + $1, \
                         refunding_cents = refunding_cents - $1, updated_at = $2, \
                         status = CASE WHEN refunded_cents + $1 = amount_cents THEN 'refunded' ELSE status END \
                         WHERE id = $3";
            let count = sqlx::query(count).bind(due.amount_cents).bind(now_ms()).bind(&due.payment_id);
            count.execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// Writes down what is to be given back before it is: two refunds at once cannot take the same cents.
    async fn set_aside(&self, id: &str, key: &str, wanted: Option<i64>) -> Result<Due, Failure> {
        let mut write = self.database.write().await?;
        let Some(row) = hold(&mut write, id).await? else { return Err(Failure::not_found("payment")) };
        let payment = Payment::of(&row)?;
        let before = sqlx::query(
            "SELECT refund_key, payment_id, amount_cents, status FROM refund WHERE refund_key = $1",
        )
        .bind(key)
        .fetch_optional(&mut *write)
        .await?;
        if let Some(before) = before {
            let due = Due::of(&before, payment.key.clone())?;
            if due.payment_id != id || wanted.is_some_and(|wanted| wanted != due.amount_cents) {
                return Err(Failure::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "key_reused",
                    "this Idempotency-Key was used for another refund",
                ));
            }
            // Calling off gave all of it back: what had not gone by then goes no more.
            if before.try_get::<String, _>("status")? == "voided" {
                return Err(not_refundable(&payment));
            }
            return Ok(due);
        }
        if payment.status != Status::Captured {
            return Err(not_refundable(&payment));
        }
        let left = payment.amount_cents - payment.refunded_cents - payment.refunding_cents;
        // If nothing is left, one cent is already more than that.
        let amount_cents = wanted.unwrap_or(left.max(1));
        if amount_cents < 1 {
            return Err(Failure::invalid("amount_cents has to be at least 1"));
        }
        if amount_cents > left {
            return Err(Failure::conflict("more_than_left", format!("{left} cents of it are left")));
        }
        let now = now_ms();
        let take = "UPDATE payment SET refunding_cents = refunding_cents + $1, updated_at = $2 WHERE id = $3";
        sqlx::query(take).bind(amount_cents).bind(now).bind(id).execute(&mut *write).await?;
        let note = "INSERT INTO refund (refund_key, payment_id, amount_cents, status, created_at, next_at) \
                    VALUES ($1, $2, $3, 'pending', $4, $5)";
        sqlx::query(note)
            .bind(key)
            .bind(id)
            .bind(amount_cents)
            .bind(now)
            .bind(now + self.refund_retry_ms)
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(Due { key: key.to_owned(), amount_cents, payment_id: id.to_owned(), charge_key: payment.key })
    }
}

impl Due {
    fn of(row: &AnyRow, charge_key: String) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.try_get("refund_key")?,
            amount_cents: row.try_get("amount_cents")?,
            payment_id: row.try_get("payment_id")?,
            charge_key,
        })
    }
}

/// Changes nothing, and holds the row of a payment: who comes meanwhile waits here, and then sees what we wrote. Always
/// before its refunds, so that no two wait for each other.
async fn hold(write: &mut Write, id: &str) -> Result<Option<AnyRow>, sqlx::Error> {
    let hold = sqlx::query("UPDATE payment SET updated_at = updated_at WHERE id = $1 RETURNING *");
    hold.bind(id).fetch_optional(&mut **write).await
}

fn not_refundable(payment: &Payment) -> Failure {
    let message = format!("a payment that is {} cannot be refunded", payment.status.word());
    Failure::conflict("not_refundable", message)
}
