//! Charges once.
//!
//! The key is written down first, as *pending*. Then the provider is asked, outside any transaction. Then what came of it
//! is written down. Whoever comes in between with the same key is told to wait; whoever comes after a crash finds it
//! pending with nobody at it, and asks the provider again under the same key, which charges nobody twice.

use std::sync::Arc;

use axum::http::StatusCode;
use chassis::{Chassis, Database, Failure, now_ms};
use tracing::Instrument;
use uuid::Uuid;

use crate::provider::{Charge, Provider, ProviderError, Wanted};
use crate::records::{Method, Payment, Status};

/// Longer than the provider is ever waited for.
const LEASE_MS: i64 = 5_000;

/// The payments.
#[derive(Clone)]
pub(crate) struct Payments {
    pub(crate) chassis: Chassis,
    pub(crate) database: Database,
    pub(crate) provider: Arc<Provider>,
    /// So long the provider is not asked again for a refund, unless somebody comes with its key.
    pub(crate) refund_retry_ms: i64,
}

/// What is to be charged.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) order_id: String,
    pub(crate) user_id: String,
    pub(crate) amount_cents: i64,
    pub(crate) currency: String,
    pub(crate) method: Method,
}

/// A payment, and whether this request made it.
pub(crate) enum Charged {
    Before(Payment),
    Now(Payment),
}

impl Payments {
    /// Does this to its end, also when the caller hangs up. With a provider that takes longer than the caller waits, what
    /// is cut off each time would never be done.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        doing: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let interrupted = |_| {
            Failure::unavailable("provider_unavailable", "it was interrupted; ask again with the same key")
        };
        self.chassis.spawn(doing.in_current_span()).await.map_err(interrupted)?
    }

    /// Charges, or says what came of it when the key was here before.
    pub(crate) async fn charge(&self, order: &Order) -> Result<Charged, Failure> {
        match self.begin(order).await? {
            Begun::Ended(payment) => Ok(Charged::Before(payment)),
            Begun::Ours(payment) => self.ask(payment).await.map(Charged::Now),
        }
    }

    /// Sees to it that nobody pays under this key: what was charged is given back, what was not never will be.
    pub(crate) async fn void(&self, order: &Order) -> Result<Payment, Failure> {
        let payment = match self.begin(order).await? {
            Begun::Ended(payment) if payment.status != Status::Captured => return Ok(payment),
            Begun::Ended(payment) | Begun::Ours(payment) => payment,
        };
        match self.provider.void(&wanted(&payment)).await {
            Ok(()) => self.end(&payment, Status::Voided, "").await,
            Err(error) => Err(self.unknown(&payment, &error).await),
        }
    }

    async fn begin(&self, order: &Order) -> Result<Begun, Failure> {
        let (id, now) = (Uuid::now_v7().to_string(), now_ms());
        let mut write = self.database.write().await?;
        // If the key is there, this changes nothing, and holds the row: nobody ends the payment while we look at it.
        let statement = "INSERT INTO payment (id, charge_key, order_id, user_id, amount_cents, currency, method, \
                         token, status, reason, refunded_cents, lease_until, created_at, updated_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending', '', 0, $9, $10, $10) \
                         ON CONFLICT (charge_key) DO UPDATE SET charge_key = excluded.charge_key RETURNING *";
        let row = sqlx::query(statement)
            .bind(&id)
            .bind(&order.key)
            .bind(&order.order_id)
            .bind(&order.user_id)
            .bind(order.amount_cents)
            .bind(&order.currency)
            .bind(order.method.kind.word())
            .bind(&order.method.token)
            .bind(now + LEASE_MS)
            .bind(now)
            .fetch_one(&mut *write)
            .await?;
        let payment = Payment::of(&row)?;
        if payment.id != id {
            if !order.is(&payment) {
                return Err(Failure::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "key_reused",
                    "this Idempotency-Key was used for another payment",
                ));
            }
            if payment.status != Status::Pending {
                return Ok(Begun::Ended(payment));
            }
            let lease = "UPDATE payment SET lease_until = $1 WHERE id = $2 AND lease_until < $3";
            let ours = sqlx::query(lease)
                .bind(now + LEASE_MS)
                .bind(&payment.id)
                .bind(now)
                .execute(&mut *write)
                .await?;
            if ours.rows_affected() == 0 {
                return Err(Failure::conflict("payment_in_progress", "this payment is being made"));
            }
        }
        write.commit().await?;
        Ok(Begun::Ours(payment))
    }

    async fn ask(&self, payment: Payment) -> Result<Payment, Failure> {
        match self.provider.charge(&wanted(&payment)).await {
            Ok(Charge::Charged) => self.end(&payment, Status::Captured, "").await,
            Ok(Charge::Declined(reason)) => self.end(&payment, Status::Declined, &reason).await,
            Ok(Charge::Voided) => self.end(&payment, Status::Voided, "").await,
            Err(error) => Err(self.unknown(&payment, &error).await),
        }
    }

    /// Nobody knows what came of it. It stays pending, free for whoever asks again.
    async fn unknown(&self, payment: &Payment, error: &ProviderError) -> Failure {
        tracing::warn!(%error, payment = payment.id, order = payment.order_id, "not known whether it is charged");
        let free = sqlx::query("UPDATE payment SET lease_until = 0 WHERE id = $1").bind(&payment.id);
        if let Err(error) = free.execute(self.database.pool()).await {
            return error.into();
        }
        Failure::unavailable(
            "provider_unavailable",
            "the payment provider does not answer; ask again with the same key",
        )
    }

    async fn end(&self, payment: &Payment, status: Status, reason: &str) -> Result<Payment, Failure> {
        let mut write = self.database.write().await?;
        // What is called off goes back at once and whole: nothing is still to go back.
        let statement = "UPDATE payment SET status = $1, reason = $2, lease_until = 0, updated_at = $3, \
                         refunding_cents = CASE WHEN $1 = 'voided' THEN 0 ELSE refunding_cents END \
                         WHERE id = $4 AND status IN ('pending', 'captured') RETURNING *";
        let row = sqlx::query(statement)
            .bind(status.word())
            .bind(reason)
            .bind(now_ms())
            .bind(&payment.id)
            .fetch_optional(&mut *write)
            .await?;
        if status == Status::Voided {
            let refunds = "UPDATE refund SET status = 'voided' WHERE payment_id = $1 AND status = 'pending'";
            sqlx::query(refunds).bind(&payment.id).execute(&mut *write).await?;
        }
        // Somebody else came to an end first; the provider told both of us the same.
        let row = match row {
            Some(row) => row,
            None => {
                let found = sqlx::query("SELECT * FROM payment WHERE id = $1").bind(&payment.id);
                found.fetch_one(&mut *write).await?
            }
        };
        write.commit().await?;
        tracing::info!(payment = payment.id, order = payment.order_id, status = status.word(), "payment");
        Ok(Payment::of(&row)?)
    }
}

impl Order {
    /// Is it what this payment was asked for?
    fn is(&self, payment: &Payment) -> bool {
        self.order_id == payment.order_id
            && self.user_id == payment.user_id
            && self.amount_cents == payment.amount_cents
            && self.currency == payment.currency
            && self.method.kind == payment.method
            && self.method.token == payment.token
    }
}

enum Begun {
    /// Its end is known.
    Ended(Payment),
    /// It is ours to bring to an end.
    Ours(Payment),
}

fn wanted(payment: &Payment) -> Wanted<'_> {
    Wanted {
        key: &payment.key,
        order_id: &payment.order_id,
        amount_cents: payment.amount_cents,
        token: &payment.token,
    }
}
