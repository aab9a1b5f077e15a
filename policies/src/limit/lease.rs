//! Limits that several replicas share: what to ask the store, and what to answer, which is always at once.
//!
//! A replica takes permits from the store in batches and spends them from memory. The store keeps a plain bucket and
//! hands out permits by [`super::grant`]; everything else is here, and does no talking itself. The shell asks when told
//! to ([`Ask`]), then reports: [`Leases::merge`] with the answer, [`Leases::unanswered`] without one, and
//! [`Leases::report`] when it learns that the store is down or back.
//!
//! **No request waits for the store.** A caller without permits in hand is let in *on credit*: the permit is owed, and
//! the next answer pays it before anything else. Credit ends at this replica's share of the burst (what
//! it would allow by itself were the store down), and at what the store can have by its own last answer. Whoever needs more than that
//! within one round trip is told to come back in a moment. The alternative, to wait for the answer, would be exact and
//! would make the store's latency everybody's; a smaller credit would refuse a page that sends six calls at once.
//!
//! **The bound.** In any window of `t`, `k` replicas together let in at most `burst + rate * t + k * (batch_max + credit)`,
//! where `batch_max` is `burst / (4 k)` and `credit` is `burst / k`, each at least one ([`Terms`]): what was leased before
//! the window and spent in it, and what was let in on credit. So a caller who calls all replicas in the same
//! millisecond gets two bursts and a quarter, once: credit is paid back, and a debt is remembered for eight
//! times as long as the bucket takes to fill (at least for one hold); who leaves a replica with a debt for that long is
//! lent its credit once more. One replica alone is exact but for the answer that is under way.
//! While the store is down, the bound is what [`IfStoreDown`] says.
//!
//! Read [`Leases::spend`] first, then `lease/state.rs`. Tests: `lease/tests.rs`.

use std::time::Duration;

use self::state::Lease;
pub use self::terms::{IfStoreDown, Sharing, Terms};
use super::buckets::BucketKey;
use super::quota::Outcome;
use super::table::{Lapses, Shards};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::time::Tick;

mod state;
mod terms;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

/// A question for the store: up to `want` permits for this key. The shell asks it off the request's path, and reports
/// the answer or its absence exactly once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ask {
    /// How many permits. At least 1.
    pub want: u32,
}

/// What to do with one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a question that is not asked is never answered"]
pub struct Spend {
    /// Its answer.
    pub answer: Answer,
    /// What to ask the store because of it, whatever the answer.
    pub ask: Option<Ask>,
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It was counted. How many permits are left is as the store said last, less what was used here since.
    Counted(Outcome),
    /// The store is known to be down: do at once what [`Terms::if_store_down`] says.
    StoreDown,
}

/// What is known of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Store {
    /// It answers.
    Answers,
    /// It does not, or never has yet.
    Down,
}

/// The leases this replica holds, in bounded memory. When there is no room, the least used lease goes, with its
/// permits (which makes the limit stricter) and its debt (which makes it laxer, by [`Terms::credit`] at most).
pub struct Leases {
    shards: Shards<Lease>,
    down: AtomicBool,
}

impl Leases {
    /// Room for the leases of `cap` callers (at least 448), at about 60 bytes each. The store counts as down until
    /// [`Leases::report`] says otherwise: nobody is lent what a store that was never seen may not have.
    pub fn new(cap: usize) -> Self {
        Self { shards: Shards::new(cap), down: AtomicBool::new(true) }
    }

    /// Spends `cost` permits of a caller, and says what to ask the store.
    ///
    /// With limits of both kinds, spend leases first, then `Buckets::check_all`, and [`Leases::put_back`] the leased
    /// permits if that refuses.
    pub fn spend(&self, terms: &Terms, key: BucketKey, cost: u32, now: Tick) -> Spend {
        let store = self.store();
        let Some(mut table) = self.shards.lock(self.shards.shard_of(key.0)) else {
            return Spend { answer: Answer::StoreDown, ask: None };
        };
        if let Some(lease) = table.touch(key.0) {
            return lease.spend(terms, cost, now, store);
        }
        let mut lease = Lease::default();
        let spend = lease.spend(terms, cost, now, store);
        if lease.lapses_at() > now {
            self.shards.count(table.insert(key.0, lease, now));
        }
        spend
    }

    /// The store's answer to [`Ask`]: how many permits it gave, and how long its bucket now needs to be full. Returns the
    /// next question, if more was used meanwhile than this one asked for.
    #[must_use = "a question that is not asked is never answered"]
    pub fn merge(
        &self,
        terms: &Terms,
        key: BucketKey,
        granted: u32,
        full_in: Duration,
        now: Tick,
    ) -> Option<Ask> {
        let mut table = self.shards.lock(self.shards.shard_of(key.0))?;
        // A lease evicted since it asked is forgotten, and its permits are lost: the safe side.
        table.touch(key.0)?.merge(terms, granted, full_in, now)
    }

    /// [`Ask`] was not answered, or not in time, or never sent. The next request that needs to asks again.
    pub fn unanswered(&self, key: BucketKey) {
        self.with(key, Lease::unanswered);
    }

    /// What the shell has learned of the store. While it is down nobody asks: finding out whether it is back is the
    /// shell's business.
    pub fn report(&self, store: Store) {
        self.down.store(store == Store::Down, Ordering::Relaxed);
    }

    /// What is known of the store.
    pub fn store(&self) -> Store {
        if self.down.load(Ordering::Relaxed) { Store::Down } else { Store::Answers }
    }

    /// Gives back permits of a request that was allowed here and then refused elsewhere. Exact: they are permits in
    /// hand, not time.
    pub fn put_back(&self, key: BucketKey, cost: u32) {
        self.with(key, |lease| lease.put_back(cost));
    }

    /// Leases that had to go for want of room.
    pub fn evicted(&self) -> u64 {
        self.shards.evicted()
    }

    /// Memory taken by now. Takes every lock once: for metrics, not for requests.
    pub fn bytes(&self) -> usize {
        self.shards.bytes()
    }

    fn with(&self, key: BucketKey, change: impl FnOnce(&mut Lease)) {
        if let Some(mut table) = self.shards.lock(self.shards.shard_of(key.0))
            && let Some(lease) = table.touch(key.0)
        {
            change(lease);
        }
    }
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (store, evicted) = (self.store(), self.evicted());
        f.debug_struct("Leases").field("store", &store).field("evicted", &evicted).finish_non_exhaustive()
    }
}
