//! On what terms a limit is shared: what replicas may hold, lend and do without the store.

use std::time::Duration;

use crate::limit::Gcra;

/// The outstanding permits of all replicas together are this part of the burst: small enough that the limit still
/// means what it says, large enough that a replica asks once in several requests.
const OUTSTANDING_PART: u32 = 4;

/// What to do with requests that the store cannot count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IfStoreDown {
    /// Refuse them (`limit-store-down`). What is on credit when the store dies is all that is ever let in uncounted.
    Closed,
    /// Count them here, against this replica's share of the limit ([`Terms::local`]).
    #[default]
    Local,
    /// Let them in.
    Open,
}

/// How a limit is shared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sharing {
    /// How many replicas share it, at least 1. Too small a number makes the limit laxer, too large a number makes
    /// leases smaller and questions more frequent. Default 2.
    pub replicas: u32,
    /// How long leased permits may be kept before they lapse. Default 1 s: what a caller who stops using a lease
    /// loses, and how long a replica that dies takes permits with it.
    pub hold: Duration,
    /// What a dead store means. Default local.
    pub if_store_down: IfStoreDown,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { replicas: 2, hold: Duration::from_secs(1), if_store_down: IfStoreDown::Local }
    }
}

/// A shared limit, compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    pub(super) gcra: Gcra,
    local: Gcra,
    pub(super) batch_max: u32,
    pub(super) hold: Duration,
    if_store_down: IfStoreDown,
}

impl Terms {
    /// The terms on which this limit is shared.
    pub fn new(gcra: Gcra, sharing: &Sharing) -> Self {
        let replicas = sharing.replicas.max(1);
        let batch_max = (gcra.burst() / OUTSTANDING_PART / replicas).max(1);
        let (hold, if_store_down) = (sharing.hold, sharing.if_store_down);
        Self { gcra, local: gcra.share_of(replicas), batch_max, hold, if_store_down }
    }

    /// The limit the store keeps.
    pub fn shared(&self) -> Gcra {
        self.gcra
    }

    /// The limit this replica keeps in [`Buckets`](crate::limit::Buckets) when told [`IfStoreDown::Local`].
    pub fn local(&self) -> Gcra {
        self.local
    }

    /// What to do with requests that the store cannot count.
    pub fn if_store_down(&self) -> IfStoreDown {
        self.if_store_down
    }

    /// The most permits a replica holds in advance.
    pub fn batch_max(&self) -> u32 {
        self.batch_max
    }

    /// The most permits a replica lends a caller before the store has been asked: its share of the burst.
    pub fn credit(&self) -> u32 {
        self.local.burst()
    }
}
