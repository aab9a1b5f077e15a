//! Where an order stands, told from events that come in any order: the latest stage that was heard of counts.

/// Stages, the earlier first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Status {
    Placed,
    Delayed,
    Completed,
    Rejected,
    Cancelled,
}

impl Status {
    pub(crate) const ALL: [Self; 5] =
        [Self::Placed, Self::Delayed, Self::Completed, Self::Rejected, Self::Cancelled];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Delayed => "delayed",
            Self::Placed => "placed",
            Self::Rejected => "rejected",
        }
    }

    /// What was written, in the database or after `order.`.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    /// Where it stands after this was heard too.
    pub(crate) fn after(self, known: Option<Self>) -> Self {
        known.map_or(self, |known| known.max(self))
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn every_status_is_read_as_it_is_written() {
        for status in Status::ALL {
            assert_eq!(Status::of(status.word()), Some(status));
        }
        assert_eq!(Status::of(""), None);
    }

    #[test]
    fn the_order_in_which_they_are_heard_makes_no_difference() {
        for one in Status::ALL {
            for other in Status::ALL {
                assert_eq!(one.after(Some(other)), other.after(Some(one)));
            }
        }
        assert_eq!(Status::Delayed.after(Some(Status::Completed)), Status::Completed);
        assert_eq!(Status::Cancelled.after(Some(Status::Completed)), Status::Cancelled);
    }
}
