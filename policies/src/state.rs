//! Living state: buckets, breakers, budgets, bulkheads, verified tokens. It lives apart from the plan.
//!
//! The shell owns one [`Living`] for the life of the process. Compiling a plan asks it for the state of each policy by
//! kind, name and settings: the same policy gets the state it had, so a reload resets no limit and closes no breaker; a
//! changed one begins anew; what no plan uses any more is freed with the last plan that did.

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use crate::identity::cache::{TokenCache, TokenCacheSettings};
use crate::limit::Buckets;
use crate::limit::lease::Leases;
use crate::sync::{Mutex, lock};

/// How much room the state may take, and the random numbers its hashes are keyed with.
#[derive(Clone, Debug)]
pub struct Room {
    /// Callers counted at once, over all limits. Default: a million, about 32 MiB if ever full.
    pub buckets_max: usize,
    /// Verified tokens remembered.
    pub tokens: TokenCacheSettings,
    /// For limits that several replicas share; none if the shell was started without a store for them.
    pub shared: Option<SharedRoom>,
    /// Random numbers of the shell's: nobody outside can choose keys that collide.
    pub seeds: [u64; 4],
}

/// The room for limits that several replicas share through a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SharedRoom {
    /// Callers that hold a lease at once. Default: 262,144, about 16 MiB if ever full.
    pub leases_max: usize,
    /// How many replicas share. Default: 2. What it does is said at `limit::lease::Sharing`.
    pub replicas: u32,
}

impl Default for SharedRoom {
    fn default() -> Self {
        Self { leases_max: 1 << 18, replicas: 2 }
    }
}

impl Room {
    /// The default room, with these random numbers and without a store.
    pub fn seeded(seeds: [u64; 4]) -> Self {
        Self { buckets_max: 1 << 20, tokens: TokenCacheSettings::default(), shared: None, seeds }
    }
}

/// All living state of one process.
#[derive(Debug)]
pub struct Living {
    /// The buckets of all limits.
    pub buckets: Buckets,
    /// The leases of the shared ones, where there is a store that counts them.
    pub leases: Option<Leases>,
    /// How many replicas share a limit. One, where there is no store: each is alone.
    pub replicas: u32,
    /// Tokens verified lately.
    pub tokens: TokenCache,
    kept: Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>>>,
}

/// Which state: the kind of engine, the name of the policy, and a print of the settings that shape it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    kind: &'static str,
    name: String,
    settings: u64,
}

/// Fixed: these keys come from the operator's own document, and must be the same after a reload.
const PRINT_SEEDS: [u64; 4] = [0x62_61_6e_79, 0x61_6e_5f_70, 0x72_69_6e_74, 0x5f_76_31_00];

/// A print of settings: equal for equal settings, in this process and the next.
pub fn print(settings: &(impl Debug + ?Sized)) -> u64 {
    let [a, b, c, d] = PRINT_SEEDS;
    ahash::RandomState::with_seeds(a, b, c, d).hash_one(format!("{settings:?}"))
}

/// A print of a name or a caller that stays the same over reloads and restarts, and between replicas.
pub fn stable_hash(value: &(impl Hash + ?Sized)) -> u64 {
    let [a, b, c, d] = PRINT_SEEDS;
    ahash::RandomState::with_seeds(d, c, b, a).hash_one(value)
}

impl Living {
    /// Nothing has happened yet.
    pub fn new(room: &Room) -> Self {
        Self {
            buckets: Buckets::new(room.buckets_max, room.seeds),
            leases: room.shared.map(|shared| Leases::new(shared.leases_max)),
            replicas: room.shared.map_or(1, |shared| shared.replicas),
            tokens: TokenCache::new(room.tokens, room.seeds),
            kept: Mutex::default(),
        }
    }

    /// The state of this policy: what it was, if a plan still holds it under the same kind, name and settings; else new.
    pub fn keep<T: Send + Sync + 'static>(
        &self,
        kind: &'static str,
        name: &str,
        settings: &impl Debug,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = Key { kind, name: name.into(), settings: print(settings) };
        let mut kept = lock(&self.kept);
        let known = kept.get(&key).and_then(Weak::upgrade).and_then(|state| state.downcast::<T>().ok());
        known.unwrap_or_else(|| {
            let state = Arc::new(make());
            let any: Arc<dyn Any + Send + Sync> = state.clone();
            kept.insert(key, Arc::downgrade(&any));
            state
        })
    }

    /// Forgets the names of state that no plan holds any more; returns how many are left.
    pub fn sweep(&self) -> usize {
        let mut kept = lock(&self.kept);
        kept.retain(|_, state| state.strong_count() > 0);
        kept.len()
    }
}
