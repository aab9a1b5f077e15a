//! The one clock. Policies are told the time; this is where it is read: when a request's head is there, and again where
//! time has really passed.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use policies::time::{Now, Tick};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time since this process looked at the clock first.
pub fn tick() -> Tick {
    Tick::ZERO.after(START.elapsed())
}

/// How long it is believed how far the wall clock is ahead of ours. Somebody may set it at any time.
const AHEAD_FOR: Duration = Duration::from_millis(100);

thread_local! {
    /// How far the wall clock was ahead, and when it was asked.
    static AHEAD: Cell<Option<(Duration, Tick)>> = const { Cell::new(None) };
}

/// The monotonic time, and the wall clock's seconds, which tokens and certificates go by.
pub fn now() -> Now {
    let tick = tick();
    Now { tick, unix_secs: unix_at(tick).as_secs() }
}

/// The wall clock at a tick of this moment. The clock itself is asked ten times a second; in between it goes as ours does.
pub fn unix_at(tick: Tick) -> Duration {
    let since = tick.since(Tick::ZERO);
    let known = AHEAD.get().filter(|(_, asked)| tick.since(*asked) < AHEAD_FOR);
    let ahead = known.map_or_else(
        || {
            let ahead = unix().saturating_sub(since);
            AHEAD.set(Some((ahead, tick)));
            ahead
        },
        |(ahead, _)| ahead,
    );
    since + ahead
}

/// The wall clock.
pub fn unix() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The moment of a tick, for the runtime's timers.
pub fn instant(tick: Tick) -> Instant {
    *START + tick.since(Tick::ZERO)
}
