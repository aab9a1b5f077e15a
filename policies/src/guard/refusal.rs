//! Why the guard said no: the row of the table, and one sentence for the log.

use crate::verdict::Denial;

/// A denial with its reason. The client gets the denial; the reason is for `explain` and the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// What the client is told.
    pub denial: Denial,
    /// What exactly was wrong.
    pub because: &'static str,
}

impl Refusal {
    pub(super) const fn new(denial: Denial, because: &'static str) -> Self {
        Self { denial, because }
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        refusal.denial
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.because)
    }
}

impl std::error::Error for Refusal {}
