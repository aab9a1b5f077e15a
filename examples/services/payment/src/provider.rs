//! The provider, simulated: it keeps books of its own, can be slow, say no, fail, or do what it was asked and lose the
//! answer on the way back. Like a real one it knows keys: a charge that comes twice under one key is one charge.

use std::sync::RwLock;
use std::time::Duration;

use chassis::{Database, Settings, SettingsError, now_ms};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::ToSchema;

/// A bank that takes longer is as good as gone: the shopper shall have an answer within three seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(2500);

/// How the provider behaves.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// How long an answer takes.
    pub(crate) delay_ms: u64,
    /// The share of requests that fail before anything is done, 0 to 1.
    pub(crate) failure_rate: f64,
    /// The share of charges that are done and whose answer is lost, 0 to 1.
    pub(crate) lost_rate: f64,
    /// The share of charges that are declined, 0 to 1.
    pub(crate) decline_rate: f64,
}

/// What came of a charge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Charge {
    Charged,
    Declined(String),
    Voided,
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) key: &'a str,
    pub(crate) order_id: &'a str,
    pub(crate) amount_cents: i64,
    pub(crate) token: &'a str,
}

/// Why nobody knows what came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProviderError {
    #[error("the provider's books: {0}")]
    Books(#[from] sqlx::Error),
    #[error("the provider does not answer")]
    Silent,
}

/// The provider.
pub(crate) struct Provider {
    books: Database,
    behaviour: RwLock<Behaviour>,
}

impl Provider {
    pub(crate) fn new(books: Database, settings: &Settings) -> Result<Self, SettingsError> {
        let behaviour = Behaviour {
            delay_ms: settings.parsed("PROVIDER_DELAY_MS", 20)?,
            failure_rate: settings.parsed("PROVIDER_FAILURE_RATE", 0.0)?,
            lost_rate: settings.parsed("PROVIDER_LOST_RATE", 0.0)?,
            decline_rate: settings.parsed("PROVIDER_DECLINE_RATE", 0.0)?,
        };
        Ok(Self { books, behaviour: RwLock::new(behaviour) })
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        *self.behaviour.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.write().unwrap_or_else(std::sync::PoisonError::into_inner) = behaviour;
    }

    /// Charges, unless this key was charged, declined or voided before: then that is the answer.
    #[tracing::instrument(name = "provider charge", skip_all, fields(otel.kind = "client", key = wanted.key))]
    pub(crate) async fn charge(&self, wanted: &Wanted<'_>) -> Result<Charge, ProviderError> {
        let lost = self.travel().await?;
        let declines = wanted.token == "tok_declined" || chance(self.behaviour().decline_rate);
        let (status, reason) = if declines { ("declined", "the bank declines") } else { ("charged", "") };
        let mut write = self.books.write().await?;
        let statement = "INSERT INTO provider_charge \
                         (charge_key, order_id, amount_cents, refunded_cents, status, reason, at) \
                         VALUES ($1, $2, $3, 0, $4, $5, $6) ON CONFLICT DO NOTHING";
        sqlx::query(statement)
            .bind(wanted.key)
            .bind(wanted.order_id)
            .bind(wanted.amount_cents)
            .bind(status)
            .bind(reason)
            .bind(now_ms())
            .execute(&mut *write)
            .await?;
        let row = sqlx::query("SELECT status, reason FROM provider_charge WHERE charge_key = $1")
            .bind(wanted.key)
            .fetch_one(&mut *write)
            .await?;
        write.commit().await?;
        let charge = match row.try_get::<String, _>("status")?.as_str() {
            "charged" => Charge::Charged,
            "declined" => Charge::Declined(row.try_get("reason")?),
            _ => Charge::Voided,
        };
        if lost { Err(ProviderError::Silent) } else { Ok(charge) }
    }

    /// Sees to it that this key costs nobody anything: what was charged is given back, what was not never will be.
    #[tracing::instrument(name = "provider void", skip_all, fields(otel.kind = "client", key = wanted.key))]
    pub(crate) async fn void(&self, wanted: &Wanted<'_>) -> Result<(), ProviderError> {
        let lost = self.travel().await?;
        let mut write = self.books.write().await?;
        let statement = "INSERT INTO provider_charge \
                         (charge_key, order_id, amount_cents, refunded_cents, status, reason, at) \
                         VALUES ($1, $2, $3, 0, 'voided', '', $4) ON CONFLICT (charge_key) DO UPDATE \
                         SET status = CASE WHEN provider_charge.status = 'charged' THEN 'voided' \
                         ELSE provider_charge.status END";
        sqlx::query(statement)
            .bind(wanted.key)
            .bind(wanted.order_id)
            .bind(wanted.amount_cents)
            .bind(now_ms())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        if lost { Err(ProviderError::Silent) } else { Ok(()) }
    }

    /// Gives so much of a charge back, once for each key of a refund.
    #[tracing::instrument(name = "provider refund", skip_all, fields(otel.kind = "client", key = refund_key))]
    pub(crate) async fn refund(
        &self,
        refund_key: &str,
        charge_key: &str,
        amount_cents: i64,
    ) -> Result<(), ProviderError> {
        let lost = self.travel().await?;
        let mut write = self.books.write().await?;
        let noted = sqlx::query("INSERT INTO provider_refund VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(refund_key)
            .bind(charge_key)
            .bind(amount_cents)
            .execute(&mut *write)
            .await?;
        if noted.rows_affected() == 1 {
            // All of what was voided has gone back already.
            let statement = "UPDATE provider_charge SET refunded_cents = refunded_cents + $1 \
                             WHERE charge_key = $2 AND status = 'charged'";
            sqlx::query(statement).bind(amount_cents).bind(charge_key).execute(&mut *write).await?;
        }
        write.commit().await?;
        if lost { Err(ProviderError::Silent) } else { Ok(()) }
    }

    /// The way there. Says whether the answer will get lost on the way back.
    async fn travel(&self) -> Result<bool, ProviderError> {
        let behaviour = self.behaviour();
        let delay = Duration::from_millis(behaviour.delay_ms);
        tokio::time::sleep(delay.min(ANSWER_WITHIN)).await;
        if delay >= ANSWER_WITHIN {
            // It may still be charged when nobody listens any more: just that makes payments hard.
            return Ok(true);
        }
        if chance(behaviour.failure_rate) {
            return Err(ProviderError::Silent);
        }
        Ok(chance(behaviour.lost_rate))
    }

    pub(crate) fn books(&self) -> &Database {
        &self.books
    }
}

fn chance(share: f64) -> bool {
    fastrand::f64() < share
}
