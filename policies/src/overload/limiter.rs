//! The limiter's threads' side: who gets in, who leaves, and whose turn it is to move the limit.

use std::sync::Arc;
use std::time::Duration;

use super::gradient::{Breath, Course, Growth, Settings};
use super::window::Window;
use crate::request::Priority;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::time::Tick;

/// The longest window, however slow the service: two of the longest latencies that count.
const WINDOW_MAX: Duration = Duration::from_secs(17);

/// An adaptive limit on the requests in flight to one target.
///
/// A class may enter while *all* requests in flight, of whatever class, are fewer than its share of the limit: critical
/// ones the whole of it, normal ones 80 %, sheddable ones 60 % (by default). So as load rises the sheddable are refused first, and a
/// critical request is refused only when the last fifth, which no lower class can enter, is full of critical ones or of
/// lower ones that were let in before the limit fell; nobody in flight is ever thrown out for it. Below 60 % of
/// the limit nobody is refused at all, and the limit stays at twice what mild load needs.
#[derive(Debug)]
pub struct Limiter {
    settings: Settings,
    in_flight: AtomicU32,
    gates: Gates,
    window: Window,
    course: Memory,
    /// Somebody is moving the limit. Nobody waits for it: who finds it set goes on.
    closing: AtomicBool,
    shed: [AtomicU64; 3],
}

/// How a request ended, as a measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The service answered, well or badly: its latency counts. An error that is an answer belongs here.
    Answered,
    /// It did not answer in time, or said that it is overloaded: the limit shrinks if this happens often.
    Failed,
    /// It says nothing about the service's load: the caller went away, the answer came from elsewhere.
    Ignored,
}

/// Refused, before anything was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shed {
    /// When to try again: later for the less important, so that they do not come back all at once.
    pub retry_after: Duration,
}

/// A place among the requests in flight. Dropping it gives the place back and measures nothing; a ticket can be
/// kept wherever the request is kept, and cannot be given back twice.
#[derive(Debug)]
#[must_use = "a dropped ticket is a place given back"]
pub struct Ticket {
    limiter: Arc<Limiter>,
    began: Tick,
}

impl Limiter {
    /// A limiter that has measured nothing yet.
    pub fn new(settings: Settings) -> Self {
        let course = Course::start(&settings);
        let limiter = Self {
            settings,
            in_flight: AtomicU32::new(0),
            gates: Gates::default(),
            window: Window::default(),
            course: Memory::default(),
            closing: AtomicBool::new(false),
            shed: Default::default(),
        };
        limiter.set(&course);
        limiter
    }

    /// Lets a request in, or refuses it. Call it last of all policies, right before the work: what is refused by
    /// another policy must not hold a place.
    pub fn enter(self: &Arc<Self>, priority: Priority, now: Tick) -> Result<Ticket, Shed> {
        let gate = self.gates.of(priority).load(Relaxed);
        let step = |in_flight: u32| (in_flight < gate).then_some(in_flight + 1);
        match self.in_flight.fetch_update(Relaxed, Relaxed, step) {
            Ok(before) => {
                self.window.entered(before + 1);
                Ok(Ticket { limiter: Arc::clone(self), began: now })
            }
            Err(_) => Err(self.refuse(priority)),
        }
    }

    /// The limit now: what critical requests may fill.
    pub fn limit(&self) -> u32 {
        self.gates.critical.load(Relaxed)
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests of this class refused so far.
    pub fn shed(&self, priority: Priority) -> u64 {
        self.shed_of(priority).load(Relaxed)
    }

    /// How long an answer takes when the service is not crowded, as far as we know: the yardstick. Zero before the
    /// first measurement.
    pub fn uncrowded_latency(&self) -> Duration {
        Duration::try_from_secs_f64(self.course.load().uncrowded / 1e9).unwrap_or_default()
    }

    fn refuse(&self, priority: Priority) -> Shed {
        self.window.shed();
        self.shed_of(priority).fetch_add(1, Relaxed);
        let secs = match priority {
            Priority::Critical => 1,
            Priority::Normal => 2,
            Priority::Sheddable => 4,
        };
        Shed { retry_after: Duration::from_secs(secs) }
    }

    fn shed_of(&self, priority: Priority) -> &AtomicU64 {
        let [critical, normal, sheddable] = &self.shed;
        match priority {
            Priority::Critical => critical,
            Priority::Normal => normal,
            Priority::Sheddable => sheddable,
        }
    }

    /// Moves the limit if the window is over, unless another thread is at it.
    fn move_limit(&self, now: Tick) {
        let due = || self.window.is_due(now, self.settings.window, self.settings.samples_min);
        if !due() || self.closing.swap(true, Acquire) {
            return;
        }
        // Asked again: the thread that was at it a moment ago may have closed the very window that was due.
        if due() {
            let seen = self.window.take(self.in_flight());
            let course = self.course.load().after(&seen, &self.settings);
            self.set(&course);
            let two_latencies = Duration::try_from_secs_f64(seen.latency * 2.0 / 1e9).unwrap_or(WINDOW_MAX);
            self.window.close_at(now.after(self.settings.window.max(two_latencies.min(WINDOW_MAX))));
        }
        self.closing.store(false, Release);
    }

    fn set(&self, course: &Course) {
        self.course.store(course);
        self.gates.set(course.effective(&self.settings), &self.settings);
    }
}

impl Ticket {
    /// The request is over. Gives the place back, and lets its outcome be measured.
    pub fn finish(self, outcome: Outcome, now: Tick) {
        let limiter = &self.limiter;
        match outcome {
            Outcome::Answered => limiter.window.answered(now.since(self.began)),
            Outcome::Failed => limiter.window.failed(),
            Outcome::Ignored => return,
        }
        limiter.move_limit(now);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Each ticket was counted in once by `enter` and is dropped once: this cannot go below zero.
        self.limiter.in_flight.fetch_sub(1, Relaxed);
    }
}

/// How many may be in flight for each class to enter.
#[derive(Debug, Default)]
struct Gates {
    critical: AtomicU32,
    normal: AtomicU32,
    sheddable: AtomicU32,
}

impl Gates {
    fn of(&self, priority: Priority) -> &AtomicU32 {
        match priority {
            Priority::Critical => &self.critical,
            Priority::Normal => &self.normal,
            Priority::Sheddable => &self.sheddable,
        }
    }

    fn set(&self, limit: f64, settings: &Settings) {
        let normal = share(settings.normal_share);
        let sheddable = share(settings.sheddable_share).min(normal);
        self.critical.store(places(limit), Relaxed);
        self.normal.store(places(limit * normal), Relaxed);
        self.sheddable.store(places(limit * sheddable), Relaxed);
    }
}

/// A share as it was meant. Not a number means none: `clamp` alone would pass it on, and panic on it as a bound.
fn share(said: f64) -> f64 {
    if said.is_nan() { 0.0 } else { said.clamp(0.0, 1.0) }
}

/// Whole places, at least one: an idle service takes anybody.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is meant"
)]
fn places(limit: f64) -> u32 {
    (limit as u32).max(1)
}

/// The course in atomics. Only the thread that is moving the limit writes; the others read single numbers.
#[derive(Debug, Default)]
struct Memory {
    limit: AtomicU64,
    uncrowded: AtomicU64,
    read_at: AtomicU64,
    before: AtomicU64,
    pressed: AtomicU32,
    breath: AtomicU32,
    growth: AtomicU32,
}

impl Memory {
    fn load(&self) -> Course {
        Course {
            limit: f64::from_bits(self.limit.load(Relaxed)),
            uncrowded: f64::from_bits(self.uncrowded.load(Relaxed)),
            read_at: f64::from_bits(self.read_at.load(Relaxed)),
            pressed: self.pressed.load(Relaxed),
            before: f64::from_bits(self.before.load(Relaxed)),
            breath: match self.breath.load(Relaxed) {
                0 => Breath::None,
                1 => Breath::Draining,
                _ => Breath::Reading,
            },
            growth: match self.growth.load(Relaxed) {
                0 => Growth::Fast,
                _ => Growth::Steady,
            },
        }
    }

    fn store(&self, course: &Course) {
        self.limit.store(course.limit.to_bits(), Relaxed);
        self.uncrowded.store(course.uncrowded.to_bits(), Relaxed);
        self.read_at.store(course.read_at.to_bits(), Relaxed);
        self.before.store(course.before.to_bits(), Relaxed);
        self.pressed.store(course.pressed, Relaxed);
        let breath = match course.breath {
            Breath::None => 0,
            Breath::Draining => 1,
            Breath::Reading => 2,
        };
        self.breath.store(breath, Relaxed);
        let growth = match course.growth {
            Growth::Fast => 0,
            Growth::Steady => 1,
        };
        self.growth.store(growth, Relaxed);
    }
}
