//! A payment as it is kept and as it is told.

use chassis::rfc3339;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;

/// How the shopper pays.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MethodKind {
    Card,
    Invoice,
    Wallet,
}

/// How, and with what.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Method {
    #[serde(rename = "type")]
    pub(crate) kind: MethodKind,
    /// What the provider gave the shopper's page for the card or wallet. `tok_declined` is declined.
    #[serde(default)]
    pub(crate) token: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Captured,
    Declined,
    Pending,
    Refunded,
    Voided,
}

/// A payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    pub(crate) id: String,
    pub(crate) order_id: String,
    pub(crate) user_id: String,
    pub(crate) status: Status,
    /// Why it is declined.
    pub(crate) reason: String,
    pub(crate) amount_cents: i64,
    /// What the provider has given back.
    pub(crate) refunded_cents: i64,
    /// What it is still to give back.
    pub(crate) refunding_cents: i64,
    pub(crate) currency: String,
    pub(crate) method: MethodKind,
    pub(crate) created_at: String,
    #[serde(skip)]
    pub(crate) key: String,
    #[serde(skip)]
    pub(crate) token: String,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Declined => "declined",
            Self::Pending => "pending",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
        }
    }
}

impl MethodKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Invoice => "invoice",
            Self::Wallet => "wallet",
        }
    }
}

impl Payment {
    pub(crate) fn of(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let word = |column: &str| -> Result<serde_json::Value, sqlx::Error> {
            Ok(serde_json::Value::String(row.try_get(column)?))
        };
        let unreadable = |error: serde_json::Error| sqlx::Error::Decode(error.into());
        Ok(Self {
            id: row.try_get("id")?,
            order_id: row.try_get("order_id")?,
            user_id: row.try_get("user_id")?,
            status: serde_json::from_value(word("status")?).map_err(unreadable)?,
            reason: row.try_get("reason")?,
            amount_cents: row.try_get("amount_cents")?,
            refunded_cents: row.try_get("refunded_cents")?,
            refunding_cents: row.try_get("refunding_cents")?,
            currency: row.try_get("currency")?,
            method: serde_json::from_value(word("method")?).map_err(unreadable)?,
            created_at: rfc3339(row.try_get("created_at")?),
            key: row.try_get("charge_key")?,
            token: row.try_get("token")?,
        })
    }
}
