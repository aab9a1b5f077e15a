//! Which endpoint is left out, and for how long.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::balance::{self, Ask, Listed};

fn at(secs: u64) -> Tick {
    Tick::ZERO.after(Duration::from_secs(1_000 + secs))
}

fn set(count: usize) -> Set {
    let address: SocketAddr = ([127, 0, 0, 1], 80).into();
    let listed = (0..count).map(|i| Listed { name: format!("e{i}"), address, weight: 1 }).collect();
    Set::new(balance::Settings::default(), listed)
}

fn outliers() -> Outliers {
    Outliers::new(Settings::default())
}

fn fail(outliers: &Outliers, set: &Set, index: usize, times: u32, now: Tick) -> Vec<Ejection> {
    (0..times).filter_map(|_| outliers.record(set, index, Outcome::Failure, now)).collect()
}

fn out(set: &Set, now: Tick) -> Vec<usize> {
    let ejected = |i: &usize| set.endpoints()[*i].state.is_ejected(now);
    (0..set.endpoints().len()).filter(ejected).collect()
}

#[test]
fn five_failures_in_a_row_take_an_endpoint_out_and_time_brings_it_back() {
    let (outliers, set) = (outliers(), set(3));
    assert_eq!(fail(&outliers, &set, 1, 4, at(0)), []);
    let ejections = fail(&outliers, &set, 1, 5, at(0));
    assert_eq!(ejections.len(), 1, "reported once");
    assert_eq!(ejections[0].to_string(), "ejected e1 for 10 s: 5 failures in a row");
    assert_eq!(out(&set, at(9)), [1]);
    assert!((0..50).all(|roll| set.pick(&Ask { roll, now: at(9), ..Ask::default() }) != Some(1)));
    assert!(out(&set, at(10)).is_empty());
}

#[test]
fn a_success_ends_the_row_a_429_or_an_absent_client_does_not() {
    let (outliers, set) = (outliers(), set(3));
    fail(&outliers, &set, 0, 4, at(0));
    outliers.record(&set, 0, Outcome::Success, at(0));
    assert_eq!(fail(&outliers, &set, 0, 4, at(0)), []);
    outliers.record(&set, 0, Outcome::Busy, at(0));
    outliers.record(&set, 0, Outcome::Neutral, at(0));
    assert_eq!(fail(&outliers, &set, 0, 1, at(0)).len(), 1);
}

#[test]
fn an_endpoint_that_fails_far_more_often_than_the_others_is_taken_out() {
    let (outliers, set) = (outliers(), set(3));
    for call in 0..40 {
        outliers.record(&set, 1, Outcome::Success, at(0));
        outliers.record(&set, 2, if call % 10 == 0 { Outcome::Failure } else { Outcome::Success }, at(0));
    }
    let every_other = (0..20).flat_map(|_| [Outcome::Success, Outcome::Failure]);
    let ejections: Vec<_> = every_other.filter_map(|end| outliers.record(&set, 0, end, at(0))).collect();
    assert_eq!(ejections[0].to_string(), "ejected e0 for 10 s: 50 % of its calls failed, 5 % of the others'");
}

#[test]
fn where_all_fail_alike_nobody_stands_out() {
    let (outliers, set) = (outliers(), set(3));
    for _ in 0..50 {
        for index in 0..3 {
            assert_eq!(outliers.record(&set, index, Outcome::Success, at(0)), None);
            assert_eq!(outliers.record(&set, index, Outcome::Failure, at(0)), None);
        }
    }
}

#[test]
fn no_more_than_the_share_is_out_and_never_the_last() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (10, 5)] {
        let (outliers, set) = (outliers(), set(count));
        (0..count).for_each(|index| drop(fail(&outliers, &set, index, 50, at(0))));
        assert_eq!(out(&set, at(0)).len(), most, "of {count}");
    }
    let all = Outliers::new(Settings { max_ejected: 1.0, ..Settings::default() });
    let set = set(4);
    (0..4).for_each(|index| drop(fail(&all, &set, index, 50, at(0))));
    assert_eq!(out(&set, at(0)), [0, 1, 2]);
}

#[test]
fn an_endpoint_is_not_taken_out_if_the_others_fail_their_probes() {
    let (outliers, set) = (outliers(), set(4));
    [1, 2, 3].into_iter().for_each(|i| set.endpoints()[i].state.probe_failed());
    assert_eq!(fail(&outliers, &set, 0, 50, at(0)), []);
}

#[test]
fn ejections_in_a_row_grow_and_good_conduct_is_forgiven() {
    let (outliers, set) = (outliers(), set(2));
    let mut now = at(0);
    let mut lengths = Vec::new();
    for _ in 0..7 {
        let ejection = fail(&outliers, &set, 0, 5, now).remove(0);
        lengths.push(ejection.lasts.as_secs());
        now = now.after(ejection.lasts);
    }
    assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
    let much_later = now.after(Duration::from_secs(300));
    assert_eq!(fail(&outliers, &set, 0, 5, much_later)[0].lasts, Duration::from_secs(10));
}

#[test]
fn stragglers_do_not_lengthen_an_ejection() {
    let (outliers, set) = (outliers(), set(2));
    assert_eq!(fail(&outliers, &set, 0, 500, at(0)).len(), 1);
    assert!(out(&set, at(10)).is_empty());
    assert_eq!(fail(&outliers, &set, 0, 4, at(10)), [], "it comes back with a clean slate");
}

#[test]
fn a_place_that_is_not_in_the_set_is_no_endpoint() {
    assert_eq!(outliers().record(&set(2), 7, Outcome::Failure, at(0)), None);
}

proptest! {
    #[test]
    fn somebody_is_always_in_service(count in 1_usize..6, ends in prop::collection::vec((0_usize..6, any::<bool>(), 0_u64..4), 1..150)) {
        let (outliers, set, mut now) = (Outliers::new(Settings { max_ejected: 1.0, ..Settings::default() }), set(count), 0);
        for (index, failed, step) in ends {
            now += step;
            let outcome = if failed { Outcome::Failure } else { Outcome::Success };
            outliers.record(&set, index, outcome, at(now));
            prop_assert!(out(&set, at(now)).len() < count);
        }
    }
}
