//! Finds out that a connection we made has come back to us: redirect rules that do not exempt our own traffic send it round
//! and round.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The near ends of the connections that this process has made.
#[derive(Debug, Default)]
pub struct Loops(Mutex<HashSet<SocketAddr>>);

/// One of them, as long as it is open.
#[derive(Debug)]
pub struct Own {
    all: Arc<Loops>,
    near: SocketAddr,
}

impl Loops {
    /// This connection is ours.
    pub fn own(self: &Arc<Self>, near: SocketAddr) -> Own {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(near);
        Own { all: self.clone(), near }
    }

    /// Is whoever connected from there ourselves?
    pub fn closes(&self, from: SocketAddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&from)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.near);
    }
}
