//! One attempt: leave from the breaker, a place in the bulkhead, an endpoint. And what all attempts of a request share.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use policies::admit::{self, Permit, affinity};
use policies::balance::{self, Flight, Outcome};
use policies::overload;
use policies::plan::{FallbackAnswer, Mode, Patience, Side, Target};
use policies::resilience::breaker::{Breaker, Pass};
use policies::resilience::bulkhead::{Entry, Place};
use policies::resilience::fallback::Ending;
use policies::time::Tick;
use policies::trace::Context;
use policies::verdict::{Denial, Fault};
use smallvec::SmallVec;

use super::close::Told;
use super::failure::Then;
use super::{Exchange, roll};
use crate::upstream::{Endpoints, Upstream};

/// Where one attempt goes, and how long it may take.
pub struct Attempt {
    /// The endpoints at this moment ...
    pub endpoints: Arc<Endpoints>,
    /// ... and which of them.
    pub index: usize,
    /// How long its steps may take.
    pub patience: Patience,
}

/// All attempts of a request so far.
#[derive(Default)]
pub(super) struct Calls {
    /// The place in the target's adaptive limit.
    pub entry: Option<overload::Ticket>,
    /// There is no place for it, and none before this time.
    shed: Option<Duration>,
    /// How many attempts were begun.
    pub made: u32,
    /// How many pooled connections turned out to be dead.
    pub stale: u32,
    /// The endpoints asked so far.
    pub tried: SmallVec<[usize; 4]>,
    /// How long to wait before the next one.
    pub pause: Duration,
    /// The fallback's target is the one that is asked now.
    pub fallen_back: bool,
    /// The fallback has given an answer.
    pub given: bool,
    pub current: Option<Current>,
    /// The first of two tries, while the second is the current one.
    pub beside: Option<Current>,
}

/// The attempt under way.
pub(super) struct Current {
    pub began: Tick,
    pub context: Context,
    pub target: Arc<Target>,
    pub upstream: Arc<Upstream>,
    pub endpoints: Arc<Endpoints>,
    pub index: usize,
    flight: Flight,
    pass: Option<(Pass, Arc<Breaker>)>,
    _place: Option<Place>,
}

impl Calls {
    pub(super) fn enter(&mut self, entry: admit::Entry) {
        match entry {
            admit::Entry::Free => {}
            admit::Entry::Inside(ticket) => self.entry = Some(ticket),
            admit::Entry::Shed(wait) => self.shed = Some(wait),
        }
    }

    /// The target that is asked now, and the breaker before it.
    pub(super) fn side<'a>(&self, permit: &'a Permit) -> Option<&'a Side> {
        let fallback = permit.route().fallback.as_ref().filter(|_| self.fallen_back);
        match fallback.map(|fallback| &fallback.give) {
            Some(FallbackAnswer::Target(side)) => Some(side),
            _ => permit.side(),
        }
    }
}

impl Exchange {
    /// Begins an attempt, or says what the client gets instead.
    pub async fn next_attempt(&mut self, head: &Parts) -> Result<Attempt, Then> {
        loop {
            let pause = std::mem::take(&mut self.calls.pause);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
                self.time_passed();
            }
            let ending = match self.begin_attempt(head).await {
                Ok(attempt) => return Ok(attempt),
                Err(ending) => ending,
            };
            match self.refused(ending) {
                Then::Again => {}
                then => return Err(then),
            }
        }
    }

    pub(super) async fn begin_attempt(&mut self, head: &Parts) -> Result<Attempt, Ending> {
        let (Some(permit), Some(asked)) = (&self.permit, &self.asked) else {
            return Err(Ending::Failed(Fault::Internal));
        };
        let Some(side) = self.calls.side(permit) else {
            return Err(Ending::Failed(Fault::Internal));
        };
        if let Some(wait) = self.calls.shed.filter(|_| !self.calls.fallen_back) {
            self.told.retry_after = Some(wait);
            return Err(Ending::Denied(Denial::Overloaded));
        }
        let (deadline, target) = (permit.deadline(), &side.target);
        if deadline.is_over(self.now) {
            return Err(Ending::Failed(Fault::DeadlineExceeded));
        }
        let Some(upstream) = self.planned.upstream(target) else {
            return Err(Ending::Failed(Fault::NoEndpoint));
        };
        let pass = leave(&mut self.told, side, self.now)?;
        let place = place(&mut self.told, target, self.now, deadline.tick()).await;
        if target.bulkhead.is_some() {
            // There may have been a line.
            self.now = crate::clock::tick();
        }
        let (place, now) = (place?, self.now);
        let endpoints = upstream.endpoints();
        let set = &endpoints.set;
        let hash = target.hash_by.as_ref().and_then(|by| affinity(by, permit.caller(), &head.headers));
        let ask = balance::Ask { roll: roll(), now, hash, avoid: &self.calls.tried };
        let Some(index) = set.pick(&ask) else { return Err(Ending::Failed(Fault::NoEndpoint)) };
        let Some(flight) = set.depart(index, now) else { return Err(Ending::Failed(Fault::NoEndpoint)) };
        let per_try = permit.route().retry.as_ref().and_then(|retry| retry.settings.per_try);
        let patience = target.timeouts.patience(deadline, per_try, asked.expects, now);
        self.calls.made += 1;
        self.calls.tried.push(index);
        self.calls.current = Some(Current {
            began: now,
            context: asked.trace.context.child(roll()),
            target: target.clone(),
            upstream: upstream.clone(),
            endpoints: endpoints.clone(),
            index,
            flight,
            pass,
            _place: place,
        });
        Ok(Attempt { endpoints, index, patience })
    }

    /// The answer's head is here, or the attempt failed: whoever judges the endpoint hears of it. `Over` ends the attempt.
    pub(super) fn judge(&mut self, outcome: Outcome, stage: Stage) {
        let now = self.now;
        let Some(current) = &mut self.calls.current else { return };
        if let Some((pass, breaker)) = current.pass.take()
            && let Some(change) = breaker.record(pass, outcome, now)
        {
            log::warn!(target: "banyan", "breaker of {}: {change}", current.target.name);
        }
        let news = stage == Stage::Head || outcome == Outcome::Failure;
        let (settings_mode, set) = (current.target.outlier.1, &current.endpoints.set);
        if news
            && settings_mode == Mode::Enforce
            && let Some(ejection) = current.upstream.outliers.record(set, current.index, outcome, now)
        {
            log::warn!(target: "banyan", "target {}: {ejection}", current.target.name);
        }
        match stage {
            Stage::Head => {
                current.flight.answered(outcome, now);
                current.upstream.usual.learn(now.since(current.began));
            }
            Stage::Over => {
                if let Some(current) = self.calls.current.take() {
                    self.span_of(&current, outcome, now);
                    current.flight.finish(outcome, now);
                    self.told.target = Some(current.target);
                    self.told.endpoint = Some((current.endpoints, current.index));
                    self.core.telemetry.attempt(self.counted(), outcome);
                }
            }
        }
    }
}

/// Leave from the breaker, if there is one before this target.
fn leave(told: &mut Told, side: &Side, now: Tick) -> Result<Option<(Pass, Arc<Breaker>)>, Ending> {
    let Some((breaker, mode)) = &side.breaker else { return Ok(None) };
    match breaker.allow(now) {
        Ok(pass) => Ok(Some((pass, breaker.clone()))),
        Err(refused) if *mode == Mode::Enforce => {
            told.retry_after = Some(refused.retry_after);
            Err(Ending::Denied(Denial::BreakerOpen))
        }
        Err(_) => {
            told.would_refuse("breaker", Denial::BreakerOpen.into());
            Ok(None)
        }
    }
}

/// A place at the target, after a bounded wait in a bounded line.
pub(super) async fn place(
    told: &mut Told,
    target: &Target,
    now: Tick,
    deadline: Tick,
) -> Result<Option<Place>, Ending> {
    let Some((bulkhead, mode)) = &target.bulkhead else { return Ok(None) };
    let denial = match bulkhead.enter(now) {
        Ok(Entry::Inside(place)) => return Ok(Some(place)),
        Ok(Entry::Waiting(_)) if *mode == Mode::Observe => Denial::BulkheadFull,
        Ok(Entry::Waiting(mut ticket)) => {
            let until = ticket.deadline().min(deadline);
            let until = tokio::time::Instant::from_std(crate::clock::instant(until));
            match tokio::time::timeout_at(until, &mut ticket).await {
                Ok(place) => return Ok(Some(place)),
                Err(_) => ticket.give_up(),
            }
        }
        Err(denial) => denial,
    };
    if *mode == Mode::Enforce {
        return Err(Ending::Denied(denial));
    }
    told.would_refuse("bulkhead", denial.into());
    Ok(None)
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The answer's head is here.
    Head,
    /// The attempt is over.
    Over,
}
