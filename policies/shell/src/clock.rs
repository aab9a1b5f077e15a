//! The one clock. Policies are told the time; this is where it is read, once per question.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use policies::time::{Now, Tick};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time since this process looked at the clock first.
pub fn tick() -> Tick {
    Tick::ZERO.after(START.elapsed())
}

/// The monotonic time, and the wall clock's seconds, which tokens and certificates go by.
pub fn now() -> Now {
    Now { tick: tick(), unix_secs: unix().as_secs() }
}

/// The wall clock.
pub fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The moment of a tick, for the runtime's timers.
pub fn instant(tick: Tick) -> Instant {
    *START + tick.since(Tick::ZERO)
}
