//! The arithmetic of one limit. Pure integers, no state: the caller keeps the one number there is to keep.

use std::time::Duration;

use crate::time::{Tick, nanos};

/// The longest a bucket may take to fill: 2^53 ns, 104 days. It keeps every sum far from overflow, and lets a
/// store whose numbers are doubles (a Lua script) do the same arithmetic without losing a nanosecond.
const FILL_NANOS_MAX: u64 = 1 << 53;

/// A limit as an operator says it: `100/s`, `burst: 200`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// How many in one period, in the long run. At least 1.
    pub count: u32,
    /// The period. At least a nanosecond.
    pub per: Duration,
    /// How many may come at once to a bucket that is full. At least 1; without it, one period's count.
    pub burst: Option<u32>,
}

/// Why a quota cannot be kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadQuota {
    /// Nobody could ever come in.
    #[error("a limit of zero lets nobody in; to close a route, say so with `maintenance`")]
    Nothing,
    /// "5 per 0 s" is not a rate.
    #[error("the period of a limit must be longer than zero")]
    NoPeriod,
    /// See [`Quota::compile`].
    #[error("the bucket would take more than 104 days to fill; use a smaller burst or a higher rate")]
    TooSlow,
}

impl Quota {
    /// The quota as whole nanoseconds.
    ///
    /// Rounding: the interval between two permits is `per / count`, rounded *up* to a whole nanosecond, so a limit
    /// is never more generous than it says. It is exact whenever `count` divides the period's nanoseconds
    /// (`100/s`, `5/m`, `1/h`, `1000000/s`); otherwise it is short by less than one part in `interval` (at
    /// `30000/s` by 0.002 %, at `999999/s` by 0.1 %; no limit is faster than one permit a nanosecond).
    ///
    /// Refuses a zero, and a burst that would take more than 104 days to come back.
    pub fn compile(&self) -> Result<Gcra, BadQuota> {
        let burst = self.burst.unwrap_or(self.count);
        if self.count == 0 || burst == 0 {
            return Err(BadQuota::Nothing);
        }
        if self.per.is_zero() {
            return Err(BadQuota::NoPeriod);
        }
        let interval = nanos(self.per).div_ceil(u64::from(self.count));
        Gcra::of(interval, burst).ok_or(BadQuota::TooSlow)
    }
}

/// A compiled limit: one permit comes back every `interval`, and an empty bucket is full after `fill`.
///
/// The state of a bucket is one [`Tick`]: when it will be full again (the "theoretical arrival time" of the
/// literature). A tick in the past means a full bucket, so forgetting a bucket that has filled up loses nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gcra {
    interval: u64,
    fill: u64,
}

impl Gcra {
    fn of(interval: u64, burst: u32) -> Option<Self> {
        let fill = interval.checked_mul(u64::from(burst)).filter(|fill| *fill <= FILL_NANOS_MAX)?;
        Some(Self { interval, fill })
    }

    /// The time after which one permit has come back.
    pub const fn interval(self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The time after which an empty bucket is full.
    pub const fn fill(self) -> Duration {
        Duration::from_nanos(self.fill)
    }

    /// How many may come at once to a full bucket.
    pub fn burst(self) -> u32 {
        count(self.fill, self.interval)
    }

    /// Can a request of this cost ever pass? If not, the document that prices it is wrong.
    pub fn affords(self, cost: u32) -> bool {
        u64::from(cost).saturating_mul(self.interval) <= self.fill
    }

    /// The part of this limit that one of `replicas` equal replicas may use when they cannot ask each other: a
    /// `replicas`-th of the rate, and of the burst rounded down, but at least one.
    #[must_use]
    pub fn share_of(self, replicas: u32) -> Self {
        let replicas = replicas.max(1);
        let interval = self.interval.saturating_mul(u64::from(replicas));
        // A burst that would not fit shrinks to one permit: slower than asked for is the safe side.
        Self::of(interval, (self.burst() / replicas).max(1)).unwrap_or(Self { interval, fill: interval })
    }

    /// Takes `cost` out of a bucket that will be full at `full_at`. Returns when it will be full now, which for a
    /// refusal is what it was.
    ///
    /// A cost of zero always passes and takes nothing. A cost above the burst never passes; it is told to come
    /// back after a whole bucket, for want of a better answer (see [`Gcra::affords`]).
    ///
    /// `now` may lie before the `now` of an earlier call: a late thread sees a bucket that is as full as others left
    /// it or emptier, never fuller.
    pub(super) fn take(self, full_at: Tick, cost: u32, now: Tick) -> (Tick, Outcome) {
        let now = now.as_nanos();
        let from = full_at.as_nanos().max(now);
        let to = from.saturating_add(u64::from(cost).saturating_mul(self.interval));
        let latest = now.saturating_add(self.fill);
        if to <= latest || cost == 0 {
            let remaining = count(latest.saturating_sub(to), self.interval);
            (
                Tick::from_nanos(to),
                Outcome::Allowed { remaining, reset_after: Duration::from_nanos(to - now) },
            )
        } else {
            let retry_after = if self.affords(cost) { to - latest } else { self.fill };
            let outcome = Outcome::Limited {
                retry_after: Duration::from_nanos(retry_after),
                reset_after: Duration::from_nanos(from - now),
            };
            (full_at, outcome)
        }
    }

    /// Puts `cost` back. A bucket that is full by then stays just full.
    pub(super) fn put_back(self, full_at: Tick, cost: u32, now: Tick) -> Tick {
        let back = u64::from(cost).saturating_mul(self.interval);
        Tick::from_nanos(full_at.as_nanos().saturating_sub(back)).max(now.min(full_at))
    }
}

/// What a limit says to one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It may pass.
    Allowed {
        /// How many more of cost 1 could come at this very moment.
        remaining: u32,
        /// When the bucket will be full again.
        reset_after: Duration,
    },
    /// It may not, and nothing was taken.
    Limited {
        /// When this request would pass, if nobody else comes.
        retry_after: Duration,
        /// When the bucket will be full again.
        reset_after: Duration,
    },
}

impl Outcome {
    /// Orders outcomes of several limits by how much they bind: a refusal before any permission, the longer wait
    /// before the shorter, fewer permits left before more.
    pub fn binds_more_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Allowed { remaining: a, .. }, Self::Allowed { remaining: b, .. }) => a < b,
            (Self::Allowed { .. }, Self::Limited { .. }) => false,
            (Self::Limited { .. }, Self::Allowed { .. }) => true,
            (Self::Limited { retry_after: a, .. }, Self::Limited { retry_after: b, .. }) => a > b,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Allowed { remaining, reset_after } => {
                write!(f, "allowed, {remaining} left, full again in {reset_after:?}")
            }
            Self::Limited { retry_after, .. } => write!(f, "limited, try again in {retry_after:?}"),
        }
    }
}

/// What a store hands out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    /// When the bucket will be full: what the store keeps.
    pub full_at: Tick,
    /// How many permits were handed out: from none to as many as were wanted.
    pub granted: u32,
    /// When there will be one more. Zero if there is one already.
    pub retry_after: Duration,
}

/// Hands out up to `want` permits at once from a bucket that will be full at `full_at`.
///
/// This is the law for whatever shared store there is: a script in a store must give the same answers. A script
/// whose numbers are doubles cannot hold nanoseconds since 1970; it keeps *the time of its last answer in
/// microseconds* and *how long the bucket then needed to fill, in nanoseconds*, both exact below 2^53 (a test
/// walks the two side by side).
pub fn grant(full_at: Tick, gcra: Gcra, want: u32, now: Tick) -> Grant {
    let clock = now.as_nanos();
    let latest = clock.saturating_add(gcra.fill);
    let from = full_at.as_nanos().max(clock);
    let granted = want.min(count(latest.saturating_sub(from), gcra.interval));
    let to = from.saturating_add(u64::from(granted).saturating_mul(gcra.interval));
    let retry_after = to.saturating_add(gcra.interval).saturating_sub(latest);
    Grant { full_at: Tick::from_nanos(to), granted, retry_after: Duration::from_nanos(retry_after) }
}

fn count(room: u64, interval: u64) -> u32 {
    // `interval` is at least 1 by construction; the fallback only spares a panic path.
    u32::try_from(room.checked_div(interval).unwrap_or(0)).unwrap_or(u32::MAX)
}
