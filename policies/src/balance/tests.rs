//! How the picks fall: shares, shifts and who is left out.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::{time::Tick, verdict::Fault};

fn at(millis: u64) -> Tick {
    // Not zero: the shell's clock has been running for a while.
    Tick::ZERO.after(Duration::from_secs(1_000) + Duration::from_millis(millis))
}

fn listed(name: &str, weight: u32) -> Listed {
    let address: SocketAddr = ([127, 0, 0, 1], 80).into();
    Listed { name: name.into(), address, weight }
}

fn names(count: usize) -> Vec<Listed> {
    (0..count).map(|i| listed(&format!("10.0.0.{i}:8080"), 1)).collect()
}

fn settings(policy: Policy) -> Settings {
    Settings { policy, ..Settings::default() }
}

fn ask(roll: u64, now: Tick) -> Ask<'static> {
    // Tests count upwards; a real roll is random in all its bits.
    Ask {
        roll: roll.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        now,
        hash: Some(key_hash(&roll.to_le_bytes())),
        avoid: &[],
    }
}

/// How often each endpoint is picked in `picks` picks that finish at once.
fn shares(set: &Set, now: Tick, picks: u64) -> Vec<f64> {
    let mut counts = vec![0_u32; set.endpoints().len()];
    for roll in 0..picks {
        counts[set.pick(&ask(roll, now)).unwrap()] += 1;
    }
    counts.into_iter().map(|count| f64::from(count) / picks as f64).collect()
}

fn state(set: &Set, index: usize) -> &EndpointState {
    &set.endpoints()[index].state
}

const POLICIES: [Policy; 3] = [Policy::Hash, Policy::LeastLoad, Policy::RoundRobin];

#[test]
fn nobody_is_picked_from_an_empty_set() {
    for policy in POLICIES {
        assert_eq!(Set::new(settings(policy), vec![]).pick(&ask(1, at(0))), None);
    }
}

#[test]
fn the_only_endpoint_is_picked_even_if_it_was_tried() {
    for policy in POLICIES {
        let set = Set::new(settings(policy), names(1));
        assert_eq!(set.pick(&Ask { avoid: &[0], ..ask(1, at(0)) }), Some(0), "{policy:?}");
    }
}

#[test]
fn equal_endpoints_get_equal_shares() {
    for policy in POLICIES {
        for count in [2, 3, 7] {
            let set = Set::new(settings(policy), names(count));
            for share in shares(&set, at(0), 4_000) {
                assert!((share * count as f64 - 1.0).abs() < 0.15, "{policy:?} {count} {share}");
            }
        }
    }
}

#[test]
fn weights_set_the_shares() {
    for policy in [Policy::Hash, Policy::RoundRobin] {
        let set = Set::new(settings(policy), vec![listed("a", 3), listed("b", 1)]);
        let shares = shares(&set, at(0), 4_000);
        assert!((shares[0] - 0.75).abs() < 0.03, "{policy:?} {shares:?}");
    }
}

/// One row: who fails its probe, who is ejected, who was tried; who may be picked.
#[track_caller]
fn check(failed: &[usize], ejected: &[usize], avoid: &[usize], allowed: &[usize]) {
    for policy in POLICIES {
        let set = Set::new(settings(policy), names(3));
        failed.iter().for_each(|i| state(&set, *i).probe_failed());
        ejected.iter().for_each(|i| state(&set, *i).eject(at(60_000), 1));
        let mut picked: Vec<_> =
            (0..200).filter_map(|roll| set.pick(&Ask { avoid, ..ask(roll, at(0)) })).collect();
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked, allowed, "{policy:?}: failed {failed:?}, ejected {ejected:?}, avoid {avoid:?}");
    }
}

#[test]
fn the_sick_and_the_tried_are_passed_over_as_long_as_there_is_somebody_else() {
    check(&[], &[], &[], &[0, 1, 2]);
    check(&[], &[], &[1], &[0, 2]);
    check(&[0], &[], &[], &[1, 2]);
    check(&[], &[0], &[], &[1, 2]);
    check(&[0], &[1], &[], &[2]);
    // The last one in service is tried again before an ejected one is.
    check(&[0], &[1], &[2], &[2]);
    check(&[], &[], &[0, 1, 2], &[0, 1, 2]);
}

#[test]
fn when_all_are_suspect_all_are_used() {
    check(&[], &[0, 1, 2], &[], &[0, 1, 2]);
    check(&[], &[0, 1, 2], &[0], &[1, 2]);
    check(&[0], &[1, 2], &[], &[1, 2]);
    check(&[0, 1], &[2], &[2], &[2]);
}

#[test]
fn an_endpoint_whose_probe_fails_is_never_picked() {
    check(&[0, 1, 2], &[], &[], &[]);
    check(&[0, 1, 2], &[0, 1, 2], &[0], &[]);
}

#[test]
fn a_passed_probe_brings_an_endpoint_back_slowly() {
    let set = Set::new(settings(Policy::LeastLoad), names(2));
    state(&set, 0).probe_failed();
    assert_eq!(shares(&set, at(0), 100)[0], 0.0);
    state(&set, 0).probe_passed(at(0));
    state(&set, 0).probe_passed(at(5_000));
    assert_eq!(state(&set, 0).ramp(at(5_000), Duration::from_secs(10)), 0.5);
}

#[test]
fn who_comes_back_is_not_shunned_for_what_he_did_before() {
    let back = |come_back: &dyn Fn(&EndpointState)| {
        let at_once = Settings { slow_start: Duration::ZERO, ..settings(Policy::LeastLoad) };
        let set = Set::new(at_once, names(2));
        for _ in 0..10 {
            set.depart(0, at(0)).unwrap().finish(Outcome::Failure, at(2_000));
            set.depart(1, at(0)).unwrap().finish(Outcome::Success, at(2));
        }
        assert_eq!(shares(&set, at(3_000), 100)[0], 0.0);
        come_back(state(&set, 0));
        shares(&set, at(3_000), 100)[0]
    };
    let by_probe = back(&|endpoint| {
        endpoint.probe_failed();
        endpoint.probe_passed(at(2_500));
    });
    let by_time = back(&|endpoint| endpoint.eject(at(2_500), 1));
    assert!(by_probe > 0.4 && by_time > 0.4, "{by_probe} {by_time}");
}

#[test]
fn an_ejected_endpoint_comes_back_by_itself_and_slowly() {
    let set = Set::new(settings(Policy::RoundRobin), names(2));
    state(&set, 0).eject(at(10_000), 1);
    assert_eq!(shares(&set, at(9_999), 100)[0], 0.0);
    let back = shares(&set, at(10_001), 4_000)[0];
    assert!((0.02..0.15).contains(&back), "{back}");
    assert!((shares(&set, at(20_000), 4_000)[0] - 0.5).abs() < 0.01);
}

#[test]
fn a_fresh_endpoints_share_grows_to_its_full_size() {
    for policy in [Policy::LeastLoad, Policy::RoundRobin] {
        let set = Set::new(settings(policy), names(2)).succeed(settings(policy), names(3), at(0));
        let shares: Vec<_> = (0..=10).map(|secs| self::shares(&set, at(secs * 1_000), 5_000)[2]).collect();
        assert!(shares[0] < 0.1, "{policy:?} {shares:?}");
        assert!(shares.is_sorted_by(|a, b| *a <= b + 0.015), "{policy:?} {shares:?}");
        assert!((shares[10] - 1.0 / 3.0).abs() < 0.03, "{policy:?} {shares:?}");
    }
}

#[test]
fn endpoints_that_stay_keep_their_state_and_the_first_set_starts_at_full_share() {
    let first = Set::new(settings(Policy::LeastLoad), names(2));
    first.depart(1, at(0)).unwrap().finish(Outcome::Success, at(30));
    let next = first.succeed(settings(Policy::LeastLoad), names(3), at(50));
    // Faded for 20 of 7,000 ms.
    assert_eq!(state(&next, 1).latency(at(50), next.settings()), Duration::from_micros(29_956));
    assert_eq!(state(&next, 1).ramp(at(50), Duration::from_secs(10)), 1.0);
    assert_eq!(state(&next, 2).ramp(at(50), Duration::from_secs(10)), 0.1);
}

#[test]
fn a_call_is_in_flight_until_its_flight_ends_or_is_dropped() {
    let set = Set::new(settings(Policy::LeastLoad), names(1));
    let mut one = set.depart(0, at(0)).unwrap();
    let two = set.depart(0, at(0)).unwrap();
    one.answered(Outcome::Success, at(10));
    assert_eq!(state(&set, 0).in_flight(), 2);
    drop(two);
    assert_eq!(state(&set, 0).in_flight(), 1);
    one.finish(Outcome::Success, at(9_000));
    assert_eq!(state(&set, 0).in_flight(), 0);
    assert!(
        state(&set, 0).latency(at(10), set.settings()) <= Duration::from_millis(10),
        "bodies do not count"
    );
    assert!(set.depart(1, at(0)).is_none());
}

#[test]
fn neutral_ends_teach_nothing() {
    let set = Set::new(settings(Policy::LeastLoad), names(1));
    set.depart(0, at(0)).unwrap().finish(Outcome::Neutral, at(5_000));
    drop(set.depart(0, at(0)));
    assert_eq!(state(&set, 0).latency(at(5_000), set.settings()), Duration::ZERO);
    assert_eq!(state(&set, 0).trouble(at(5_000), set.settings()), 0.0);
}

#[test]
fn an_endpoint_nobody_has_heard_from_gets_one_call_at_a_time() {
    let set = Set::new(settings(Policy::LeastLoad), names(2));
    set.depart(0, at(0)).unwrap().finish(Outcome::Success, at(10));
    assert_eq!(set.pick(&ask(1, at(10))), Some(1));
    let _waiting = set.depart(1, at(10)).unwrap();
    for roll in 0..50 {
        assert_eq!(set.pick(&ask(roll, at(11))), Some(0));
    }
}

/// A service whose endpoints each answer after a time of their own; requests arrive evenly.
struct Simulation {
    set: Set,
    under_way: Vec<(u64, usize, Flight)>,
}

impl Simulation {
    fn new(policy: Policy, count: usize) -> Self {
        Self { set: Set::new(settings(policy), names(count)), under_way: Vec::new() }
    }

    /// Sends a request every `every` ms in `from..to`; returns each endpoint's share of them.
    fn run(
        &mut self,
        (from, to, every): (u64, u64, u64),
        answer: impl Fn(usize, u64) -> (u64, Outcome),
    ) -> Vec<f64> {
        let mut counts = vec![0.0; self.set.endpoints().len()];
        let mut sent = 0.0;
        for now in from..to {
            let done: Vec<_> = self.under_way.extract_if(.., |(end, ..)| *end <= now).collect();
            done.into_iter().for_each(|(_, i, flight)| flight.finish(answer(i, now).1, at(now)));
            if now % every == 0 {
                let index = self.set.pick(&ask(now, at(now))).unwrap();
                let flight = self.set.depart(index, at(now)).unwrap();
                self.under_way.push((now + answer(index, now).0, index, flight));
                counts[index] += 1.0;
                sent += 1.0;
            }
        }
        counts.into_iter().map(|count| count / sent).collect()
    }
}

#[test]
fn traffic_leaves_an_endpoint_that_slows_from_nothing_to_two_seconds() {
    let mut service = Simulation::new(Policy::LeastLoad, 2);
    let before = service.run((0, 10_000, 5), |_, _| (10, Outcome::Success));
    assert!((before[0] - 0.5).abs() < 0.1, "{before:?}");
    let slow = |index, _| (if index == 0 { 2_000 } else { 10 }, Outcome::Success);
    let within_five_seconds = service.run((10_000, 15_000, 5), slow);
    assert!(within_five_seconds[1] >= 0.9, "{within_five_seconds:?}");
    let after = service.run((15_000, 45_000, 5), slow);
    assert!(after[1] >= 0.97, "{after:?}");
    // And it comes back when the trouble is over.
    let _ = service.run((45_000, 105_000, 5), |_, _| (10, Outcome::Success));
    let healed = service.run((105_000, 115_000, 5), |_, _| (10, Outcome::Success));
    assert!(healed[0] > 0.4, "{healed:?}");
}

#[test]
fn failing_fast_attracts_no_traffic() {
    for outcome in [Outcome::Busy, Outcome::Failure] {
        let mut service = Simulation::new(Policy::LeastLoad, 3);
        let shares = service.run((0, 30_000, 3), |index, _| match index {
            0 => (1, outcome),
            _ => (40, Outcome::Success),
        });
        assert!(shares[0] < 0.03, "{outcome:?} {shares:?}");
    }
}

#[test]
fn a_stray_failure_does_not_banish_an_endpoint() {
    let mut service = Simulation::new(Policy::LeastLoad, 2);
    // One call in a thousand fails, on both.
    let stray =
        |_, now: u64| (20, if now.is_multiple_of(1_000) { Outcome::Failure } else { Outcome::Success });
    let shares = service.run((0, 60_000, 2), stray);
    assert!(shares.iter().all(|share| *share > 0.3), "{shares:?}");
}

#[test]
fn under_load_work_follows_the_weight() {
    let mut service = Simulation::new(Policy::LeastLoad, 0);
    service.set = Set::new(settings(Policy::LeastLoad), vec![listed("a", 3), listed("b", 1)]);
    let shares = service.run((0, 20_000, 1), |_, _| (60, Outcome::Success));
    assert!((shares[0] - 0.75).abs() < 0.05, "{shares:?}");
}

#[test]
fn two_draws_find_the_one_healthy_endpoint_among_many() {
    let set = Set::new(settings(Policy::LeastLoad), names(50));
    (0..49).for_each(|i| state(&set, i).probe_failed());
    assert!((0..200).all(|roll| set.pick(&ask(roll, at(0))) == Some(49)));
}

#[test]
fn the_hash_of_a_key_never_changes() {
    // Replicas of different versions must agree: these numbers are for ever.
    assert_eq!(key_hash(b""), 0xf52a_15e9_a9b5_e89b);
    assert_eq!(key_hash(b"user-7"), 0x9e12_4c98_a398_664e);
}

#[test]
fn outcomes_of_statuses_and_faults() {
    let check =
        |status: u16, want| assert_eq!(Outcome::of_status(status.try_into().unwrap()), want, "{status}");
    check(200, Outcome::Success);
    check(404, Outcome::Success);
    check(429, Outcome::Busy);
    check(500, Outcome::Failure);
    check(501, Outcome::Success);
    check(503, Outcome::Failure);
    assert_eq!(Outcome::of_fault(Fault::UpstreamReset), Outcome::Failure);
    assert_eq!(Outcome::of_fault(Fault::ClientGone), Outcome::Neutral);
}

fn placed(set: &Set, keys: u64) -> Vec<usize> {
    (0..keys).map(|key| set.pick(&ask(key, at(0))).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn when_an_endpoint_leaves_only_its_keys_move(count in 2_usize..12, gone in any::<prop::sample::Index>()) {
        let gone = gone.index(count);
        let before = Set::new(settings(Policy::Hash), names(count));
        let was = placed(&before, 500);
        let mut rest = names(count);
        rest.remove(gone);
        let is = placed(&before.succeed(settings(Policy::Hash), rest, at(0)), 500);
        for (was, is) in was.iter().zip(&is) {
            let is = if *is >= gone { is + 1 } else { *is };
            prop_assert!(*was == gone || *was == is);
        }
        let moved = was.iter().filter(|i| **i == gone).count() as f64 / 500.0;
        prop_assert!(moved <= 1.6 / count as f64 + 0.02, "{} of {}", moved, count);
    }

    #[test]
    fn an_ejected_endpoints_keys_move_and_come_back(count in 2_usize..8) {
        let set = Set::new(settings(Policy::Hash), names(count));
        let was = placed(&set, 200);
        state(&set, 0).probe_failed();
        for (was, is) in was.iter().zip(placed(&set, 200)) {
            prop_assert!(is != 0 && (*was == 0 || *was == is));
        }
        state(&set, 0).probe_passed(at(0));
        prop_assert_eq!(placed(&set, 200), was);
    }

    #[test]
    fn a_pick_is_always_a_place_in_the_set(
        roll: u64, count in 0_usize..9, avoid in prop::collection::vec(0_usize..12, 0..4), nanos: u64, hash: Option<u64>,
    ) {
        for policy in POLICIES {
            let set = Set::new(settings(policy), names(count));
            let ask = Ask { roll, now: Tick::from_nanos(nanos), hash, avoid: &avoid };
            prop_assert_eq!(set.pick(&ask).is_some(), count > 0);
            prop_assert!(set.pick(&ask).is_none_or(|i| i < count));
        }
    }
}
