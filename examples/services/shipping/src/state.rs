//! What a shipment can be, and what it can become.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a shipment stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The order was cancelled in time.
    Cancelled,
    /// It is packed.
    Created,
    /// It is there.
    Delivered,
    /// It is on its way.
    Dispatched,
}

/// What can be done with a shipment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Move {
    Cancel,
    Deliver,
    Dispatch,
}

impl State {
    /// As the database and the events write it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Created => "created",
            Self::Delivered => "delivered",
            Self::Dispatched => "dispatched",
        }
    }

    /// What the database wrote.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Cancelled, Self::Created, Self::Delivered, Self::Dispatched]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

impl Move {
    /// The one state from which it can be done.
    pub(crate) fn from(self) -> State {
        match self {
            Self::Cancel | Self::Dispatch => State::Created,
            Self::Deliver => State::Dispatched,
        }
    }

    /// The state after it.
    pub(crate) fn to(self) -> State {
        match self {
            Self::Cancel => State::Cancelled,
            Self::Deliver => State::Delivered,
            Self::Dispatch => State::Dispatched,
        }
    }

    /// What others are told of it. Who cancelled has told of it already.
    pub(crate) fn tells(self) -> Option<&'static str> {
        match self {
            Self::Cancel => None,
            Self::Deliver => Some("shipment.delivered"),
            Self::Dispatch => Some("shipment.dispatched"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Move, State};

    #[test]
    fn every_state_is_read_as_it_is_written() {
        for state in [State::Cancelled, State::Created, State::Delivered, State::Dispatched] {
            assert_eq!(State::of(state.word()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        assert_eq!(State::of("lost"), None);
    }

    #[test]
    fn nothing_leaves_an_end() {
        for step in [Move::Cancel, Move::Deliver, Move::Dispatch] {
            assert!(!matches!(step.from(), State::Cancelled | State::Delivered), "{step:?}");
            assert_ne!(step.from(), step.to(), "{step:?}");
        }
    }
}
