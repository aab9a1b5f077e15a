//! Bounded memory for one small value per key, whoever sends how many keys.
//!
//! A table is a row of sets of seven slots; a key's hash names its set, so finding, storing and evicting look at
//! seven slots and never more. There is no "empty" mark: a slot whose value has lapsed says the same as no slot,
//! and is free to be used again. Rooms beside this one know [`Shards`]; nobody outside `limit` knows any of it.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::time::Tick;

/// Slots of a set. Seven keys and what is noted about them fill one cache line, and seven buckets the next.
const WAYS: usize = 7;

/// Fewest shards: with at most a few dozen threads, two seldom want the same one.
const SHARDS_MIN: usize = 64;

/// Slots a shard should not exceed, if more shards can help: growing copies a whole shard under its lock, and 75 KB
/// take some ten microseconds.
const SHARD_SLOTS: usize = 4096;

/// A value that says nothing any more from some moment on.
pub(super) trait Lapses: Copy + Default {
    /// From this moment on the value is worth as much as the default.
    fn lapses_at(&self) -> Tick;
}

/// A bucket's one number lapses when the bucket is full.
impl Lapses for Tick {
    fn lapses_at(&self) -> Tick {
        *self
    }
}

/// Tables behind locks that are held for a few dozen nanoseconds.
pub(super) struct Shards<V> {
    shards: Box<[Shard<V>]>,
    evicted: AtomicU64,
}

/// On a cache line pair of its own, so that two locks never travel together.
#[repr(align(128))]
struct Shard<V>(Mutex<Table<V>>);

impl<V: Lapses> Shards<V> {
    /// Room for `cap` keys, but at least 448. Memory is taken as keys come.
    pub(super) fn new(cap: usize) -> Self {
        Self::with_shards(cap, (cap / SHARD_SLOTS).next_power_of_two().max(SHARDS_MIN))
    }

    pub(super) fn with_shards(cap: usize, shards: usize) -> Self {
        let sets_max = cap / WAYS / shards;
        let shard = |_| Shard(Mutex::new(Table::new(sets_max)));
        Self { shards: (0..shards).map(shard).collect(), evicted: AtomicU64::new(0) }
    }

    /// The number of the shard a key lives in: the order in which several are locked.
    pub(super) fn shard_of(&self, key: u64) -> usize {
        // The low bits name the shard, the high bits the set.
        let mask = self.shards.len() as u64 - 1;
        usize::try_from(key & mask).unwrap_or(0)
    }

    /// Locks a shard. `None` only for a number that [`Shards::shard_of`] does not give.
    pub(super) fn lock(&self, shard: usize) -> Option<MutexGuard<'_, Table<V>>> {
        self.shards.get(shard).map(|shard| lock(&shard.0))
    }

    /// Counts a live value that had to go, if one had to.
    pub(super) fn count(&self, gone: Option<V>) {
        if gone.is_some() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Live values that had to go so far.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Bytes taken by now.
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).bytes() + size_of::<Shard<V>>()).sum()
    }
}

/// One shard's share of the keys.
pub(super) struct Table<V> {
    sets: Vec<Set<V>>,
    sets_first: usize,
    sets_max: usize,
}

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct Set<V> {
    keys: [u64; WAYS],
    touched: [u8; WAYS],
    values: [V; WAYS],
}

impl<V: Lapses> Table<V> {
    fn new(sets_max: usize) -> Self {
        // Sizes are a small number (8 to 15) doubled some times, so that growing always splits a set cleanly in
        // two; what rounding down to such a size gives away is less than an eighth.
        let doublings = sets_max.max(1).ilog2().saturating_sub(3);
        let sets_first = (sets_max >> doublings).max(1);
        Self { sets: Vec::new(), sets_first, sets_max: sets_first << doublings }
    }

    /// The value of a key, without leaving a trace.
    pub(super) fn look(&self, key: u64) -> Option<V> {
        let set = self.sets.get(self.set_of(key))?;
        set.way(key).and_then(|way| set.values.get(way)).copied()
    }

    /// The value of a key, to be changed. Being touched is what lets a key survive a flood of others.
    pub(super) fn touch(&mut self, key: u64) -> Option<&mut V> {
        let at = self.set_of(key);
        let set = self.sets.get_mut(at)?;
        let way = set.way(key)?;
        if let Some(touched) = set.touched.get_mut(way) {
            *touched = touched.saturating_add(1);
        }
        set.values.get_mut(way)
    }

    /// Stores the value of a key that is not here. Takes a lapsed slot if the key's set has one; else grows; else
    /// evicts, and returns what had to go.
    pub(super) fn insert(&mut self, key: u64, value: V, now: Tick) -> Option<V> {
        loop {
            let at = self.set_of(key);
            let full = self.sets.len() >= self.sets_max;
            if let Some(set) = self.sets.get_mut(at) {
                if let Some(way) = set.lapsed(now) {
                    set.write(way, key, 0, value);
                    return None;
                }
                if full {
                    return set.evict(key, value);
                }
            }
            self.grow(now);
        }
    }

    fn set_of(&self, key: u64) -> usize {
        // Scales the key to the number of sets: doubling that number sends set i to 2i and 2i + 1.
        let scaled = (u128::from(key) * self.sets.len() as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn grow(&mut self, now: Tick) {
        let len = (self.sets.len() * 2).max(self.sets_first);
        let old = std::mem::replace(&mut self.sets, vec![Set::default(); len]);
        for set in &old {
            for ((key, touched), value) in set.keys.iter().zip(set.touched).zip(set.values) {
                let at = self.set_of(*key);
                if let Some(set) = self.sets.get_mut(at).filter(|_| value.lapses_at() > now)
                    && let Some(way) = set.lapsed(now)
                {
                    set.write(way, *key, touched, value);
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set<V>>()
    }
}

impl<V: Lapses> Set<V> {
    fn way(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|k| *k == key)
    }

    fn lapsed(&self, now: Tick) -> Option<usize> {
        self.values.iter().position(|value| value.lapses_at() <= now)
    }

    /// Puts the newcomer in the place of the least touched, among equals the one nearest to lapsing.
    ///
    /// By nearness alone, a flood of keys under a slow limit (an hour's wait each) would drive out the busiest keys of
    /// every fast limit. The victim's touches are taken off its neighbours, so old fame fades.
    fn evict(&mut self, key: u64, value: V) -> Option<V> {
        let order = |way: &usize| (self.touched.get(*way), self.values.get(*way).map(V::lapses_at));
        let way = (0..WAYS).min_by_key(order)?;
        let gone = self.values.get(way).copied();
        let fame = self.touched.get(way).copied().unwrap_or(0);
        self.touched = self.touched.map(|touched| touched.saturating_sub(fame));
        self.write(way, key, 0, value);
        gone
    }

    fn write(&mut self, way: usize, key: u64, touched: u8, value: V) {
        if let (Some(k), Some(t), Some(v)) =
            (self.keys.get_mut(way), self.touched.get_mut(way), self.values.get_mut(way))
        {
            (*k, *t, *v) = (key, touched, value);
        }
    }
}
