//! Gives money back: never more than was taken, and once for each key.

use axum::http::StatusCode;
use chassis::{Failure, now_ms};
use sqlx::Row;

use crate::charging::Payments;
use crate::records::{Payment, Status};

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
        let (charge_key, amount) = self.set_aside(id, key, amount_cents).await?;
        if let Err(error) = self.provider.refund(key, &charge_key, amount).await {
            tracing::warn!(%error, payment = id, "not known whether it is given back");
            return Err(Failure::unavailable(
                "provider_unavailable",
                "the payment provider does not answer; ask again with the same key",
            ));
        }
        let mut write = self.database.write().await?;
        sqlx::query("UPDATE refund SET status = 'done' WHERE refund_key = $1")
            .bind(key)
            .execute(&mut *write)
            .await?;
        let all = "UPDATE payment SET status = 'refunded', updated_at = $1 \
                   WHERE id = $2 AND status = 'captured' AND refunded_cents = amount_cents";
        sqlx::query(all).bind(now_ms()).bind(id).execute(&mut *write).await?;
        write.commit().await?;
        self.one(id).await
    }

    /// Writes down what is to be given back before it is: two refunds at once cannot take the same cents.
    async fn set_aside(&self, id: &str, key: &str, wanted: Option<i64>) -> Result<(String, i64), Failure> {
        let mut write = self.database.write().await?;
        // Changes nothing, and holds the row: who comes meanwhile waits here, and then sees what we wrote.
        let hold = "UPDATE payment SET updated_at = updated_at WHERE id = $1 RETURNING *";
        let row = sqlx::query(hold).bind(id).fetch_optional(&mut *write).await?;
        let Some(row) = row else { return Err(Failure::not_found("payment")) };
        let payment = Payment::of(&row)?;
        let before = sqlx::query("SELECT payment_id, amount_cents, status FROM refund WHERE refund_key = $1")
            .bind(key)
            .fetch_optional(&mut *write)
            .await?;
        if let Some(before) = before {
            let amount = before.try_get("amount_cents")?;
            let same = before.try_get::<String, _>("payment_id")? == id;
            if !same || wanted.is_some_and(|wanted| wanted != amount) {
                return Err(Failure::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "key_reused",
                    "this Idempotency-Key was used for another refund",
                ));
            }
            // Calling off gave all of it back: what had not gone by then goes no more.
            if payment.status == Status::Voided && before.try_get::<String, _>("status")? == "pending" {
                return Err(not_refundable(&payment));
            }
            return Ok((payment.key, amount));
        }
        if payment.status != Status::Captured {
            return Err(not_refundable(&payment));
        }
        let left = payment.amount_cents - payment.refunded_cents;
        let amount = wanted.unwrap_or(left);
        if amount < 1 {
            return Err(Failure::invalid("amount_cents has to be at least 1"));
        }
        if amount > left {
            return Err(Failure::conflict("more_than_left", format!("{left} cents of it are left")));
        }
        let take = "UPDATE payment SET refunded_cents = refunded_cents + $1, updated_at = $2 WHERE id = $3";
        sqlx::query(take).bind(amount).bind(now_ms()).bind(id).execute(&mut *write).await?;
        sqlx::query("INSERT INTO refund VALUES ($1, $2, $3, 'pending', $4)")
            .bind(key)
            .bind(id)
            .bind(amount)
            .bind(now_ms())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok((payment.key, amount))
    }
}

fn not_refundable(payment: &Payment) -> Failure {
    let message = format!("a payment that is {} cannot be refunded", payment.status.word());
    Failure::conflict("not_refundable", message)
}
