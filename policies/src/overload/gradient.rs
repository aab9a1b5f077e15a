//! The arithmetic of the limit: one window of answers in, the next limit out. Pure.
//!
//! In the spirit of TCP Vegas: when latency rises above what the service takes when it is not crowded, requests are
//! queueing somewhere, so fewer should be in flight. What is hard is knowing the uncrowded latency while it is
//! crowded. Sending next to nothing for a while tells, and costs nearly all throughput; letting the yardstick follow
//! the measured latency costs nothing, and lets a long overload pass for normal. Here the limit takes a *breath*:
//! now and then, only under pressure, it halves for two windows. What latency does then tells our queue from a
//! service that has become slower.

use std::time::Duration;

/// Windows under pressure between two breaths. With windows of 100 ms, one in three seconds.
const BREATH_EVERY: u32 = 30;

/// A breath is due at once when the limit has shrunk to this part of what it was when the yardstick was last read:
/// either the load is enormous or the yardstick is wrong, and only a breath can tell.
const BREATH_BELOW: f64 = 0.6;

/// How much of the limit a breath leaves. Together with the queue that the gradient tolerates (`tolerance` and the
/// allowance), a half lies just under what the service can do at once, so the queue empties and little is lost.
const BREATH_DEPTH: f64 = 0.5;

/// If half the limit has brought latency down to this part or less, it was the queue that was halved, and the
/// service is as busy as before: half the limit was enough. (Exactly a half, and something for noise.)
const STILL_BUSY: f64 = 0.65;

/// Of a new uncrowded latency, this much goes into the yardstick: it follows in some ten windows, and one odd window
/// moves it little.
const YARDSTICK_GAIN: f64 = 0.2;

/// Growth in one window at the start, while requests are shed and no answer has ever been slow: a service for 400
/// requests is found from 50 in six windows.
const FAST_GROWTH: f64 = 1.5;

/// The gradient never shrinks the limit by more than half: what is measured lags behind what was changed.
const GRADIENT_MIN: f64 = 0.5;

/// Failures up to this share are the background every service has, and say nothing about load.
const FAILURES_NORMAL: f64 = 0.05;

/// A window in which less than this part of the limit was used does not raise it: unused room proves nothing.
/// Twice the busiest moment is also the headroom that keeps mild load from ever being shed.
const USED: f64 = 0.5;

/// How a limit moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The limit never falls below this, whatever is measured. Default 4: enough to keep measuring.
    pub min: u32,
    /// The limit never rises above this. Default 1000.
    pub max: u32,
    /// The limit before anything is measured. Default 50.
    pub initial: u32,
    /// The share of the limit, 0 to 1, that normal requests may fill; the rest is kept for critical ones, who may fill
    /// all of it. Default 0.8: wide enough for a crowd of critical requests that comes by chance. It costs nothing, as
    /// the limit itself grows while the service can take more.
    pub normal_share: f64,
    /// The share of the limit, 0 to 1, that sheddable requests may fill. Default 0.6.
    pub sheddable_share: f64,
    /// How often its uncrowded latency a service may take before the limit shrinks. Default 1.5.
    pub tolerance: f64,
    /// How far the limit moves towards its new value in one window, above 0 to 1. Default 0.4.
    pub smoothing: f64,
    /// How long answers are collected, at least, before the limit moves. Slow services get windows of two latencies:
    /// what is measured must have begun after the last move. Default 100 ms.
    pub window: Duration,
    /// How many answers a window needs at least. Default 20.
    pub samples_min: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1000,
            initial: 50,
            normal_share: 0.8,
            sheddable_share: 0.6,
            tolerance: 1.5,
            smoothing: 0.4,
            window: Duration::from_millis(100),
            samples_min: 20,
        }
    }
}

/// What one window has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// How long answered requests took, on average, in nanoseconds. Means nothing if `answered` is zero.
    pub(super) latency: f64,
    /// Requests that were answered.
    pub(super) answered: u32,
    /// Requests that failed.
    pub(super) failed: u32,
    /// The most in flight at any moment.
    pub(super) peak: u32,
    /// Was anybody refused?
    pub(super) shed: bool,
}

/// What is known between two windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Course {
    /// The limit, not rounded.
    pub(super) limit: f64,
    /// The yardstick: how long an answer takes when it is not crowded, in nanoseconds. Zero before the first window.
    pub(super) uncrowded: f64,
    /// The limit when the yardstick was last read.
    pub(super) read_at: f64,
    /// Windows since the yardstick was last read in which answers were slow or requests were shed. (Shedding counts
    /// too: a yardstick read in the middle of an overload finds no answer slow.)
    pub(super) pressed: u32,
    /// The latency of the last window before a breath, in nanoseconds.
    pub(super) before: f64,
    /// Where in a breath we are.
    pub(super) breath: Breath,
    /// How fast the limit grows.
    pub(super) growth: Growth,
}

/// At the start nothing is known, and the limit may be far off; after the first bad window it is about right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Growth {
    Fast,
    Steady,
}

/// A breath lasts two windows: in the first the queue drains, in the second the yardstick is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Breath {
    None,
    Draining,
    Reading,
}

impl Course {
    pub(super) fn start(settings: &Settings) -> Self {
        let limit = clamp(settings, f64::from(settings.initial));
        let (breath, growth) = (Breath::None, Growth::Fast);
        Self { limit, uncrowded: 0.0, read_at: limit, pressed: 0, before: 0.0, breath, growth }
    }

    /// How many may be in flight now.
    pub(super) fn effective(&self, settings: &Settings) -> f64 {
        match self.breath {
            Breath::None => self.limit,
            Breath::Draining | Breath::Reading => clamp(settings, self.limit * BREATH_DEPTH),
        }
    }

    /// The course after one more window.
    pub(super) fn after(self, seen: &Seen, settings: &Settings) -> Self {
        let failures = f64::from(seen.failed) / f64::from(seen.failed.saturating_add(seen.answered).max(1));
        if failures > FAILURES_NORMAL {
            // Timeouts say more than latencies do: those that took longest are not among the answers.
            let limit = clamp(settings, self.limit * (1.0 - failures / 2.0));
            return Self { limit, breath: Breath::None, growth: Growth::Steady, ..self };
        }
        if seen.answered == 0 {
            return self;
        }
        match self.breath {
            Breath::Draining => Self { breath: Breath::Reading, ..self },
            Breath::Reading => self.breathed(seen.latency, settings),
            Breath::None if self.uncrowded == 0.0 => self.read(seen.latency),
            Breath::None if !self.used(seen) => self.follow(seen.latency),
            Breath::None => self.steer(seen, settings),
        }
    }

    fn used(&self, seen: &Seen) -> bool {
        seen.shed || f64::from(seen.peak) >= self.limit * USED
    }

    /// What the breath has shown: a queue so long that its half was still a queue (then half the limit is enough, and
    /// nothing is learned about the uncrowded latency), or the uncrowded latency.
    fn breathed(self, latency: f64, settings: &Settings) -> Self {
        let still_busy = latency <= self.before * STILL_BUSY;
        if still_busy && latency > self.uncrowded * settings.tolerance {
            let limit = self.effective(settings);
            return Self { limit, read_at: limit, pressed: 0, breath: Breath::None, ..self };
        }
        self.read(latency)
    }

    /// Takes the measured latency for the yardstick.
    fn read(self, latency: f64) -> Self {
        Self { uncrowded: latency, read_at: self.limit, pressed: 0, breath: Breath::None, ..self }
    }

    /// There was room to spare, so whatever latency there was, it was not our crowding.
    fn follow(self, latency: f64) -> Self {
        let uncrowded = self.uncrowded + (latency - self.uncrowded) * YARDSTICK_GAIN;
        Self { uncrowded, read_at: self.limit, pressed: 0, ..self }
    }

    /// Moves the limit along the gradient: down while answers take longer than tolerated, else up by the allowance.
    fn steer(self, seen: &Seen, settings: &Settings) -> Self {
        let tolerated = self.uncrowded * settings.tolerance;
        let slow = seen.latency > tolerated;
        if self.growth == Growth::Fast && seen.shed && !slow {
            let limit = clamp(settings, self.limit * FAST_GROWTH);
            return Self { limit, read_at: limit, ..self };
        }
        let gradient = (tolerated / seen.latency.max(1.0)).clamp(GRADIENT_MIN, 1.0);
        // A short queue keeps a service busy between two arrivals; its right length grows with the root of the
        // traffic, as the spread of arrivals does.
        let aim = self.limit * gradient + self.limit.sqrt();
        let limit = clamp(settings, self.limit + (aim - self.limit) * settings.smoothing);
        let pressed = if slow || seen.shed { self.pressed + 1 } else { 0 };
        let breath_due = pressed >= BREATH_EVERY || (slow && limit < self.read_at * BREATH_BELOW);
        Self {
            limit,
            // Down at once, up only by a breath: what is quicker than the yardstick was surely not crowded.
            uncrowded: self.uncrowded + (seen.latency.min(self.uncrowded) - self.uncrowded) * YARDSTICK_GAIN,
            read_at: self.read_at.max(limit),
            pressed,
            before: seen.latency,
            breath: if breath_due { Breath::Draining } else { Breath::None },
            growth: if slow { Growth::Steady } else { self.growth },
        }
    }
}

fn clamp(settings: &Settings, limit: f64) -> f64 {
    let min = f64::from(settings.min.max(1));
    limit.clamp(min, f64::from(settings.max).max(min))
}
