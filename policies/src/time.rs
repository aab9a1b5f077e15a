//! What time it is, as an argument. Nobody in this crate asks a clock.
//!
//! The shell reads its clocks once per request and passes [`Now`] down, so one request sees one moment and a
//! test can be at any moment it likes.

use std::time::Duration;

/// A point on the shell's monotonic clock, in nanoseconds since a zero of the shell's choosing.
///
/// A plain number, so that engines can keep it in an atomic. It never goes back, whatever the wall clock does.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Tick(u64);

impl Tick {
    /// The zero of the clock.
    pub const ZERO: Self = Self(0);

    /// The tick that lies this many nanoseconds after zero.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This tick moved into the future; stays at the end of time rather than wrap.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    /// How long ago `earlier` was; zero if it has not happened yet.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// One moment on both clocks: the monotonic one for everything that waits or counts, and the wall clock for
/// what other people's documents say about time (a token's `exp`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// The monotonic clock.
    pub tick: Tick,
    /// Seconds since 1970, from the wall clock.
    pub unix_secs: u64,
}

/// A duration as whole nanoseconds; 584 years and more are all the same to us.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
