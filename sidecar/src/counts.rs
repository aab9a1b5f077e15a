//! What happened to connections that are no HTTP, and to calls that nobody declared.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use policies::observe::{self, Metric};
use shell::telemetry::Gauges;

/// How a connection of bytes went.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Went {
    /// Bytes went both ways until it ended.
    Carried,
    /// A policy said no.
    Denied,
    /// The other end could not be reached.
    Unreachable,
    /// It came back to us: redirect rules send our own traffic round.
    Loop,
}

impl Went {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Carried => "carried",
            Self::Denied => "denied",
            Self::Unreachable => "unreachable",
            Self::Loop => "loop",
        }
    }
}

/// The counts. Connections are few beside requests: one lock does. Targets are named by the document, so there is a bound.
#[derive(Debug, Default)]
pub struct Counts {
    connections: Mutex<BTreeMap<(String, Went), u64>>,
    bytes: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl Counts {
    /// A connection to this target is over.
    pub fn connection(&self, target: &str, went: Went) {
        let mut all = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((target.to_owned(), went)).or_default() += 1;
    }

    /// So many bytes went up and down.
    pub fn bytes(&self, target: &str, up: u64, down: u64) {
        let mut all = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((target.to_owned(), "up")).or_default() += up;
        *all.entry((target.to_owned(), "down")).or_default() += down;
    }
}

impl Gauges for Counts {
    fn collect(&self, out: &mut dyn FnMut(&'static Metric, &[&str], f64)) {
        for ((target, went), count) in self.connections.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            out(&observe::TCP_CONNECTIONS, &[target, went.as_str()], *count as f64);
        }
        for ((target, way), count) in self.bytes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out(&observe::TCP_BYTES, &[target, way], *count as f64);
        }
    }
}
