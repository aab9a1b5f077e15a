//! What the shop has promised: every order it has taken. At the end all of them must be found in its databases.

use std::sync::{Mutex, PoisonError};

/// More than any run of the demo places.
const ORDERS_MAX: usize = 200_000;

/// An order the shop has taken.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The shop's name for it.
    pub id: String,
    /// The shopper's.
    pub key: String,
    /// What the shop said it was at first.
    pub status: String,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Orders(Mutex<Vec<Placed>>);

impl Orders {
    pub(super) fn note(&self, placed: Placed) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < ORDERS_MAX {
            all.push(placed);
        }
    }

    /// All so far, in their order.
    pub fn all(&self) -> Vec<Placed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
