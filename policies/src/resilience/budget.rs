//! The retry budget: retries may add a share to the load, never multiply it.
//!
//! Each original request deposits a share of a retry, each retry takes out a whole one, and what lies unused fades
//! away. Beside it a small fixed rate, so that a target with little traffic can retry at all. Retries and hedges of
//! one route and target share one budget. Over any time: retries <= ratio x requests + rate x (time + window).

use std::time::Duration;

use super::spell::thousandths;
use crate::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Tick, nanos},
};

/// How much may be retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Retries per request, 0 to 1, in the long run.
    pub ratio: f64,
    /// Retries that are allowed each second whatever the traffic.
    pub min_per_second: u32,
    /// How long a deposit counts, more or less: a tenth of what is left fades with each tenth of it.
    pub window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ratio: 0.2,
            // Linkerd allows 10. For a route with 20 requests a second that alone is half as much again, and for a
            // shop's orders (about one a second) it is no budget at all. One keeps quiet routes retrying and is
            // lost beside 20 % from five requests a second on.
            min_per_second: 1,
            window: Duration::from_secs(10),
        }
    }
}

/// One retry, in the grains that deposits are counted in.
const RETRY: u32 = 1_000;
/// The window fades in this many steps.
const STEPS: u64 = 10;
/// After so many steps (three windows) less than a twentieth is left; the rest is dropped.
const FORGOTTEN: u32 = 30;

/// The budget of one route and target, shared by all threads.
pub struct Budget {
    /// High half: the step of the last change. Low half: grains.
    bank: AtomicU64,
    /// When the fixed rate has been used up to, in nanoseconds (a theoretical arrival time, as in GCRA).
    used_until: AtomicU64,
    deposit: u32,
    step: u64,
    /// Nanoseconds one retry of the fixed rate takes up; none if there is no fixed rate.
    spacing: Option<u64>,
    window: u64,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("window", &self.window).finish_non_exhaustive()
    }
}

impl Budget {
    /// An empty bank; the fixed rate is there at once.
    pub fn new(settings: &Settings) -> Self {
        let window = nanos(settings.window).max(STEPS);
        Self {
            bank: AtomicU64::new(0),
            used_until: AtomicU64::new(0),
            deposit: thousandths(settings.ratio),
            step: window / STEPS,
            spacing: 1_000_000_000_u64.checked_div(settings.min_per_second.into()),
            window,
        }
    }

    /// An original request is on its way. Call it once per request, not per attempt, and not for a request that is
    /// itself a retry (its incoming attempt is above 1).
    pub fn deposit(&self, now: Tick) {
        self.change(now, |grains| Some(grains.saturating_add(self.deposit)));
    }

    /// Takes out one retry; false if there is none.
    #[must_use]
    pub fn withdraw(&self, now: Tick) -> bool {
        self.change(now, |grains| grains.checked_sub(RETRY)) || self.use_fixed_rate(now)
    }

    /// Whole retries in the bank, for a person to look at.
    pub fn banked(&self, now: Tick) -> u32 {
        self.current(self.bank.load(Ordering::Relaxed), now).1 / RETRY
    }

    /// Changes what is in the bank in one step, faded up to now; false if `next` refuses.
    fn change(&self, now: Tick, next: impl Fn(u32) -> Option<u32>) -> bool {
        // Relaxed: the word is complete in itself.
        let changed = self.bank.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (step, grains) = self.current(word, now);
            next(grains).map(|grains| (u64::from(step) << 32) | u64::from(grains))
        });
        changed.is_ok()
    }

    /// The word's step and grains, moved on to now.
    fn current(&self, word: u64, now: Tick) -> (u32, u32) {
        let (then, grains) = (low_half(word >> 32), low_half(word));
        // A thread with an older `now` than the last change finds the step ahead of it, and leaves it.
        let step = low_half(now.as_nanos() / self.step).max(then);
        (step, faded(grains, step - then))
    }

    fn use_fixed_rate(&self, now: Tick) -> bool {
        let Some(spacing) = self.spacing else { return false };
        let now = now.as_nanos();
        let used = self.used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            let next = until.max(now).saturating_add(spacing);
            (next - now <= self.window).then_some(next)
        });
        used.is_ok()
    }
}

fn faded(grains: u32, steps: u32) -> u32 {
    if steps > FORGOTTEN {
        return 0;
    }
    (0..steps).fold(grains, |left, _| left - left.div_ceil(10))
}

/// The low 32 bits. As steps of a second they last 136 years.
fn low_half(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    fn budget(min_per_second: u32) -> Budget {
        Budget::new(&Settings { min_per_second, ..Settings::default() })
    }

    fn withdrawals(budget: &Budget, now: Tick) -> u32 {
        u32::try_from((0..10_000).take_while(|_| budget.withdraw(now)).count()).unwrap()
    }

    #[test]
    fn five_requests_pay_for_one_retry() {
        let budget = budget(0);
        (0..4).for_each(|_| budget.deposit(at(0)));
        assert!(!budget.withdraw(at(0)));
        budget.deposit(at(0));
        assert!(budget.withdraw(at(0)));
        assert!(!budget.withdraw(at(0)));
    }

    #[test]
    fn what_lies_unused_fades() {
        let budget = budget(0);
        (0..500).for_each(|_| budget.deposit(at(0)));
        assert_eq!(budget.banked(at(999)), 100);
        assert_eq!(budget.banked(at(1_000)), 90);
        assert_eq!(budget.banked(at(10_000)), 34);
        assert_eq!(budget.banked(at(40_000)), 0);
    }

    #[test]
    fn a_quiet_target_may_retry_at_the_fixed_rate() {
        let budget = budget(1);
        assert_eq!(withdrawals(&budget, at(0)), 10);
        assert_eq!(withdrawals(&budget, at(1_000)), 1);
        assert_eq!(withdrawals(&budget, at(1_500)), 0);
        assert_eq!(withdrawals(&budget, at(500_000)), 10, "unused seconds do not pile up");
    }

    #[test]
    fn without_ratio_and_rate_nothing_is_retried() {
        let none = Budget::new(&Settings { ratio: 0.0, min_per_second: 0, window: Duration::ZERO });
        none.deposit(at(5));
        assert!(!none.withdraw(at(5)));
    }

    #[test]
    fn a_service_that_fails_every_call_gets_a_fifth_more_and_no_storm() {
        let budget = budget(1);
        let mut retries = 0;
        for millis in 0..60_000 {
            budget.deposit(at(millis));
            retries += (0..2).take_while(|_| budget.withdraw(at(millis))).count();
        }
        assert!((11_900..=12_000 + 70).contains(&retries), "{retries} retries for 60000 requests");
    }

    #[test]
    fn a_clock_that_differs_between_threads_does_no_harm() {
        let budget = budget(0);
        (0..50).for_each(|_| budget.deposit(at(60_000)));
        assert_eq!(withdrawals(&budget, at(0)), 10);
        budget.deposit(Tick::from_nanos(u64::MAX));
    }

    proptest! {
        #[test]
        fn withdrawals_never_exceed_deposits_and_fixed_rate(
            rate in 0_u32..5, steps in prop::collection::vec((0_u64..400, 0_u32..30, 0_u32..30), 1..60),
        ) {
            let budget = budget(rate);
            let (mut now, mut deposits, mut taken) = (0, 0_u32, 0_u32);
            for (millis, requests, wanted) in steps {
                now += millis;
                (0..requests).for_each(|_| budget.deposit(at(now)));
                deposits += requests;
                taken += u32::try_from((0..wanted).filter(|_| budget.withdraw(at(now))).count()).unwrap();
                let fixed = f64::from(rate) * (now as f64 / 1_000.0 + 10.0);
                prop_assert!(f64::from(taken) <= 0.2 * f64::from(deposits) + fixed + 1e-6);
            }
        }
    }
}
