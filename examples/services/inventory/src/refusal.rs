//! Why not: every reason the service has to say no, before it is told as a status over HTTP or gRPC.

use axum::http::StatusCode;
use chassis::Failure;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::items::Wrong;

/// A product of which there is not enough.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Short {
    pub(crate) product_id: String,
    pub(crate) wanted: i64,
    /// What could be had. Of a product nobody knows that is nothing.
    pub(crate) available: i64,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the reservation is confirmed: its goods are on their way")]
    Confirmed,
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the reservation is there, with other items")]
    Differs,
    #[error("the reservation has expired")]
    Expired,
    #[error("the request cannot be taken as it is")]
    Invalid(Wrong),
    #[error("there is not enough of what is wanted")]
    OutOfStock(Vec<Short>),
    #[error("more than that is promised already")]
    Promised,
    #[error("the reservation was released")]
    Released,
    #[error("there is no such product in stock")]
    UnknownProduct,
    #[error("there is no such reservation")]
    UnknownReservation,
}

impl Refusal {
    /// The word that does not change: programs compare it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Confirmed => "reservation_confirmed",
            Self::Database(_) => "internal",
            Self::Differs => "reservation_differs",
            Self::Expired => "reservation_expired",
            Self::Invalid(_) => "invalid_request",
            Self::OutOfStock(_) => "out_of_stock",
            Self::Promised => "stock_promised",
            Self::Released => "reservation_released",
            Self::UnknownProduct | Self::UnknownReservation => "not_found",
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (word, sentence) = (refusal.word(), refusal.to_string());
        match refusal {
            Refusal::Database(error) => error.into(),
            Refusal::Invalid(wrong) => Self::invalid(sentence).with(wrong),
            Refusal::OutOfStock(short) => Self::conflict(word, sentence).with(short),
            Refusal::UnknownProduct | Refusal::UnknownReservation => {
                Self::new(StatusCode::NOT_FOUND, word, sentence)
            }
            Refusal::Confirmed
            | Refusal::Differs
            | Refusal::Expired
            | Refusal::Promised
            | Refusal::Released => Self::conflict(word, sentence),
        }
    }
}
