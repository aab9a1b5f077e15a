//! How much: the limits of a route, each counted here or leased from the store that several replicas share.
//!
//! All limits that enforce are taken together or not at all; those that only observe are counted one by one. Nothing
//! here waits: what a store has to be asked leaves with the verdict, as [`StoreAsk`]. Read `limit/lease.rs` first.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Because, Caller, Making, Standing, Stop};
use crate::limit::lease::{self, IfStoreDown, Leases, Terms};
use crate::limit::{BucketKey, Gcra, Outcome};
use crate::plan::{Limit, Mode};
use crate::time::Tick;
use crate::verdict::{Denial, Fault};
use crate::why::Witness;

/// A question for the store of shared limits: up to [`StoreAsk::want`] permits of the bucket [`StoreAsk::name`]. The shell
/// asks it after the request was decided, and reports the answer or its absence exactly once.
#[derive(Clone, Debug)]
#[must_use = "a question that is not asked is never answered"]
pub struct StoreAsk {
    terms: Arc<Terms>,
    key: BucketKey,
    name: StoreName,
    want: u32,
}

/// The name of a bucket in the store, the same for every replica: the limit, and a digest of the caller that tells
/// nobody who it was. A digest nobody can aim: two callers that share a bucket could use up each other's share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StoreName {
    limit: u64,
    caller: [u8; 16],
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}:{:032x}", self.limit, u128::from_be_bytes(self.caller))
    }
}

impl StoreAsk {
    /// How many permits at most. At least 1.
    pub fn want(&self) -> u32 {
        self.want
    }

    /// The name of the bucket in the store.
    pub fn name(&self) -> StoreName {
        self.name
    }

    /// The limit the store keeps.
    pub fn gcra(&self) -> Gcra {
        self.terms.shared()
    }

    /// Reports the store's answer: the permits it gave, and how long its bucket now needs to be full. Returns the next
    /// question, if there is one.
    pub fn answered(self, leases: &Leases, granted: u32, full_in: Duration, now: Tick) -> Option<Self> {
        let lease::Ask { want } = leases.merge(&self.terms, self.key, granted, full_in, now)?;
        Some(Self { want, ..self })
    }

    /// Reports that there was no answer.
    pub fn unanswered(self, leases: &Leases) {
        leases.unanswered(self.key);
    }
}

/// Who counts one limit of one request, and what became of it.
enum Count {
    /// Nobody: the store is down, and the limit is open then.
    Free,
    /// A bucket of this process.
    Here(Gcra),
    /// The store, by lease.
    Leased(Outcome),
    /// Nobody can: the store is down, and the limit is closed then.
    Uncountable,
}

impl Count {
    fn without_store(terms: &Terms) -> Self {
        match terms.if_store_down() {
            IfStoreDown::Closed => Self::Uncountable,
            IfStoreDown::Local => Self::Here(terms.local()),
            IfStoreDown::Open => Self::Free,
        }
    }
}

impl<W: Witness> Making<'_, W> {
    /// Takes what the request costs from every limit, or says which one refuses it.
    pub(super) fn limits(&mut self, caller: &Caller) -> Result<(), Stop> {
        let route = self.route;
        for limit in route.limits.iter().filter(|limit| limit.mode == Mode::Observe) {
            self.observe(limit, caller)?;
        }
        let mut leased: SmallVec<[BucketKey; 4]> = SmallVec::new();
        let taken = self.enforce(caller, &mut leased);
        if let (Err(_), Some(leases)) = (&taken, &self.plan.living.leases) {
            leased.iter().for_each(|key| leases.put_back(*key, 1));
        }
        taken
    }

    /// Leases first, which can be put back exactly; then the buckets of this process, all or none.
    fn enforce(&mut self, caller: &Caller, leased: &mut SmallVec<[BucketKey; 4]>) -> Result<(), Stop> {
        let mut here: SmallVec<[_; 4]> = SmallVec::new();
        let mut which: SmallVec<[usize; 4]> = SmallVec::new();
        for (n, limit) in self.route.limits.iter().enumerate().filter(|(_, l)| l.mode == Mode::Enforce) {
            let (key, count) = self.count(limit, caller);
            match count {
                Count::Free => {}
                Count::Here(gcra) => {
                    here.push((gcra, key));
                    which.push(n);
                }
                Count::Leased(outcome) => {
                    if let Outcome::Allowed { .. } = outcome {
                        leased.push(key);
                    }
                    self.stands(n, limit, outcome)?;
                }
                Count::Uncountable => return Err(Fault::LimitStoreDown.into()),
            }
        }
        if here.is_empty() {
            return Ok(());
        }
        let joint = self.plan.living.buckets.check_all(&here, 1, self.ask.now.tick);
        match which.get(joint.by).and_then(|n| Some((*n, self.route.limits.get(*n)?))) {
            Some((n, limit)) => self.stands(n, limit, joint.outcome),
            None => Ok(()),
        }
    }

    /// Notes how the caller stands with a limit, if that binds it more than any other so far; and refuses.
    fn stands(&mut self, n: usize, limit: &Limit, outcome: Outcome) -> Result<(), Stop> {
        self.why.note("limit", || format!("{} per {}: {outcome}", limit.rate, limit.name));
        if self.standing.is_none_or(|standing| outcome.binds_more_than(&standing.outcome)) {
            self.standing = Some(Standing { limit: n, outcome });
        }
        match outcome {
            Outcome::Allowed { .. } => Ok(()),
            Outcome::Limited { retry_after, .. } => {
                Err(Stop::Refuse(Because::Denial(Denial::RateLimited), Some(retry_after)))
            }
        }
    }

    fn observe(&mut self, limit: &Limit, caller: &Caller) -> Result<(), Stop> {
        let (key, count) = self.count(limit, caller);
        let outcome = match count {
            Count::Free => return Ok(()),
            Count::Here(gcra) => self.plan.living.buckets.check(gcra, key, 1, self.ask.now.tick),
            Count::Leased(outcome) => outcome,
            Count::Uncountable => {
                let because = Because::Fault(Fault::LimitStoreDown);
                return self.refuse_or_observe("limit", Mode::Observe, because, None);
            }
        };
        self.why.note("limit", || format!("{} per {}: {outcome}", limit.rate, limit.name));
        match outcome {
            Outcome::Allowed { .. } => Ok(()),
            Outcome::Limited { .. } => {
                self.refuse_or_observe("limit", Mode::Observe, Denial::RateLimited.into(), None)
            }
        }
    }

    /// Who counts this limit. A lease is spent by asking; a bucket is not touched yet.
    fn count(&mut self, limit: &Limit, caller: &Caller) -> (BucketKey, Count) {
        let living = &self.plan.living;
        let counted = caller.counted(&limit.per, self.ask);
        let key = living.buckets.key(limit.id, counted);
        let count = match (&limit.shared, &living.leases) {
            (None, _) => Count::Here(limit.gcra),
            (Some(terms), None) => Count::without_store(terms),
            (Some(terms), Some(leases)) => {
                let spend = leases.spend(terms, key, 1, self.ask.now.tick);
                if let Some(lease::Ask { want }) = spend.ask {
                    let name = StoreName { limit: limit.id, caller: counted.digest() };
                    self.asks.push(StoreAsk { terms: terms.clone(), key, name, want });
                }
                match spend.answer {
                    lease::Answer::Counted(outcome) => Count::Leased(outcome),
                    lease::Answer::StoreDown => Count::without_store(terms),
                }
            }
        };
        (key, count)
    }
}
