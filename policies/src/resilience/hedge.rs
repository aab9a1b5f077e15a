//! A second try beside a slow first one, for reads: whichever answers first wins, the other is dropped.
//!
//! Two questions. Before the call, [`wait`]: after how long would a second try be made? When that time is up and no
//! answer has come, [`go`]: is there budget for it? It is paid from the same budget as retries, so a target that
//! became slow as a whole gets a fifth more calls and not twice as many.

use std::time::Duration;

use super::{
    budget::Budget,
    repeat::{Because, Call, Sent},
};
use crate::{
    sync::atomic::{AtomicU64, Ordering},
    time::Tick,
};

/// The `hedge` block of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// When the second try is made.
    pub after: After,
    /// The least time the second try needs to be worth making.
    pub least_useful: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // Twenty calls in a hundred may be repeated, five are slower than the 95th percentile: the budget is not
        // used up by hedging alone.
        let after = After::Slowest { at_least: Duration::from_millis(5) };
        Self { after, least_useful: Duration::from_millis(10) }
    }
}

/// When the second try is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    /// After this time.
    Fixed(Duration),
    /// When the first one takes longer than 95 of 100 calls do, but not before `at_least`.
    Slowest {
        /// Below this a second try saves nothing worth having.
        at_least: Duration,
    },
}

/// After how long a second try would be made. The shell sets a timer; if the first try answers before, nothing more
/// happens.
///
/// # Errors
/// Why there will be none. [`Because::NotAsked`]: the target's usual time is not known yet.
pub fn wait(
    settings: &Settings,
    call: &Call<'_>,
    usual: &Percentile,
    now: Tick,
) -> Result<Duration, Because> {
    // RFC 9110 §9.2.1: safe methods are "essentially read-only". Idempotent is not enough here: two tries at the same
    // time may pass each other, and a PUT that overtakes a later one undoes it.
    if !call.method.is_safe() {
        return Err(Because::NotRead);
    }
    call.is_first_from_caller()?;
    call.may_be_sent_again(Sent::Something)?;
    let wait = match settings.after {
        After::Fixed(wait) => wait,
        After::Slowest { at_least } => usual.read().ok_or(Because::NotAsked)?.max(at_least),
    };
    fits(settings, call, now, wait).map(|()| wait)
}

/// The wait is over and no answer has begun: may the second try be made? Takes it out of the budget if so.
///
/// # Errors
/// [`Because::DeadlineTooNear`] or [`Because::BudgetEmpty`].
pub fn go(settings: &Settings, call: &Call<'_>, budget: &Budget, now: Tick) -> Result<(), Because> {
    fits(settings, call, now, Duration::ZERO)?;
    if budget.withdraw(now) { Ok(()) } else { Err(Because::BudgetEmpty) }
}

fn fits(settings: &Settings, call: &Call<'_>, now: Tick, wait: Duration) -> Result<(), Because> {
    call.deadline
        .refuse_if_too_short(now, wait.saturating_add(settings.least_useful))
        .map_err(|_| Because::DeadlineTooNear)
}

/// A running guess of the time that 95 of 100 calls stay below, in one atomic word.
///
/// A slower call moves the guess up by 19 steps, a faster one moves it down by one: it comes to rest where one call
/// in twenty is slower. A step is a part of the guess itself, so that it finds both 2 ms and 2 s quickly.
pub struct Percentile {
    /// Microseconds in 1/1024; zero: nothing known.
    guess: AtomicU64,
}

/// A step is this part of the guess: 19 of them are seven percent.
const STEP_PART: u64 = 256;
const FINE: u64 = 1_024;

impl Percentile {
    /// Nothing is known yet.
    pub fn unknown() -> Self {
        Self { guess: AtomicU64::new(0) }
    }

    /// A call took so long. Feed it every first try, whether it won or was dropped (with the time until then).
    pub fn learn(&self, took: Duration) {
        let sample = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(1, u64::MAX / FINE / 2) * FINE;
        // Relaxed: the word is complete in itself.
        let _ = self.guess.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |guess| {
            let step = guess.div_ceil(STEP_PART);
            Some(match guess {
                0 => sample,
                _ if sample > guess => guess.saturating_add(19 * step).min(sample),
                _ => guess.saturating_sub(step).max(sample),
            })
        });
    }

    /// The guess, if there was a call to guess from.
    pub fn read(&self) -> Option<Duration> {
        let guess = self.guess.load(Ordering::Relaxed);
        (guess > 0).then(|| Duration::from_micros(guess / FINE))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::resilience::{
        budget,
        deadline::Deadline,
        repeat::{Effect, IdempotencyKey, Replayable},
    };

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const FIXED: Settings = Settings { after: After::Fixed(MS_50), least_useful: Duration::from_millis(10) };
    const MS_50: Duration = Duration::from_millis(50);

    fn call(method: &Method) -> Call<'_> {
        Call {
            method,
            idempotency_key: IdempotencyKey::Present,
            effect: Effect::Idempotent,
            body: Replayable::Yes,
            incoming_attempt: 1,
            deadline: Deadline::new(Tick::ZERO, MS(1_000)),
        }
    }

    #[track_caller]
    fn check(call: &Call<'_>, want: Result<Duration, Because>) {
        assert_eq!(wait(&FIXED, call, &Percentile::unknown(), Tick::ZERO), want, "{call:?}");
    }

    #[test]
    fn only_reads_are_hedged() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            check(&call(&method), Ok(MS_50));
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            check(&call(&method), Err(Because::NotRead));
        }
    }

    #[test]
    fn a_retry_is_not_hedged_nor_what_has_no_time_left() {
        let get = call(&Method::GET);
        check(&Call { incoming_attempt: 2, ..get }, Err(Because::CallerRetries));
        check(&Call { body: Replayable::No, ..get }, Err(Because::BodyGone));
        check(&Call { deadline: Deadline::new(Tick::ZERO, MS(59)), ..get }, Err(Because::DeadlineTooNear));
        check(&Call { deadline: Deadline::new(Tick::ZERO, MS(60)), ..get }, Ok(MS_50));
    }

    #[test]
    fn a_second_try_is_paid_from_the_retry_budget() {
        let budget = Budget::new(&budget::Settings { ratio: 1.0, min_per_second: 0, ..Default::default() });
        budget.deposit(Tick::ZERO);
        let get = call(&Method::GET);
        assert_eq!(go(&FIXED, &get, &budget, Tick::ZERO.after(MS(995))), Err(Because::DeadlineTooNear));
        assert_eq!(go(&FIXED, &get, &budget, Tick::ZERO), Ok(()));
        assert_eq!(go(&FIXED, &get, &budget, Tick::ZERO), Err(Because::BudgetEmpty));
    }

    #[test]
    fn without_a_known_usual_time_nothing_is_hedged() {
        let (settings, usual, get) = (Settings::default(), Percentile::unknown(), call(&Method::GET));
        assert_eq!(wait(&settings, &get, &usual, Tick::ZERO), Err(Because::NotAsked));
        usual.learn(MS(1));
        assert_eq!(wait(&settings, &get, &usual, Tick::ZERO), Ok(MS(5)));
        usual.learn(Duration::MAX);
        assert!(usual.read().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Times spread evenly up to a limit: the guess comes to lie near 95 % of it, from wherever it began.
        #[test]
        fn the_guess_finds_the_95th_percentile(first in 1_u64..5_000_000, limit in 1_000_u64..2_000_000, seed: u64) {
            let usual = Percentile::unknown();
            usual.learn(Duration::from_micros(first));
            let (mut state, mut sum) = (seed, 0.0);
            for n in 0..6_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usual.learn(Duration::from_micros(u64::try_from((u128::from(state) * u128::from(limit)) >> 64).unwrap()));
                if n >= 4_000 {
                    sum += usual.read().unwrap().as_micros() as f64 / 2_000.0;
                }
            }
            let guess = sum / limit as f64;
            prop_assert!((0.85..1.0).contains(&guess), "{}", guess);
        }
    }
}
