//! The buckets of all limits of the process, in one bounded store.

use std::hash::Hash;

use smallvec::SmallVec;

use super::quota::{Gcra, Outcome};
use super::table::{Shards, Table};
use crate::sync::MutexGuard;
use crate::time::Tick;

/// Limits of one request that need no allocation. Three are common: address, user, route.
const USUAL_LIMITS: usize = 4;

/// Names one bucket: a keyed hash of the policy and the caller. Means nothing outside this process.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct BucketKey(pub(super) u64);

/// What several limits say together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Joint {
    /// Which of them binds most: the one that refuses for longest, or the one with fewest permits left.
    pub by: usize,
    /// What that one says.
    pub outcome: Outcome,
}

/// One bounded store for all limits of the process.
///
/// Costs 18.3 bytes a slot, and never holds more slots than its cap. A caller whose bucket is full needs no slot, so
/// what fills the store is callers who came lately. Keys land in sets of seven, some of which fill up before the others: with a cap
/// of twice the live callers one in fifty finds no slot of its own, with three times one in five hundred.
///
/// When there is no room, a bucket that has filled up goes first, which loses nothing. Else the least used goes, among
/// equals the one nearest to being full: a flood of one-off keys drives out one-off keys and not the busy ones.
pub struct Buckets {
    shards: Shards<Tick>,
    hasher: ahash::RandomState,
}

impl Buckets {
    /// Room for `cap` buckets (at least 448). The seeds are secret random numbers: who knows them can choose keys
    /// that collide.
    pub fn new(cap: usize, seeds: [u64; 4]) -> Self {
        Self { shards: Shards::new(cap), hasher: hasher(seeds) }
    }

    #[cfg(test)]
    pub(super) fn with_shards(cap: usize, shards: usize) -> Self {
        Self { shards: Shards::with_shards(cap, shards), hasher: hasher([1, 2, 3, 4]) }
    }

    /// The bucket of a caller under a policy. `policy` is the policy's stable number: the same after a reload that
    /// did not change it, another one to start afresh.
    pub fn key(&self, policy: u64, parts: impl Hash) -> BucketKey {
        // 64 bits: among a million live keys, the chance that any two share a bucket is one in 37 million.
        BucketKey(self.hasher.hash_one((policy, parts)))
    }

    /// Takes `cost` from the bucket, if it has that much.
    pub fn check(&self, gcra: Gcra, key: BucketKey, cost: u32, now: Tick) -> Outcome {
        match self.shards.lock(self.shards.shard_of(key.0)) {
            Some(mut table) => self.take(&mut table, gcra, key, cost, now),
            None => gcra.take(Tick::ZERO, cost, now).1,
        }
    }

    /// What [`Buckets::check`] would say, changing nothing.
    pub fn peek(&self, gcra: Gcra, key: BucketKey, cost: u32, now: Tick) -> Outcome {
        let table = self.shards.lock(self.shards.shard_of(key.0));
        gcra.take(table.and_then(|table| table.look(key.0)).unwrap_or_default(), cost, now).1
    }

    /// Takes `cost` from every bucket, or from none if one of them refuses. A bucket named twice pays once.
    ///
    /// All buckets are held at the same time (locked in the order of their shards, so that two requests never wait
    /// for each other), so nobody sees a half-taken request, and nothing need be given back.
    pub fn check_all(&self, limits: &[(Gcra, BucketKey)], cost: u32, now: Tick) -> Joint {
        if let [(gcra, key)] = limits {
            return Joint { by: 0, outcome: self.check(*gcra, *key, cost, now) };
        }
        let mut held = self.hold(limits);
        let joint = self.judge(&mut held, limits, cost, now);
        if let Outcome::Allowed { .. } = joint.outcome {
            for (nth, (gcra, key)) in limits.iter().enumerate() {
                let seen = limits.iter().take(nth).any(|(_, other)| other == key);
                if let Some(table) = held.table(self.shards.shard_of(key.0)).filter(|_| !seen) {
                    self.take(table, *gcra, *key, cost, now);
                }
            }
        }
        joint
    }

    /// What [`Buckets::check_all`] would say, changing nothing.
    pub fn peek_all(&self, limits: &[(Gcra, BucketKey)], cost: u32, now: Tick) -> Joint {
        self.judge(&mut self.hold(limits), limits, cost, now)
    }

    /// Gives back what [`Buckets::check`] took for a request that then was not served. Never makes a bucket more than
    /// full.
    ///
    /// `now` is the moment of giving back. What time has refilled since the taking is still given back, so a
    /// request that gives back late may let up to its `cost` too many in.
    pub fn put_back(&self, gcra: Gcra, key: BucketKey, cost: u32, now: Tick) {
        if let Some(mut table) = self.shards.lock(self.shards.shard_of(key.0))
            && let Some(full_at) = table.touch(key.0)
        {
            *full_at = gcra.put_back(*full_at, cost, now);
        }
    }

    /// Buckets that were not full and had to go for want of room: each may have let one burst too many in. Rises
    /// when somebody floods us with keys, or when the cap is too small.
    pub fn evicted(&self) -> u64 {
        self.shards.evicted()
    }

    /// Memory taken by now. Grows with the number of callers, up to the cap, and is kept. Takes every lock once:
    /// for metrics, not for requests.
    pub fn bytes(&self) -> usize {
        self.shards.bytes()
    }

    fn take(&self, table: &mut Table<Tick>, gcra: Gcra, key: BucketKey, cost: u32, now: Tick) -> Outcome {
        if let Some(full_at) = table.touch(key.0) {
            let (taken, outcome) = gcra.take(*full_at, cost, now);
            // A cost of zero must not move a full bucket's tick: it would look live.
            *full_at = if cost == 0 { *full_at } else { taken };
            return outcome;
        }
        let (taken, outcome) = gcra.take(Tick::ZERO, cost, now);
        if taken > now {
            self.shards.count(table.insert(key.0, taken, now));
        }
        outcome
    }

    fn judge(&self, held: &mut Held<'_>, limits: &[(Gcra, BucketKey)], cost: u32, now: Tick) -> Joint {
        let mut joint = Joint {
            by: 0,
            outcome: Outcome::Allowed { remaining: u32::MAX, reset_after: Default::default() },
        };
        for (by, (gcra, key)) in limits.iter().enumerate() {
            let table = held.table(self.shards.shard_of(key.0));
            let full_at = table.and_then(|table| table.look(key.0)).unwrap_or_default();
            let (_, outcome) = gcra.take(full_at, cost, now);
            if outcome.binds_more_than(&joint.outcome) {
                joint = Joint { by, outcome };
            }
        }
        joint
    }

    fn hold(&self, limits: &[(Gcra, BucketKey)]) -> Held<'_> {
        let mut wanted: SmallVec<[usize; USUAL_LIMITS]> =
            limits.iter().map(|(_, key)| self.shards.shard_of(key.0)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        Held(wanted.into_iter().filter_map(|shard| Some((shard, self.shards.lock(shard)?))).collect())
    }
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buckets").field("evicted", &self.evicted()).finish_non_exhaustive()
    }
}

/// The shards of one request, locked in ascending order.
struct Held<'a>(SmallVec<[(usize, MutexGuard<'a, Table<Tick>>); USUAL_LIMITS]>);

impl Held<'_> {
    fn table(&mut self, shard: usize) -> Option<&mut Table<Tick>> {
        self.0.iter_mut().find(|(held, _)| *held == shard).map(|(_, table)| &mut **table)
    }
}

fn hasher(seeds: [u64; 4]) -> ahash::RandomState {
    let [a, b, c, d] = seeds;
    ahash::RandomState::with_seeds(a, b, c, d)
}
