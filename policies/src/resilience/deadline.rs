//! One deadline per request: set at the edge or carried in, shortened at every hop and every attempt, never moved
//! out. Work that cannot be done in time is refused before it is begun.

use std::time::Duration;

use crate::{time::Tick, verdict::Denial};

/// What the way to the next hop and back may cost: a twentieth of what is left ...
const ALLOWANCE_PART: u32 = 20;
/// ... but no more than this. Inside one data centre a round trip takes about a millisecond.
const ALLOWANCE_MAX: Duration = Duration::from_millis(5);
/// Digits we read of a carried deadline: ten are 115 days.
const DIGITS_MAX: usize = 10;

/// The moment by which a request must be answered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Tick);

impl Deadline {
    /// So long from now.
    pub fn new(now: Tick, within: Duration) -> Self {
        Self(now.after(within))
    }

    /// The route's time, or what a trusted caller says is left if that is less. A caller can shorten the time, never
    /// lengthen it.
    pub fn at_edge(now: Tick, route: Duration, carried: Option<Duration>) -> Self {
        Self::new(now, carried.map_or(route, |left| left.min(route)))
    }

    /// The moment itself.
    pub fn tick(self) -> Tick {
        self.0
    }

    /// How long is left.
    pub fn left(self, now: Tick) -> Duration {
        self.0.since(now)
    }

    /// Is it over?
    pub fn is_over(self, now: Tick) -> bool {
        self.left(now).is_zero()
    }

    /// The deadline of one attempt: its own time, but never past the request's.
    #[must_use]
    pub fn for_attempt(self, now: Tick, per_try: Option<Duration>) -> Self {
        per_try.map_or(self, |per_try| self.min(Self::new(now, per_try)))
    }

    /// Refuses work that is over before it can be of use.
    ///
    /// # Errors
    /// [`Denial::DeadlineTooShort`] if less than `least_useful` is left, or nothing.
    pub fn refuse_if_too_short(self, now: Tick, least_useful: Duration) -> Result<(), Denial> {
        let left = self.left(now);
        if left.is_zero() || left < least_useful { Err(Denial::DeadlineTooShort) } else { Ok(()) }
    }

    /// What to write into `x-banyan-deadline` for the next hop: the milliseconds it has, which is less than we have
    /// by an allowance for the network, so that its answer (even if it says that time ran out) still reaches us.
    pub fn carry_ms(self, now: Tick) -> u64 {
        let left = self.left(now);
        let allowance = (left / ALLOWANCE_PART).min(ALLOWANCE_MAX);
        u64::try_from(left.saturating_sub(allowance).as_millis()).unwrap_or(u64::MAX)
    }
}

/// Reads what [`Deadline::carry_ms`] wrote. Anything but one to ten digits says nothing.
pub fn carried(header: &[u8]) -> Option<Duration> {
    if header.is_empty() || header.len() > DIGITS_MAX || !header.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let millis = header.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_caller_can_shorten_the_time_but_not_lengthen_it() {
        let left = |carried| Deadline::at_edge(Tick::ZERO, MS(3_000), carried).left(Tick::ZERO);
        assert_eq!(left(None), MS(3_000));
        assert_eq!(left(Some(MS(700))), MS(700));
        assert_eq!(left(Some(MS(90_000))), MS(3_000));
    }

    #[test]
    fn an_attempt_never_outlives_its_request() {
        let deadline = Deadline::new(Tick::ZERO, MS(1_000));
        let now = Tick::ZERO.after(MS(800));
        assert_eq!(deadline.for_attempt(now, Some(MS(100))).left(now), MS(100));
        assert_eq!(deadline.for_attempt(now, Some(MS(500))).left(now), MS(200));
        assert_eq!(deadline.for_attempt(now, None).left(now), MS(200));
    }

    #[test]
    fn work_that_cannot_finish_is_refused() {
        let check = |left, least, want| {
            assert_eq!(Deadline::new(Tick::ZERO, MS(left)).refuse_if_too_short(Tick::ZERO, MS(least)), want);
        };
        check(100, 10, Ok(()));
        check(10, 10, Ok(()));
        check(9, 10, Err(Denial::DeadlineTooShort));
        check(0, 0, Err(Denial::DeadlineTooShort));
    }

    #[test]
    fn the_next_hop_gets_a_little_less() {
        let carry = |left| Deadline::new(Tick::ZERO, MS(left)).carry_ms(Tick::ZERO);
        assert_eq!([carry(3_000), carry(40), carry(1), carry(0)], [2_995, 38, 0, 0]);
    }

    #[test]
    fn only_plain_digits_are_a_carried_deadline() {
        assert_eq!(carried(b"2995"), Some(MS(2_995)));
        assert_eq!(carried(b"0"), Some(MS(0)));
        for bad in ["", "-5", "+5", "5s", " 5", "1e3", "12345678901", "\u{0665}"] {
            assert_eq!(carried(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn along_a_chain_of_hops_time_only_shrinks(start in 0_u64..100_000, spent in prop::collection::vec(0_u64..500, 1..20)) {
            let mut left = MS(start);
            for spent in spent {
                let deadline = Deadline::at_edge(Tick::ZERO, MS(60_000), Some(left));
                let next = MS(deadline.carry_ms(Tick::ZERO.after(MS(spent))));
                prop_assert!(next <= left.saturating_sub(MS(spent)));
                left = next;
            }
        }
    }
}
