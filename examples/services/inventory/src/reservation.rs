//! A reservation: what it is and what may become of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::items::{self, Items, Wrong};
use crate::refusal::Refusal;

/// How long goods are held for somebody, unless told: long enough to pay, short enough for those who wait.
const TTL_SECONDS: i64 = 15 * 60;
const TTL_SECONDS_MAX: i64 = 24 * 60 * 60;

/// `held` becomes one of the others, and stays that.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The goods are gone from the shelf.
    Confirmed,
    /// Nobody confirmed it in time: the goods are available again.
    Expired,
    /// The goods are on the shelf, promised.
    Held,
    /// Given up: the goods are available again.
    Released,
}

/// A reservation as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    pub(crate) state: State,
    pub(crate) items: Items,
    /// In milliseconds.
    pub(crate) expires_at: i64,
}

/// A reservation somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) id: String,
    pub(crate) items: Items,
    pub(crate) ttl_ms: i64,
}

impl State {
    /// As the database keeps it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Released => "released",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Confirmed, Self::Expired, Self::Held, Self::Released]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

impl Reservation {
    /// The answer to somebody who wants a reservation that is there already.
    pub(crate) fn answers(self, wish: &Wish) -> Result<Self, Refusal> {
        match self.state {
            State::Expired => Err(Refusal::Expired),
            State::Released => Err(Refusal::Released),
            State::Confirmed | State::Held if self.items != wish.items => Err(Refusal::Differs),
            State::Confirmed | State::Held => Ok(self),
        }
    }
}

impl Wish {
    /// Reads it.
    pub(crate) fn checked(
        id: String,
        lines: impl IntoIterator<Item = (String, i64)>,
        ttl_seconds: Option<i64>,
    ) -> Result<Self, Refusal> {
        let (items, mut wrong) = match Items::checked(lines) {
            Ok(items) => (items, Wrong::new()),
            Err(Refusal::Invalid(wrong)) => (Items::default(), wrong),
            Err(other) => return Err(other),
        };
        if !items::is_id(&id) {
            wrong.insert("reservation_id".to_owned(), items::ID_RULE);
        }
        let ttl = ttl_seconds.unwrap_or(TTL_SECONDS);
        if !(1..=TTL_SECONDS_MAX).contains(&ttl) {
            wrong.insert("ttl_seconds".to_owned(), "is from 1 to 86400");
        }
        if wrong.is_empty() {
            Ok(Self { id, items, ttl_ms: ttl * 1000 })
        } else {
            Err(Refusal::Invalid(wrong))
        }
    }
}
