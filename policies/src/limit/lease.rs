//! Limits that several replicas share: what to ask the store, and what to answer while it has not answered.
//!
//! A replica takes permits from the store in batches and spends them from memory, so a busy caller's request
//! waits for no network. The store keeps a plain bucket and hands out permits by [`super::grant`]; everything else
//! is here, and does no talking itself. The shell asks when told to ([`Ask`]), then reports: [`Leases::merge`] with the
//! answer, or [`Leases::store_failed`].
//!
//! **The bound.** In any window of `t`, `k` replicas together let in at most
//! `burst + rate * t + k * (batch_max + credit)`, where `batch_max` is `burst / (4 k)` but at least one, and `credit` is
//! `batch_max` or nothing ([`Terms`]): what was leased before the window and spent in it, and what was let in on credit
//! before the store had been asked. So the shared limit is at most half a burst more generous than a single one
//! (for bursts below `4 k`: two permits a replica), and never in the long run: credit is paid back from the next
//! grant. Permits fetched for callers who wait (`NeedsLease`) come on top, if those callers then go away.
//! While the store is down, the bound is what [`IfStoreDown`] says.
//!
//! Read [`Leases::spend`] first. Tests: `lease/tests.rs`.

use std::time::Duration;

use self::state::{Lease, Store};
pub use self::terms::{IfStoreDown, Sharing, Terms};
use super::buckets::BucketKey;
use super::table::{Lapses, Shards};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::time::Tick;

mod state;
mod terms;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

/// How long a store that failed is left alone. One request then finds out whether it is back.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A question for the store: up to `want` permits for this key. The shell asks it, off the request's path unless the
/// request waits, and reports the answer or the failure exactly once.
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
    /// It may pass.
    Allowed,
    /// It may not: the store has said when there will be more.
    Limited {
        /// When to try again.
        retry_after: Duration,
    },
    /// Only the store knows. Wait for the answer that is under way (asked by this request or another one), then
    /// spend again; altogether no longer than a question may take. If that is not enough, do `otherwise`.
    NeedsLease {
        /// What to do without an answer.
        otherwise: IfStoreDown,
    },
    /// The store is known to be down. Do this at once; nobody waits for a dead store.
    StoreDown {
        /// What to do.
        instead: IfStoreDown,
    },
}

/// The leases this replica holds, in bounded memory. When there is no room, the least used lease goes, with its
/// permits (which makes the limit stricter) and its debt (which makes it laxer, by [`Terms::credit`] at most).
pub struct Leases {
    shards: Shards<Lease>,
    /// When a failed store may be tried again; zero while it answers.
    down_until: AtomicU64,
}

impl Leases {
    /// Room for the leases of `cap` callers (at least 448), at about 70 bytes each.
    pub fn new(cap: usize) -> Self {
        Self { shards: Shards::new(cap), down_until: AtomicU64::new(0) }
    }

    /// Spends `cost` permits of a caller, and says what to ask the store.
    ///
    /// A caller seen for the first time is let in on credit, and the store is asked to take it off the bucket after
    /// the fact; only a caller who has used up lease and credit at once, or whom the store has refused, waits for
    /// an answer. With limits of both kinds, spend leases first, then `Buckets::check_all`, and
    /// [`Leases::put_back`] the leased permits if that refuses.
    pub fn spend(&self, terms: &Terms, key: BucketKey, cost: u32, now: Tick) -> Spend {
        if cost == 0 {
            return Spend { answer: Answer::Allowed, ask: None };
        }
        if !terms.gcra.affords(cost) {
            let retry_after = terms.gcra.interval().saturating_mul(terms.gcra.burst());
            return Spend { answer: Answer::Limited { retry_after }, ask: None };
        }
        let store = self.store(now);
        let Some(mut table) = self.shards.lock(self.shards.shard_of(key.0)) else {
            return Spend { answer: Answer::StoreDown { instead: terms.if_store_down }, ask: None };
        };
        if let Some(lease) = table.touch(key.0) {
            return self.spend_from(lease, terms, cost, now, store);
        }
        let mut lease = Lease::default();
        let spend = self.spend_from(&mut lease, terms, cost, now, store);
        if lease.lapses_at() > now {
            self.shards.count(table.insert(key.0, lease, now));
        }
        spend
    }

    /// The store's answer to [`Ask`]: how many permits it gave, and when there will be one more. Returns the next
    /// question, if more was used or is waited for than this one asked for.
    #[must_use = "a question that is not asked is never answered"]
    pub fn merge(
        &self,
        terms: &Terms,
        key: BucketKey,
        granted: u32,
        retry_after: Duration,
        now: Tick,
    ) -> Option<Ask> {
        self.down_until.store(0, Ordering::Relaxed);
        let mut table = self.shards.lock(self.shards.shard_of(key.0))?;
        // A lease evicted since it asked is forgotten, and its permits are lost: the safe side.
        table.touch(key.0)?.merge(terms, granted, retry_after, now)
    }

    /// The store did not answer [`Ask`], or not in time. For a while nobody asks; then one request does.
    pub fn store_failed(&self, key: BucketKey, now: Tick) {
        self.down_until.store(now.after(STORE_PAUSE).as_nanos().max(1), Ordering::Relaxed);
        self.with(key, |lease| lease.waiting_for = 0);
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

    fn with(&self, key: BucketKey, change: impl FnOnce(&mut Lease)) {
        if let Some(mut table) = self.shards.lock(self.shards.shard_of(key.0))
            && let Some(lease) = table.touch(key.0)
        {
            change(lease);
        }
    }

    fn spend_from(&self, lease: &mut Lease, terms: &Terms, cost: u32, now: Tick, store: Store) -> Spend {
        let mut spend = lease.spend(terms, cost, now, store);
        if spend.ask.is_some() && store == Store::Doubtful && !self.may_probe(now) {
            lease.waiting_for = 0;
            spend.ask = None;
        }
        spend
    }

    fn store(&self, now: Tick) -> Store {
        match self.down_until.load(Ordering::Relaxed) {
            0 => Store::Answers,
            until if now.as_nanos() < until => Store::Down,
            _ => Store::Doubtful,
        }
    }

    /// One request in every pause finds out whether the store is back.
    fn may_probe(&self, now: Tick) -> bool {
        let until = self.down_until.load(Ordering::Relaxed);
        let next = now.after(STORE_PAUSE).as_nanos();
        until <= now.as_nanos()
            && self.down_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").field("evicted", &self.evicted()).finish_non_exhaustive()
    }
}
