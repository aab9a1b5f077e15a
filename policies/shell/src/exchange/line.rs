//! A connection of bytes to a target: a place in its bulkhead and an endpoint, as for a request, but for as long as it
//! lasts. What is said on it nobody reads.

use std::sync::Arc;

use policies::balance::{self, Flight, Outcome};
use policies::plan::{Expects, Mode, Target};
use policies::resilience::bulkhead::Place;
use policies::resilience::deadline::Deadline;
use policies::resilience::fallback::Ending;
use policies::verdict::{Denial, Fault};
use smallvec::SmallVec;

use super::{Attempt, Core, attempt, roll};
use crate::upstream::Upstream;

/// How often an endpoint is tried that cannot be reached, before the next one is not tried any more.
const TRIES_MAX: usize = 3;

/// The way to a target, for one connection.
pub struct Line {
    target: Arc<Target>,
    upstream: Arc<Upstream>,
    tried: SmallVec<[usize; TRIES_MAX]>,
    flight: Option<(usize, Flight)>,
    _place: Option<Place>,
}

impl Line {
    /// Takes a place at the target; waits for it as long as its bulkhead says.
    pub async fn to(core: &Core, target: &Arc<Target>) -> Result<Self, Denial> {
        let planned = core.planned();
        let Some(upstream) = planned.upstream(target).cloned() else { return Err(Denial::DestinationDenied) };
        let now = crate::clock::tick();
        let told = &mut super::close::Told::default();
        let place = match attempt::place(told, target, now, now.after(FOREVER)).await {
            Ok(place) => place,
            Err(Ending::Denied(denial)) => return Err(denial),
            Err(_) => return Err(Denial::BulkheadFull),
        };
        Ok(Self { target: target.clone(), upstream, tried: SmallVec::new(), flight: None, _place: place })
    }

    /// The endpoint to connect to, another one each time.
    pub fn another(&mut self) -> Option<Attempt> {
        if self.tried.len() >= TRIES_MAX {
            return None;
        }
        let now = crate::clock::tick();
        let endpoints = self.upstream.endpoints();
        let ask = balance::Ask { roll: roll(), now, hash: None, avoid: &self.tried };
        let index = endpoints.set.pick(&ask)?;
        self.flight = Some((index, endpoints.set.depart(index, now)?));
        self.tried.push(index);
        let patience = self.target.timeouts.patience(Deadline::new(now, FOREVER), None, Expects::Stream, now);
        Some(Attempt { endpoints, index, patience })
    }

    /// The endpoint could not be reached.
    pub fn failed(&mut self, fault: Fault) {
        self.judge(Outcome::of_fault(fault));
    }

    /// The endpoint was reached.
    pub fn reached(&mut self) {
        let now = crate::clock::tick();
        if let Some((_, flight)) = &mut self.flight {
            flight.answered(Outcome::Success, now);
        }
    }

    fn judge(&mut self, outcome: Outcome) {
        let now = crate::clock::tick();
        let Some((index, flight)) = self.flight.take() else { return };
        let endpoints = self.upstream.endpoints();
        if self.target.outlier.1 == Mode::Enforce
            && let Some(ejection) = self.upstream.outliers.record(&endpoints.set, index, outcome, now)
        {
            log::warn!(target: "banyan", "target {}: {ejection}", self.target.name);
        }
        flight.finish(outcome, now);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.judge(Outcome::Success);
    }
}

/// Longer than any connection.
const FOREVER: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);
