//! One bad endpoint among good ones is taken out for a while, because of how calls to it went.
//!
//! Different from the breaker, which is about the service as a whole: if all endpoints fail alike, ejecting some of
//! them helps nobody, so never more than a share of them is out, and never the last. Coming back is by time alone,
//! and slow start (`balance`) makes it gentle. What is remembered per endpoint lies in `balance::EndpointState`,
//! where the pick can see it. Read [`Outliers::record`].

use std::{
    fmt::{Display, Formatter},
    time::Duration,
};

use super::spell::{Share, Time};
use crate::{
    balance::{
        EndpointState, Outcome, Set,
        window::{Count, Counts},
    },
    sync::{Mutex, lock},
    time::Tick,
};

/// When an endpoint is taken out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// So many failures in a row. Zero switches this sign off.
    pub in_a_row: u32,
    /// Its share of failed calls in the last ten seconds lies so far (0 to 1) above that of all the others together.
    /// Above 1 switches this sign off.
    pub above_rest: f64,
    /// The least number of calls, its own and the others', for their shares to be compared.
    pub volume: u32,
    /// The first ejection lasts so long; each further one in a row twice as long as the one before ...
    pub eject_for: Duration,
    /// ... up to this. An endpoint that stayed in for as long as this begins anew.
    pub eject_max: Duration,
    /// The largest share of endpoints that may be out at once, 0 to 1, rounded down.
    pub max_ejected: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // What Envoy and Linkerd's failure accrual use is 5 and 7.
            in_a_row: 5,
            // Of 20 calls it failed 6 more than the others would have: no accident.
            above_rest: 0.3,
            volume: 20,
            eject_for: Duration::from_secs(10),
            eject_max: Duration::from_secs(300),
            // One of two, two of four: half the endpoints of a service must be able to carry it for a while.
            max_ejected: 0.5,
        }
    }
}

/// Why an endpoint was taken out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sign {
    /// It failed so much more often than the others.
    AboveRest {
        /// Its own share of failed calls.
        own: f64,
        /// The others' share.
        rest: f64,
    },
    /// It failed so many times in a row.
    InARow(u32),
}

/// An endpoint was taken out. Its Display is the sentence for the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Ejection {
    /// The endpoint's name.
    pub endpoint: String,
    /// Why.
    pub sign: Sign,
    /// How often in a row, this time included.
    pub nth: u32,
    /// For how long.
    pub lasts: Duration,
}

impl Display for Ejection {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "ejected {} for {}: ", self.endpoint, Time(self.lasts))?;
        match self.sign {
            Sign::AboveRest { own, rest } => {
                write!(f, "{} of its calls failed, {} of the others'", Share(own), Share(rest))
            }
            Sign::InARow(failures) => write!(f, "{failures} failures in a row"),
        }
    }
}

/// Watches the endpoints of one target.
pub struct Outliers {
    settings: Settings,
    /// Held while somebody is taken out: two threads that each see room for one more ejection would make two.
    ejecting: Mutex<()>,
}

impl Outliers {
    /// Nobody is suspect yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ejecting: Mutex::new(()) }
    }

    /// A call to the endpoint at `index` of this set is over. Takes the endpoint out if that is due and allowed, and
    /// says so once: the caller logs it.
    pub fn record(&self, set: &Set, index: usize, outcome: Outcome, now: Tick) -> Option<Ejection> {
        let state = &set.endpoints().get(index)?.state;
        // Calls that began before an ejection end during it; they are no news.
        if state.is_ejected(now) {
            return None;
        }
        match outcome {
            // 429 and an absent client say nothing about the endpoint's health, and do not end a row of failures.
            Outcome::Busy | Outcome::Neutral => None,
            Outcome::Success => {
                state.count(Count::Passed, now);
                None
            }
            Outcome::Failure => {
                let failures = state.count(Count::Failed, now);
                let sign = self.in_a_row(failures).or_else(|| self.above_rest(set, index, now))?;
                self.eject(set, index, sign, now)
            }
        }
    }

    fn in_a_row(&self, failures: u32) -> Option<Sign> {
        let limit = self.settings.in_a_row;
        (limit > 0 && failures >= limit).then_some(Sign::InARow(failures))
    }

    fn above_rest(&self, set: &Set, index: usize, now: Tick) -> Option<Sign> {
        let own = set.endpoints().get(index)?.state.counts(now);
        // Asked first because it is cheap: most endpoints that fail once have not failed enough to be compared.
        if own.calls() < self.settings.volume || own.failure_rate() < self.settings.above_rest {
            return None;
        }
        let rest = rest(set, index, now);
        let (own, others) = (own.failure_rate(), rest.failure_rate());
        let far = rest.calls() >= self.settings.volume && own - others >= self.settings.above_rest;
        far.then_some(Sign::AboveRest { own, rest: others })
    }

    fn eject(&self, set: &Set, index: usize, sign: Sign, now: Tick) -> Option<Ejection> {
        let _one_at_a_time = lock(&self.ejecting);
        let endpoint = set.endpoints().get(index)?;
        if endpoint.state.is_ejected(now) || !self.may_lose_one(set, index, now) {
            return None;
        }
        let nth = self.nth(&endpoint.state, now);
        let lasts = self.lasts(nth);
        endpoint.state.eject(now.after(lasts), nth);
        Some(Ejection { endpoint: endpoint.listed.name.clone(), sign, nth, lasts })
    }

    /// Is there room under the share, and somebody else in service?
    fn may_lose_one(&self, set: &Set, index: usize, now: Tick) -> bool {
        let states = || set.endpoints().iter().map(|endpoint| &endpoint.state);
        let ejected = states().filter(|state| state.is_ejected(now)).count();
        let others = || states().enumerate().filter(|(other, _)| *other != index);
        let share_after = (ejected + 1) as f64 / set.endpoints().len() as f64;
        share_after <= self.settings.max_ejected && others().any(|(_, state)| state.in_service(now))
    }

    fn nth(&self, state: &EndpointState, now: Tick) -> u32 {
        let behaved = now.since(state.ejected_until());
        let before = if behaved >= self.settings.eject_max { 0 } else { state.ejections() };
        before.saturating_add(1)
    }

    fn lasts(&self, nth: u32) -> Duration {
        let doublings = nth.saturating_sub(1).min(31);
        self.settings.eject_for.saturating_mul(1 << doublings).min(self.settings.eject_max)
    }
}

/// What all the others counted together.
fn rest(set: &Set, index: usize, now: Tick) -> Counts {
    let others = set.endpoints().iter().enumerate().filter(|(other, _)| *other != index);
    others.fold(Counts::default(), |sum, (_, endpoint)| sum.and(endpoint.state.counts(now)))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
