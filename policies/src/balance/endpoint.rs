//! What is known about one endpoint, shared by all threads that call it: calls in flight, how slow, how healthy,
//! since when. Everything is an atomic on its own; no two of them need to agree.

use std::{sync::Arc, time::Duration};

use super::{
    Outcome, Settings,
    decaying::Decaying,
    window::{Count, Counts, Window},
};
use crate::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Tick,
};

/// An endpoint whose every call fails weighs as much as one that takes this long: a client would rather wait five
/// seconds than fail, and failing fast must look worse than being merely slow.
const FAILURE_COSTS_MICROS: u32 = 5_000_000;
/// One, as a share in fixed point.
const WHOLE: u32 = 1 << 24;
/// The window in which calls are counted for outlier ejection.
const WINDOW: Duration = Duration::from_secs(10);
/// A fresh endpoint begins with a tenth of its share: enough to warm up on, little enough to survive.
const RAMP_FROM: f64 = 0.1;

/// The living state of one endpoint. Survives reloads and changes of the endpoint list, keyed by the endpoint's
/// name (see [`super::Set::succeed`]).
pub struct EndpointState {
    in_flight: AtomicU32,
    /// Microseconds, peak-sensitive.
    latency: Decaying,
    /// The share of calls that failed, of [`WHOLE`].
    trouble: Decaying,
    /// Does its health probe fail?
    failed: AtomicBool,
    /// When it came up. Zero: it has always been there, no slow start.
    up_since: AtomicU64,
    /// Until when it is ejected. Zero: never was.
    ejected_until: AtomicU64,
    ejections: AtomicU32,
    streak: AtomicU32,
    window: Window,
}

impl EndpointState {
    /// An endpoint that was there when we started: it takes its full share at once.
    pub fn established() -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            latency: Decaying::unknown(),
            trouble: Decaying::unknown(),
            failed: AtomicBool::new(false),
            up_since: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            streak: AtomicU32::new(0),
            window: Window::new(WINDOW),
        }
    }

    /// An endpoint that has just appeared: its share grows from now on.
    pub fn fresh(now: Tick) -> Self {
        let state = Self::established();
        state.come_up(now);
        state
    }

    /// Calls on their way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// How long a call takes: peak EWMA, faded up to now. Zero if nothing is known.
    pub fn latency(&self, now: Tick, settings: &Settings) -> Duration {
        Duration::from_micros(self.latency.read(now, settings.half_life).into())
    }

    /// The share of calls that failed or were refused as too many, lately, 0 to 1.
    pub fn trouble(&self, now: Tick, settings: &Settings) -> f64 {
        f64::from(self.trouble.read(now, settings.half_life)) / f64::from(WHOLE)
    }

    /// Its health probe fails: it gets no calls until [`EndpointState::probe_passed`].
    pub fn probe_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Its health probe passes. If it failed before, the endpoint starts slowly; and what calls had to say about it while it
    /// was failing is over with that.
    pub fn probe_passed(&self, now: Tick) {
        if self.failed.swap(false, Ordering::Relaxed) {
            if self.is_ejected(now) {
                self.ejected_until.store(now.as_nanos(), Ordering::Relaxed);
            }
            self.begin_anew();
            self.come_up(now);
        }
    }

    /// Does its health probe fail?
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Is it ejected because of how calls to it went?
    pub fn is_ejected(&self, now: Tick) -> bool {
        now.as_nanos() < self.ejected_until.load(Ordering::Relaxed)
    }

    /// Neither failed nor ejected.
    pub fn in_service(&self, now: Tick) -> bool {
        !self.is_failed() && !self.is_ejected(now)
    }

    /// Until when it is or was ejected; zero if it never was.
    pub fn ejected_until(&self) -> Tick {
        Tick::from_nanos(self.ejected_until.load(Ordering::Relaxed))
    }

    /// How often in a row it was ejected, as far as not forgiven.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Takes it out until then, as its `nth` ejection in a row, and wipes what led to it. Whether that is right
    /// (how many may be out at once) is `resilience::outlier`'s question.
    pub(crate) fn eject(&self, until: Tick, nth: u32) {
        self.begin_anew();
        self.ejections.store(nth, Ordering::Relaxed);
        self.ejected_until.store(until.as_nanos(), Ordering::Relaxed);
    }

    /// Counts a call for outlier ejection and says how many have failed in a row.
    pub(crate) fn count(&self, what: Count, now: Tick) -> u32 {
        self.window.add(what, now);
        match what {
            Count::Failed => self.streak.fetch_add(1, Ordering::Relaxed).saturating_add(1),
            Count::Passed => {
                // Only written when it changes: all threads look at it.
                if self.streak.load(Ordering::Relaxed) != 0 {
                    self.streak.store(0, Ordering::Relaxed);
                }
                0
            }
        }
    }

    /// Calls counted in the last ten seconds.
    pub(crate) fn counts(&self, now: Tick) -> Counts {
        self.window.counts(now)
    }

    /// The share of its share that it may take now, growing from a tenth to one during slow start. An endpoint
    /// that comes back from ejection starts slowly too.
    pub(super) fn ramp(&self, now: Tick, slow_start: Duration) -> f64 {
        let since = self
            .up_since
            .load(Ordering::Relaxed)
            .max(self.ejected_until.load(Ordering::Relaxed).min(now.as_nanos()));
        let age = now.since(Tick::from_nanos(since));
        if since == 0 || age >= slow_start {
            return 1.0;
        }
        (age.as_secs_f64() / slow_start.as_secs_f64()).max(RAMP_FROM)
    }

    /// What one more call would cost here: expected time, counting failures as very slow calls, times the calls
    /// that would then be in flight. An endpoint nobody has heard from gets one call at a time until it answers.
    pub(super) fn load(&self, now: Tick, half_life: Duration) -> f64 {
        let calls = f64::from(self.in_flight());
        let latency = match self.latency.read(now, half_life) {
            0 if calls > 0.0 => FAILURE_COSTS_MICROS,
            known => known,
        };
        // Squared: one failed call among many adds next to nothing, an endpoint that always fails the full price.
        // In proportion, a single stray failure would send its endpoint's traffic away for seconds.
        let trouble = f64::from(self.trouble.read(now, half_life)) / f64::from(WHOLE);
        (f64::from(latency) + trouble * trouble * f64::from(FAILURE_COSTS_MICROS)) * (calls + 1.0)
    }

    /// Forgets what calls had to say. Left to fade, the price of failures and time-outs would keep calls away for half a
    /// minute after the endpoint is well again; who is unknown gets one call at a time until he answers.
    fn begin_anew(&self) {
        self.streak.store(0, Ordering::Relaxed);
        self.window.clear();
        self.latency.forget();
        self.trouble.forget();
    }

    fn come_up(&self, now: Tick) {
        // Zero means "always been there".
        self.up_since.store(now.as_nanos().max(1), Ordering::Relaxed);
    }

    fn learn(&self, took: Duration, outcome: Outcome, now: Tick, half_life: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
        match outcome {
            Outcome::Neutral => return,
            Outcome::Success => self.latency.learn_peak(took, now, half_life),
            // A failure can make an endpoint look slower, never faster.
            Outcome::Busy | Outcome::Failure => {
                let known = self.latency.read(now, half_life);
                self.latency.learn_peak(took.max(known), now, half_life);
            }
        }
        let sample = if outcome == Outcome::Success { 0 } else { WHOLE };
        self.trouble.learn_share(sample, now, half_life);
    }
}

/// One call on its way. Exactly as long as this lives the call counts as in flight.
#[must_use = "a call counts as in flight while its Flight lives"]
pub struct Flight {
    endpoint: Arc<EndpointState>,
    began: Tick,
    half_life: Duration,
    answered: bool,
}

impl Flight {
    pub(super) fn depart(endpoint: &Arc<EndpointState>, began: Tick, half_life: Duration) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { endpoint: Arc::clone(endpoint), began, half_life, answered: false }
    }

    /// The head of the answer is here: the endpoint learns how long that took. The call stays in flight until the
    /// body is through; how long the body takes is the client's doing as much as the endpoint's.
    pub fn answered(&mut self, outcome: Outcome, now: Tick) {
        self.answered = true;
        self.endpoint.learn(now.since(self.began), outcome, now, self.half_life);
    }

    /// The call is over. Without [`Flight::answered`] before, the endpoint learns here how long it took and how it
    /// went; after it, only a failure is news. A Flight that is merely dropped teaches nothing; a call given up as
    /// too slow should end here as a [`Outcome::Failure`].
    pub fn finish(self, outcome: Outcome, now: Tick) {
        if !self.answered || outcome == Outcome::Failure {
            self.endpoint.learn(now.since(self.began), outcome, now, self.half_life);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
