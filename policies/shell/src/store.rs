//! Limits shared by several gateways: asks the store what decisions want to know, and tells their leases.
//!
//! No request waits here. A decision leaves its questions ([`Store::ask`]: a bounded queue, never a wait); one task on the
//! house's runtime asks them over one connection, and hands the answers to the leases in [`Living`]. When the store
//! fails, the leases are told, and each limit does what its `if_store_down` says until a new connection has answered.
//! Must not know: what a limit is, who is counted, what a lease does with an answer. Read `policies/src/limit/lease.rs`
//! first, then `store/keeper.rs`. Tests: `store/tests.rs`, against a real redis-server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use policies::admit::StoreAsk;
use policies::limit::lease::{IfStoreDown, Leases};
use policies::plan::Plan;
use policies::state::Living;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use self::keeper::Keeper;

mod keeper;
mod redis;
#[cfg(test)]
mod tests;

/// Questions that wait for the task. A caller has one at a time, so this many callers; what does not fit is asked by
/// their next request.
const QUEUE_MAX: usize = 4096;

/// The way to the store of shared limits.
#[derive(Debug)]
pub struct Store {
    queue: Option<mpsc::Sender<StoreAsk>>,
    living: Arc<Living>,
    facts: Arc<Facts>,
}

/// Why there is no way to the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address cannot be read. It may hold a password, so it is not repeated.
    #[error("the address of the store for limits is no good: {0}")]
    BadUrl(String),
    /// The living state was made without [`policies::state::Room::shared`].
    #[error("there is a store for limits, but no room for leases")]
    NoRoom,
}

/// What the operator is shown.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Status {
    /// Is it there?
    pub reach: Reach,
    /// Questions asked so far.
    pub asked: u64,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that got no answer.
    pub failed: u64,
    /// Questions that were not asked, because the queue was full.
    pub dropped: u64,
    /// Questions that wait to be asked.
    pub queued: usize,
    /// What an answer takes, smoothed.
    pub latency: Duration,
    /// Leases that had to go for want of room.
    pub evicted: u64,
}

/// Is the store there?
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// None was configured.
    Absent,
    /// It answers.
    Answers,
    /// Not known: a connection is being made, the first one or in the place of one that ended.
    Connecting,
    /// It does not, and why.
    Down(String),
}

impl Status {
    /// Does the store answer? Nothing, if there is none.
    pub fn answers(&self) -> Option<bool> {
        match self.reach {
            Reach::Absent => None,
            Reach::Answers => Some(true),
            Reach::Connecting | Reach::Down(_) => Some(false),
        }
    }
}

/// What is counted, by the task alone but for `dropped`.
#[derive(Debug)]
struct Facts {
    reach: watch::Sender<Reach>,
    asked: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    latency: AtomicU64,
}

impl Store {
    /// Begins to keep a connection to the store at `url`, on the house's runtime, until this is dropped. Without a URL
    /// there is nothing to ask, and nothing is begun.
    ///
    /// Refuses a URL that cannot be read. A store that cannot be reached is no error: see [`Store::settled`].
    pub fn start(url: Option<&str>, living: Arc<Living>, house: &Handle) -> Result<Arc<Self>, StoreError> {
        let first = if url.is_some() { Reach::Connecting } else { Reach::Absent };
        let facts = Arc::new(Facts {
            reach: watch::Sender::new(first),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            latency: AtomicU64::new(0),
        });
        let Some(url) = url else {
            return Ok(Arc::new(Self { queue: None, living, facts }));
        };
        let config = redis::config(url).map_err(|error| StoreError::BadUrl(error.details().to_owned()))?;
        if living.leases.is_none() {
            return Err(StoreError::NoRoom);
        }
        let (queue, questions) = mpsc::channel(QUEUE_MAX);
        house.spawn(Keeper::new(living.clone(), facts.clone(), config).keep(questions));
        Ok(Arc::new(Self { queue: Some(queue), living, facts }))
    }

    /// Takes the questions of one decision. Never waits.
    pub fn ask(&self, asks: Vec<StoreAsk>) {
        for ask in asks {
            let refused = match &self.queue {
                None => Some(ask),
                Some(queue) => queue.try_send(ask).err().map(mpsc::error::TrySendError::into_inner),
            };
            if let (Some(ask), Some(leases)) = (refused, &self.living.leases) {
                self.facts.dropped.fetch_add(1, Ordering::Relaxed);
                ask.unanswered(leases);
            }
        }
    }

    /// Waits until it is known whether the store is there, but no longer than this. For the start: a limit that is closed
    /// without its store should not refuse the first requests because nobody has looked yet.
    pub async fn settled(&self, within: Duration) {
        let mut reach = self.facts.reach.subscribe();
        let known = reach.wait_for(|reach| *reach != Reach::Connecting);
        // Neither outcome is an error: what is not known yet counts as down.
        let _ = tokio::time::timeout(within, known).await;
    }

    /// Warns of limits in this plan that ask to be shared, if there is no store to share them through. Once per load.
    pub fn warn_of_unmet(&self, plan: &Plan) {
        if self.queue.is_some() {
            return;
        }
        for route in plan.routes() {
            for (limit, terms) in
                route.limits.iter().filter_map(|limit| Some((limit, limit.shared.as_ref()?)))
            {
                let instead = match terms.if_store_down() {
                    IfStoreDown::Closed => "refuses every request",
                    IfStoreDown::Local => "counts in this proxy alone",
                    IfStoreDown::Open => "counts nothing",
                };
                let (rate, per, name) = (limit.rate, &limit.name, &route.name);
                log::warn!(
                    "no store for shared limits (--redis): {rate} per {per} of route `{name}` {instead}"
                );
            }
        }
    }

    /// What the operator is shown.
    pub fn status(&self) -> Status {
        let Facts { reach, asked, answered, failed, dropped, latency } = &*self.facts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            reach: reach.borrow().clone(),
            asked: count(asked),
            answered: count(answered),
            failed: count(failed),
            dropped: count(dropped),
            queued: self.queue.as_ref().map_or(0, |queue| QUEUE_MAX - queue.capacity()),
            latency: Duration::from_nanos(count(latency)),
            evicted: self.living.leases.as_ref().map_or(0, Leases::evicted),
        }
    }
}

impl Facts {
    fn took(&self, time: Duration) {
        let new = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let old = self.latency.load(Ordering::Relaxed);
        let smoothed = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.latency.store(smoothed, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}
