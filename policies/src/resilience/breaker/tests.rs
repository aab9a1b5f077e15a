//! When a breaker opens, lets probes out, and closes.

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Tick {
    Tick::ZERO.after(Duration::from_millis(millis))
}

fn breaker() -> Breaker {
    Breaker::new(Settings::default())
}

fn call(breaker: &Breaker, outcome: Outcome, now: Tick) -> Option<Change> {
    breaker.record(breaker.allow(now).unwrap(), outcome, now)
}

fn calls(breaker: &Breaker, count: u32, outcome: Outcome, now: Tick) -> Vec<Change> {
    (0..count).filter_map(|_| call(breaker, outcome, now)).collect()
}

/// Opened at 0, so that it probes from 5,000 on.
fn opened() -> Breaker {
    let breaker = breaker();
    assert_eq!(calls(&breaker, 20, Outcome::Failure, at(0)).len(), 1);
    breaker
}

fn phase(breaker: &Breaker, now: Tick) -> Phase {
    breaker.observe(now).phase
}

#[test]
fn it_opens_when_enough_of_enough_calls_failed_and_says_why() {
    let breaker = breaker();
    assert_eq!(calls(&breaker, 8, Outcome::Success, at(0)), []);
    assert_eq!(calls(&breaker, 11, Outcome::Failure, at(1)), []);
    let change = call(&breaker, Outcome::Failure, at(2)).unwrap();
    assert_eq!(
        change.to_string(),
        "opened: 12 of 20 calls failed (60 %) within 10 s; limit 50 %; stays open 5 s"
    );
    assert_eq!(breaker.allow(at(1_002)).unwrap_err().retry_after, Duration::from_secs(4));
    assert_eq!(Denial::from(breaker.allow(at(3)).unwrap_err()), Denial::BreakerOpen);
}

#[test]
fn few_calls_open_nothing_however_they_went() {
    let breaker = breaker();
    assert_eq!(calls(&breaker, 19, Outcome::Failure, at(0)), []);
    // The first nineteen are forgotten when the next nineteen come.
    assert_eq!(calls(&breaker, 19, Outcome::Failure, at(11_000)), []);
    assert_eq!(phase(&breaker, at(11_000)), Phase::Closed);
}

#[test]
fn a_rate_below_the_limit_opens_nothing() {
    let breaker = breaker();
    assert_eq!(calls(&breaker, 51, Outcome::Success, at(0)), []);
    assert_eq!(calls(&breaker, 50, Outcome::Failure, at(0)), []);
    assert_eq!(calls(&breaker, 1, Outcome::Failure, at(0)).len(), 1);
}

#[test]
fn a_success_never_opens_it_and_neutral_ends_do_not_count() {
    let breaker = breaker();
    calls(&breaker, 19, Outcome::Failure, at(0));
    assert_eq!(calls(&breaker, 30, Outcome::Neutral, at(0)), []);
    assert_eq!(call(&breaker, Outcome::Success, at(0)), None);
    assert_eq!(breaker.observe(at(0)).calls, 20);
    assert_eq!(phase(&breaker, at(0)), Phase::Closed);
}

#[test]
fn refusals_of_one_caller_as_too_many_do_not_open_it_for_all() {
    let breaker = breaker();
    assert_eq!(calls(&breaker, 100, Outcome::Busy, at(0)), []);
}

#[test]
fn a_fixed_number_of_probes_go_out_and_all_must_pass() {
    let breaker = opened();
    let probes: Vec<_> = (0..3).map(|_| breaker.allow(at(5_000)).unwrap()).collect();
    assert!(probes.iter().all(Pass::is_probe));
    assert!(breaker.allow(at(5_000)).is_err(), "the fourth waits");
    let changes: Vec<_> =
        probes.into_iter().filter_map(|p| breaker.record(p, Outcome::Success, at(5_100))).collect();
    assert_eq!(changes, [Change::Closed { probes: 3 }]);
    assert_eq!(changes[0].to_string(), "closed: 3 of 3 probes passed");
    assert!(!breaker.allow(at(5_100)).unwrap().is_probe());
    assert_eq!(breaker.observe(at(5_100)).calls, 0, "it begins with a clean window");
}

#[test]
fn probes_that_passed_do_not_make_room_for_more() {
    let breaker = opened();
    let probes: Vec<_> = (0..3).map(|_| breaker.allow(at(5_000)).unwrap()).collect();
    for probe in probes.into_iter().take(2) {
        assert_eq!(breaker.record(probe, Outcome::Success, at(5_001)), None);
    }
    assert!(breaker.allow(at(5_002)).is_err());
    assert_eq!(breaker.observe(at(5_002)).probes_passed, 2);
}

#[test]
fn one_failed_probe_opens_it_again() {
    let breaker = opened();
    let first = breaker.allow(at(5_000)).unwrap();
    let second = breaker.allow(at(5_000)).unwrap();
    assert_eq!(breaker.record(first, Outcome::Success, at(5_010)), None);
    let change = breaker.record(second, Outcome::Failure, at(5_020)).unwrap();
    assert_eq!(change.to_string(), "opened again: a probe failed; stays open 5 s");
    assert_eq!(breaker.allow(at(5_020)).unwrap_err().retry_after, Duration::from_secs(5));
    assert!(breaker.allow(at(10_020)).unwrap().is_probe());
}

#[test]
fn stragglers_count_neither_against_half_open_nor_against_closed() {
    let breaker = breaker();
    let mut stragglers: Vec<_> = (0..100).map(|_| breaker.allow(at(0)).unwrap()).collect();
    calls(&breaker, 20, Outcome::Failure, at(0));
    let mut late = |count: usize, now| {
        for pass in stragglers.drain(..count) {
            assert_eq!(breaker.record(pass, Outcome::Failure, now), None);
        }
    };
    late(30, at(1_000));
    let probes: Vec<_> = (0..3).map(|_| breaker.allow(at(5_000)).unwrap()).collect();
    late(30, at(5_001));
    assert_eq!(phase(&breaker, at(5_001)), Phase::HalfOpen);
    let closed = probes.into_iter().filter_map(|p| breaker.record(p, Outcome::Success, at(5_002))).count();
    assert_eq!(closed, 1);
    late(40, at(5_003));
    assert_eq!(phase(&breaker, at(5_003)), Phase::Closed);
}

#[test]
fn a_probe_of_an_earlier_trial_is_a_straggler_too() {
    let breaker = opened();
    let old = breaker.allow(at(5_000)).unwrap();
    let failed = breaker.allow(at(5_000)).unwrap();
    assert!(breaker.record(failed, Outcome::Failure, at(5_001)).is_some());
    let _new = breaker.allow(at(10_001)).unwrap();
    assert_eq!(breaker.record(old, Outcome::Failure, at(10_002)), None);
    assert_eq!(phase(&breaker, at(10_002)), Phase::HalfOpen);
}

#[test]
fn lost_probes_do_not_wedge_it() {
    let breaker = opened();
    (0..3).for_each(|_| drop(breaker.allow(at(5_000)).unwrap()));
    let refused = breaker.allow(at(6_000)).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(4));
    assert_eq!(calls(&breaker, 3, Outcome::Success, at(10_000)), [Change::Closed { probes: 3 }]);
}

#[test]
fn a_probe_whose_client_went_away_gives_its_place_back_at_once() {
    let breaker = opened();
    assert_eq!(calls(&breaker, 50, Outcome::Neutral, at(5_000)), []);
    assert_eq!(calls(&breaker, 3, Outcome::Success, at(5_000)).len(), 1);
}

#[test]
fn a_service_slower_than_the_lease_can_still_close_it() {
    let breaker = opened();
    let mut slow = Vec::new();
    for start in [5_000, 10_000, 15_000] {
        slow.push(breaker.allow(at(start)).unwrap());
    }
    let changes: Vec<_> =
        slow.into_iter().filter_map(|p| breaker.record(p, Outcome::Success, at(20_000))).collect();
    assert_eq!(changes, [Change::Closed { probes: 3 }]);
}

#[test]
fn settings_of_zero_are_harmless() {
    let zero =
        Settings { open_at: 0.0, volume: 0, window: Duration::ZERO, stay_open: Duration::ZERO, probes: 0 };
    let breaker = Breaker::new(zero);
    assert_eq!(calls(&breaker, 3, Outcome::Success, at(0)), []);
    assert!(call(&breaker, Outcome::Failure, at(0)).is_some());
    assert_eq!(call(&breaker, Outcome::Success, at(1)), Some(Change::Closed { probes: 1 }));
}

proptest! {
    /// Whatever happens, a breaker that is called by a healthy service for long enough is closed.
    #[test]
    fn it_always_finds_its_way_back(
        calls in prop::collection::vec((0_u64..3_000, 0_u8..4, any::<bool>()), 0..120),
    ) {
        let (breaker, mut now, mut kept) = (breaker(), 0, Vec::new());
        for (step, end, keep) in calls {
            now += step;
            let Ok(pass) = breaker.allow(at(now)) else { continue };
            if keep {
                kept.push(pass);
                continue;
            }
            let outcomes = [Outcome::Busy, Outcome::Failure, Outcome::Neutral, Outcome::Success];
            breaker.record(pass, outcomes[usize::from(end)], at(now));
        }
        drop(kept);
        for _ in 0..8 {
            now += 5_000;
            if let Ok(pass) = breaker.allow(at(now)) {
                breaker.record(pass, Outcome::Success, at(now));
            }
        }
        prop_assert_eq!(phase(&breaker, at(now)), Phase::Closed);
    }

    #[test]
    fn never_more_probes_than_set_are_out_at_once(probes in 1_u32..6, asked in 1_u32..20) {
        let breaker = Breaker::new(Settings { probes, ..Settings::default() });
        calls(&breaker, 20, Outcome::Failure, at(0));
        let out: Vec<_> = (0..asked).filter_map(|_| breaker.allow(at(5_000)).ok()).collect();
        prop_assert_eq!(u32::try_from(out.len()).unwrap(), asked.min(probes));
    }
}
