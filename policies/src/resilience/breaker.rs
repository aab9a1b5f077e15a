//! Stop calling a target that is failing, and find out gently when it has recovered.
//!
//! It opens by the *rate* of failures in a window that holds enough calls to mean something; while open it refuses
//! at once; then it lets a fixed number of probes through, all of which must pass. One breaker per route and target.
//! It is about the service as a whole; a single bad endpoint is [`super::outlier`]'s. Read [`Breaker::allow`] and
//! [`Breaker::record`].
//!
//! While closed no lock is taken: one load to enter, one slot of the window to leave. Transitions, and the probes
//! of a half-open breaker, go through a short lock, so that each transition happens once and is reported once.

use std::{
    fmt::{Display, Formatter},
    time::Duration,
};

use super::spell::{Share, Time};
use crate::{
    balance::{
        Outcome,
        window::{Count, Counts, Window},
    },
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        lock,
    },
    time::{Tick, nanos},
    verdict::Denial,
};

/// When it opens and closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The share of failed calls, 0 to 1, at which it opens.
    pub open_at: f64,
    /// The least number of calls in the window for their rate to mean anything.
    pub volume: u32,
    /// How far back calls count. Its edge moves in tenths.
    pub window: Duration,
    /// How long it refuses before it probes; also how long a probe may stay silent before another takes its place.
    pub stay_open: Duration,
    /// How many calls are let through as probes; all must pass. Zero is taken as one.
    pub probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            open_at: 0.5,
            volume: 20,
            window: Duration::from_secs(10),
            stay_open: Duration::from_secs(5),
            probes: 3,
        }
    }
}

/// Leave to make one call. Hand it back to [`Breaker::record`]; if it is lost nothing is stuck.
#[derive(Debug)]
#[must_use = "a pass that is not recorded teaches the breaker nothing"]
pub struct Pass {
    era: u64,
    probe: Option<u64>,
}

impl Pass {
    /// Is this call one of the probes of a half-open breaker?
    pub fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// No call now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// When it may be worth asking again.
    pub retry_after: Duration,
}

impl From<Refused> for Denial {
    fn from(_: Refused) -> Self {
        Self::BreakerOpen
    }
}

/// In which state a breaker is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Calls go through.
    Closed,
    /// Probes go through.
    HalfOpen,
    /// Nothing goes through.
    Open,
}

impl Phase {
    /// Its name, in metrics and on the admin page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// A transition, to be logged: its Display is the sentence that says why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Half-open to closed.
    Closed {
        /// So many probes passed.
        probes: u32,
    },
    /// Closed to open.
    Opened {
        /// Calls that failed in the window.
        failed: u32,
        /// Calls in the window.
        calls: u32,
        /// What was set.
        settings: Settings,
    },
    /// Half-open to open: a probe failed.
    Reopened {
        /// Until it probes again.
        stay_open: Duration,
    },
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed { probes } => write!(f, "closed: {probes} of {probes} probes passed"),
            Self::Opened { failed, calls, settings } => write!(
                f,
                "opened: {failed} of {calls} calls failed ({}) within {}; limit {}; stays open {}",
                Share(f64::from(*failed) / f64::from((*calls).max(1))),
                Time(settings.window),
                Share(settings.open_at),
                Time(settings.stay_open),
            ),
            Self::Reopened { stay_open } => {
                write!(f, "opened again: a probe failed; stays open {}", Time(*stay_open))
            }
        }
    }
}

/// What a person may want to see of a breaker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Observation {
    /// Its state. An open breaker that nobody called since its time was up still shows as open.
    pub phase: Phase,
    /// Calls that failed in the window.
    pub failed: u32,
    /// Calls in the window.
    pub calls: u32,
    /// Probes that have passed, while half-open.
    pub probes_passed: u32,
    /// How long it still refuses, while open.
    pub reopens_in: Duration,
}

/// The breaker of one route and target, shared by all threads.
pub struct Breaker {
    settings: Settings,
    /// Phase and era. The era grows with every transition: a pass from an earlier one is a straggler.
    word: AtomicU64,
    /// Nanoseconds; written before the word says open.
    open_until: AtomicU64,
    window: Window,
    /// Whoever changes the word holds this.
    trial: Mutex<Trial>,
}

/// The probes of a half-open breaker.
#[derive(Default)]
struct Trial {
    passed: u32,
    next: u64,
    out: Vec<Lease>,
}

/// A probe that has not reported.
struct Lease {
    probe: u64,
    until: Tick,
}

#[derive(Clone, Copy, Eq, PartialEq)]
struct Word {
    era: u64,
    phase: Phase,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            word: AtomicU64::new(Word { era: 0, phase: Phase::Closed }.pack()),
            open_until: AtomicU64::new(0),
            window: Window::new(settings.window),
            trial: Mutex::new(Trial::default()),
        }
    }

    /// May a call be made?
    ///
    /// # Errors
    /// [`Refused`] while it is open, or half-open with all its probes out.
    pub fn allow(&self, now: Tick) -> Result<Pass, Refused> {
        let word = self.word();
        match word.phase {
            Phase::Closed => Ok(Pass { era: word.era, probe: None }),
            Phase::Open if self.refuses_for(now) > Duration::ZERO => {
                Err(Refused { retry_after: self.refuses_for(now) })
            }
            Phase::HalfOpen | Phase::Open => self.probe(now),
        }
    }

    /// The call is over. Returns the transition it caused, if it caused one: the caller logs it.
    #[allow(clippy::needless_pass_by_value, reason = "a pass is used up by its report")]
    pub fn record(&self, pass: Pass, outcome: Outcome, now: Tick) -> Option<Change> {
        let count = match outcome {
            Outcome::Neutral => None,
            Outcome::Failure => Some(Count::Failed),
            Outcome::Busy | Outcome::Success => Some(Count::Passed),
        };
        match pass.probe {
            None => self.record_call(pass.era, count?, now),
            Some(probe) => self.record_probe(pass.era, probe, count, now),
        }
    }

    /// What there is to see.
    pub fn observe(&self, now: Tick) -> Observation {
        let trial = lock(&self.trial);
        let (phase, counts) = (self.word().phase, self.window.counts(now));
        Observation {
            phase,
            failed: counts.failed,
            calls: counts.calls(),
            probes_passed: if phase == Phase::HalfOpen { trial.passed } else { 0 },
            reopens_in: if phase == Phase::Open { self.refuses_for(now) } else { Duration::ZERO },
        }
    }

    fn record_call(&self, era: u64, count: Count, now: Tick) -> Option<Change> {
        let mine = Word { era, phase: Phase::Closed };
        // A straggler: it began before the breaker opened, and says nothing about how the service is now.
        if self.word() != mine {
            return None;
        }
        self.window.add(count, now);
        // It opens on a failure, never on a success: a service that is just recovering is not shut out for its past.
        if count == Count::Passed {
            return None;
        }
        let counts = self.window.counts(now);
        if !self.is_too_much(counts) {
            return None;
        }
        let mut trial = lock(&self.trial);
        if self.word() != mine {
            return None;
        }
        self.open(&mut trial, mine, now);
        Some(Change::Opened { failed: counts.failed, calls: counts.calls(), settings: self.settings })
    }

    fn is_too_much(&self, counts: Counts) -> bool {
        counts.calls() >= self.settings.volume && counts.failure_rate() >= self.settings.open_at
    }

    fn open(&self, trial: &mut Trial, from: Word, now: Tick) {
        *trial = Trial::default();
        let until = now.after(self.settings.stay_open);
        self.open_until.store(until.as_nanos(), Ordering::Release);
        self.become_phase(from, Phase::Open);
    }

    fn probe(&self, now: Tick) -> Result<Pass, Refused> {
        let mut trial = lock(&self.trial);
        let mut word = self.word();
        match word.phase {
            Phase::Closed => return Ok(Pass { era: word.era, probe: None }),
            Phase::Open if self.refuses_for(now) > Duration::ZERO => {
                return Err(Refused { retry_after: self.refuses_for(now) });
            }
            Phase::Open => word = self.become_phase(word, Phase::HalfOpen),
            Phase::HalfOpen => {}
        }
        let lease = nanos(self.settings.stay_open);
        trial
            .lend(self.probes(), now, lease)
            .map(|probe| Pass { era: word.era, probe: Some(probe) })
            .ok_or_else(|| Refused { retry_after: trial.next_place(now) })
    }

    fn record_probe(&self, era: u64, probe: u64, count: Option<Count>, now: Tick) -> Option<Change> {
        let mut trial = lock(&self.trial);
        let mine = Word { era, phase: Phase::HalfOpen };
        if self.word() != mine {
            return None;
        }
        // A probe whose lease ran out is evidence all the same. If only punctual ones counted, a service slower
        // than `stay_open` could never close its breaker.
        trial.out.retain(|lease| lease.probe != probe);
        match count? {
            Count::Failed => {
                self.open(&mut trial, mine, now);
                Some(Change::Reopened { stay_open: self.settings.stay_open })
            }
            Count::Passed => {
                trial.passed += 1;
                (trial.passed >= self.probes()).then(|| self.close(&mut trial, mine))
            }
        }
    }

    fn close(&self, trial: &mut Trial, from: Word) -> Change {
        *trial = Trial::default();
        self.window.clear();
        self.become_phase(from, Phase::Closed);
        Change::Closed { probes: self.probes() }
    }

    fn become_phase(&self, from: Word, phase: Phase) -> Word {
        let word = Word { era: from.era + 1, phase };
        self.word.store(word.pack(), Ordering::Release);
        word
    }

    fn probes(&self) -> u32 {
        self.settings.probes.max(1)
    }

    fn refuses_for(&self, now: Tick) -> Duration {
        Tick::from_nanos(self.open_until.load(Ordering::Acquire)).since(now)
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }
}

impl Trial {
    /// Lends out one probe, if not as many as are needed have passed or are out.
    fn lend(&mut self, probes: u32, now: Tick, lease_nanos: u64) -> Option<u64> {
        // Nobody else reports a probe that was lost: a cancelled request, a bug. Its place is free after a while.
        self.out.retain(|lease| lease.until > now);
        let out = u32::try_from(self.out.len()).unwrap_or(u32::MAX);
        if self.passed.saturating_add(out) >= probes {
            return None;
        }
        let probe = self.next;
        self.next += 1;
        self.out.push(Lease { probe, until: now.after(Duration::from_nanos(lease_nanos)) });
        Some(probe)
    }

    fn next_place(&self, now: Tick) -> Duration {
        self.out.iter().map(|lease| lease.until.since(now)).min().unwrap_or_default()
    }
}

impl Word {
    fn pack(self) -> u64 {
        (self.era << 2)
            | match self.phase {
                Phase::Closed => 0,
                Phase::HalfOpen => 1,
                Phase::Open => 2,
            }
    }

    fn unpack(bits: u64) -> Self {
        let phase = match bits & 3 {
            0 => Phase::Closed,
            1 => Phase::HalfOpen,
            _ => Phase::Open,
        };
        Self { era: bits >> 2, phase }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
