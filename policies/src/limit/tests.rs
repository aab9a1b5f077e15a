//! Quotas, buckets and what floods and threads must not do to them.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time::Tick;

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;

fn quota(count: u32, per: Duration, burst: u32) -> Gcra {
    Quota { count, per, burst: Some(burst) }.compile().unwrap()
}

fn per_second(count: u32, burst: u32) -> Gcra {
    quota(count, Duration::from_secs(1), burst)
}

fn buckets() -> Buckets {
    Buckets::new(10_000, [1, 2, 3, 4])
}

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn passes(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Allowed { .. })
}

#[test]
fn a_rate_becomes_whole_nanoseconds_and_never_a_more_generous_rate() {
    fn check(count: u32, per_secs: u64, burst: Option<u32>, interval: u64, size: u32) {
        let gcra = Quota { count, per: Duration::from_secs(per_secs), burst }.compile().unwrap();
        assert_eq!(
            (gcra.interval(), gcra.burst()),
            (Duration::from_nanos(interval), size),
            "{count}/{per_secs}s"
        );
    }
    check(100, 1, Some(200), 10_000_000, 200);
    check(100, 1, None, 10_000_000, 100);
    check(5, 60, None, 12_000_000_000, 5);
    check(1, 3600, None, 3_600_000_000_000, 1);
    check(1_000_000, 1, None, 1000, 1_000_000);
    check(3, 1, None, 333_333_334, 3);
    check(7, 1, Some(1), 142_857_143, 1);
    check(u32::MAX, 1, Some(1), 1, 1);
}

#[test]
fn an_impossible_quota_is_refused_in_one_sentence() {
    fn check(count: u32, per: Duration, burst: Option<u32>, refusal: BadQuota) {
        assert_eq!(Quota { count, per, burst }.compile(), Err(refusal));
        assert!(!refusal.to_string().contains('\n'));
    }
    check(0, Duration::from_secs(1), None, BadQuota::Nothing);
    check(1, Duration::from_secs(1), Some(0), BadQuota::Nothing);
    check(1, Duration::ZERO, None, BadQuota::NoPeriod);
    check(1, Duration::from_secs(86_400), Some(105), BadQuota::TooSlow);
    check(1, Duration::MAX, None, BadQuota::TooSlow);
}

#[test]
fn a_bucket_gives_its_burst_and_then_its_rate() {
    let (buckets, gcra) = (buckets(), per_second(10, 3));
    let key = buckets.key(1, "user-7");
    let check = |now: u64, cost: u32, expected: Outcome| {
        assert_eq!(buckets.check(gcra, key, cost, at(now)), expected, "at {now} ns, cost {cost}");
    };
    let allowed =
        |remaining, reset_ms| Outcome::Allowed { remaining, reset_after: Duration::from_millis(reset_ms) };
    let limited = |retry_ms, reset_ms| Outcome::Limited {
        retry_after: Duration::from_millis(retry_ms),
        reset_after: Duration::from_millis(reset_ms),
    };
    check(S, 1, allowed(2, 100));
    check(S, 1, allowed(1, 200));
    check(S, 1, allowed(0, 300));
    check(S, 1, limited(100, 300));
    check(S + 99 * MS, 1, limited(1, 201));
    check(S + 100 * MS, 1, allowed(0, 300));
    check(S + 100 * MS, 2, limited(200, 300));
    check(S + 100 * MS, 0, allowed(0, 300));
    check(10 * S, 3, allowed(0, 300));
    // More than the bucket ever holds: never passes, and is not told to hammer.
    check(20 * S, 4, limited(300, 0));
    check(20 * S, 0, allowed(3, 0));
    check(20 * S, u32::MAX, limited(300, 0));
}

#[test]
fn the_first_request_of_a_process_finds_a_full_bucket_even_at_tick_zero() {
    let (buckets, gcra) = (buckets(), per_second(10, 3));
    assert!(passes(buckets.check(gcra, buckets.key(1, "a"), 3, Tick::ZERO)));
    assert!(!passes(buckets.check(gcra, buckets.key(1, "a"), 1, Tick::ZERO)));
}

#[test]
fn callers_and_policies_do_not_share_buckets() {
    let (buckets, gcra) = (buckets(), per_second(1, 1));
    for key in [buckets.key(1, "a"), buckets.key(1, "b"), buckets.key(2, "a"), buckets.key(2, ("a", "b"))] {
        assert!(passes(buckets.check(gcra, key, 1, at(S))));
        assert!(!passes(buckets.check(gcra, key, 1, at(S))));
    }
}

#[test]
fn a_thread_with_an_older_clock_gets_no_more_and_takes_nothing_away() {
    let (buckets, gcra) = (buckets(), per_second(10, 2));
    let key = buckets.key(1, "a");
    assert!(passes(buckets.check(gcra, key, 1, at(S))));
    assert!(passes(buckets.check(gcra, key, 1, at(S))));
    assert!(!passes(buckets.check(gcra, key, 1, at(S - 500 * MS))));
    assert!(!passes(buckets.check(gcra, key, 1, Tick::ZERO)));
    assert!(passes(buckets.check(gcra, key, 1, at(S + 100 * MS))));
}

#[test]
fn several_limits_take_all_or_nothing() {
    let buckets = buckets();
    let wide = (per_second(10, 10), buckets.key(1, "a"));
    let narrow = (per_second(1, 2), buckets.key(2, "a"));
    let both = [wide, narrow];
    assert_eq!(buckets.check_all(&both, 1, at(S)).by, 1);
    assert!(passes(buckets.check_all(&both, 1, at(S)).outcome));
    let refused = buckets.check_all(&both, 1, at(S));
    assert_eq!((refused.by, passes(refused.outcome)), (1, false));
    assert_eq!(refused, buckets.peek_all(&both, 1, at(S)));
    assert_eq!(buckets.peek(wide.0, wide.1, 8, at(S)), buckets.check(wide.0, wide.1, 8, at(S)));
    assert!(!passes(buckets.peek(wide.0, wide.1, 1, at(S))), "the refused request took nothing");
}

#[test]
fn a_bucket_named_twice_pays_once_and_no_limit_at_all_allows() {
    let buckets = buckets();
    let one = (per_second(1, 1), buckets.key(1, "a"));
    assert!(passes(buckets.check_all(&[one, one], 1, at(S)).outcome));
    assert!(!passes(buckets.check_all(&[one, one], 1, at(S)).outcome));
    assert!(passes(buckets.check_all(&[], 1, at(S)).outcome));
}

#[test]
fn what_is_put_back_can_be_taken_again_and_never_overfills() {
    let (buckets, gcra) = (buckets(), per_second(10, 3));
    let key = buckets.key(1, "a");
    assert!(passes(buckets.check(gcra, key, 3, at(S))));
    buckets.put_back(gcra, key, 2, at(S));
    assert!(passes(buckets.check(gcra, key, 2, at(S))));
    for _ in 0..10 {
        buckets.put_back(gcra, key, u32::MAX, at(S));
    }
    assert!(!passes(buckets.peek(gcra, key, 4, at(S))));
    assert!(passes(buckets.check(gcra, key, 3, at(S))));
    assert!(!passes(buckets.check(gcra, key, 1, at(S))));
    buckets.put_back(gcra, buckets.key(1, "never seen"), 5, at(S));
}

#[test]
fn seven_slots_cost_128_bytes_and_the_cap_is_kept() {
    let (buckets, gcra) = (Buckets::new(100_000, [1, 2, 3, 4]), quota(1, Duration::from_secs(3600), 1));
    let empty = buckets.bytes();
    assert!(empty < 64 * 1024, "nothing is taken in advance: {empty}");
    for caller in 0..300_000u32 {
        buckets.check(gcra, buckets.key(1, caller), 1, at(S));
    }
    let taken = buckets.bytes() - empty;
    assert!((85_000 / 7 * 128..=100_000 / 7 * 128).contains(&taken), "{taken}");
    assert!(buckets.evicted() >= 200_000, "live buckets had to go, and that is counted");
}

#[test]
fn what_has_run_out_makes_room_without_loss() {
    let (buckets, gcra) = (Buckets::new(512, [1, 2, 3, 4]), per_second(1000, 1));
    for caller in 0..100_000u64 {
        // A bucket is full again after a millisecond; at most 20 are live at a time.
        buckets.check(gcra, buckets.key(1, caller), 1, at(S + caller * 50_000));
    }
    assert_eq!(buckets.evicted(), 0);
}

#[test]
fn a_million_one_off_keys_do_not_loosen_the_limits_of_busy_ones() {
    // 100 busy callers at twice their limit of 50/s, for 60 s, in a store far too small for the flood around them. The
    // flood's limit is slow, so each of its buckets stays live for an hour: by nearness to running out alone the
    // busy ones would be the first to go.
    let buckets = Buckets::new(16_384, [1, 2, 3, 4]);
    let (busy, flood) = (per_second(50, 50), quota(1, Duration::from_secs(3600), 1));
    let keys: Vec<_> = (0..100).map(|caller| buckets.key(1, caller)).collect();
    let mut admitted = vec![0u32; keys.len()];
    let steps = 60 * 100;
    for step in 0..steps {
        let now = at(S + step * 10 * MS);
        for (key, admitted) in keys.iter().zip(&mut admitted) {
            *admitted += u32::from(passes(buckets.check(busy, *key, 1, now)));
        }
        for n in 0..1_000_000 / steps + 1 {
            buckets.check(flood, buckets.key(2, (step, n)), 1, now);
        }
    }
    let fair = 50 + 50 * 60;
    for admitted in admitted {
        assert!(admitted.abs_diff(fair) <= fair / 10, "{admitted} admitted, {fair} allowed");
    }
    assert!(buckets.evicted() > 900_000, "{}", buckets.evicted());
}

#[test]
fn threads_together_get_exactly_the_burst() {
    let (buckets, gcra) = (Buckets::with_shards(64, 1), quota(1, Duration::from_secs(3600), 1000));
    let keys = [buckets.key(1, "a"), buckets.key(2, "b")];
    let admitted: usize = std::thread::scope(|scope| {
        let run = |turn: usize| {
            let (buckets, mut limits) = (&buckets, [(gcra, keys[0]), (gcra, keys[1])]);
            limits.rotate_left(turn % 2);
            move || (0..1000).filter(|_| passes(buckets.check_all(&limits, 1, at(S)).outcome)).count()
        };
        let threads: Vec<_> = (0..4).map(|turn| scope.spawn(run(turn))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1000);
}

/// A request: how long after the one before, how late its thread's clock is, its cost.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u64, u32)>> {
    prop::collection::vec((0..400u64, prop_oneof![4 => Just(0u64), 1 => 0..300u64], 0..4u32), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_window_ever_admits_more_than_burst_plus_rate(
        arrivals in arrivals(), count in 1..20u32, burst in 1..12u32
    ) {
        let (buckets, gcra) = (buckets(), quota(count, Duration::from_micros(1), burst));
        let key = buckets.key(1, "a");
        let (mut now, mut admitted) = (1000u64, Vec::new());
        for (gap, late, cost) in arrivals {
            now += gap;
            if passes(buckets.check(gcra, key, cost, at(now - late))) {
                admitted.push((now - late, u64::from(cost)));
            }
        }
        admitted.sort_unstable();
        let interval = u64::try_from(gcra.interval().as_nanos()).unwrap();
        for (first, (from, _)) in admitted.iter().enumerate() {
            let mut sum = 0;
            for (to, cost) in &admitted[first..] {
                sum += cost;
                prop_assert!(sum <= u64::from(burst) + (to - from) / interval, "{sum} in {} ns", to - from);
            }
        }
    }

    #[test]
    fn an_honest_caller_who_waits_as_told_is_let_in(
        arrivals in arrivals(), count in 1..20u32, burst in 4..12u32
    ) {
        let (buckets, gcra) = (buckets(), quota(count, Duration::from_micros(1), burst));
        let key = buckets.key(1, "a");
        let mut now = 0;
        for (gap, _, cost) in arrivals {
            now += gap;
            if let Outcome::Limited { retry_after, .. } = buckets.check(gcra, key, cost, at(now)) {
                let wait = u64::try_from(retry_after.as_nanos()).unwrap();
                prop_assert!(!passes(buckets.peek(gcra, key, cost, at(now + wait - 1))));
                now += wait;
                prop_assert!(passes(buckets.check(gcra, key, cost, at(now))));
            }
        }
    }

    #[test]
    fn looking_says_what_checking_says_and_changes_nothing(arrivals in arrivals(), burst in 1..12u32) {
        let (looked_at, left_alone) = (buckets(), buckets());
        let gcra = quota(5, Duration::from_micros(1), burst);
        let key = looked_at.key(1, "a");
        let mut now = 1000;
        for (gap, late, cost) in arrivals {
            now += gap;
            let seen = looked_at.peek(gcra, key, cost, at(now - late));
            prop_assert_eq!(seen, looked_at.peek_all(&[(gcra, key)], cost, at(now - late)).outcome);
            let checked = looked_at.check(gcra, key, cost, at(now - late));
            prop_assert_eq!(seen, checked);
            prop_assert_eq!(checked, left_alone.check(gcra, key, cost, at(now - late)));
        }
    }

    #[test]
    fn putting_back_never_leaves_more_than_the_burst(
        steps in prop::collection::vec((0..400u64, 0..4u32, any::<bool>()), 1..80), burst in 1..12u32
    ) {
        let (buckets, gcra) = (buckets(), quota(5, Duration::from_micros(1), burst));
        let key = buckets.key(1, "a");
        let mut now = 0;
        for (gap, cost, back) in steps {
            now += gap;
            if back {
                buckets.put_back(gcra, key, cost, at(now));
            } else {
                buckets.check(gcra, key, cost, at(now));
            }
            prop_assert!(!passes(buckets.peek(gcra, key, burst + 1, at(now))));
            let Outcome::Allowed { remaining, .. } = buckets.peek(gcra, key, 0, at(now)) else { unreachable!() };
            prop_assert!(remaining <= burst);
        }
    }

    #[test]
    fn a_grant_is_as_many_single_checks_as_pass(
        steps in prop::collection::vec((0..3_000u64, 0..20u32), 1..60), burst in 1..12u32
    ) {
        let (buckets, gcra) = (buckets(), quota(3, Duration::from_micros(1), burst));
        let key = buckets.key(1, "a");
        let (mut now, mut full_at) = (0, Tick::ZERO);
        for (gap, want) in steps {
            now += gap;
            let granted = grant(full_at, gcra, want, at(now));
            full_at = granted.full_at;
            let singly = (0..want).filter(|_| passes(buckets.check(gcra, key, 1, at(now)))).count();
            prop_assert_eq!(usize::try_from(granted.granted).unwrap(), singly);
            let next = match buckets.peek(gcra, key, 1, at(now)) {
                Outcome::Allowed { .. } => Duration::ZERO,
                Outcome::Limited { retry_after, .. } => retry_after,
            };
            prop_assert_eq!(granted.retry_after, next);
        }
    }

    /// What a store's script does when its numbers are doubles: microseconds since 1970, and a debt in nanoseconds.
    #[test]
    fn a_script_with_doubles_grants_the_same(
        steps in prop::collection::vec((0..30_000_000u64, 0..300u32), 1..60),
        count in 1..5_000u32, burst in 1..500u32
    ) {
        let gcra = quota(count, Duration::from_secs(7), burst);
        let interval = gcra.interval().as_nanos() as f64;
        let fill = interval * f64::from(burst);
        let mut micros = 1_795_000_000_000_000u64;
        let (mut full_at, mut last, mut debt) = (Tick::ZERO, 0.0f64, 0.0f64);
        for (gap, want) in steps {
            micros += gap;
            let law = grant(full_at, gcra, want, at(micros * 1000));
            full_at = law.full_at;

            let clock = micros as f64;
            debt = (debt - (clock - last) * 1000.0).max(0.0);
            let granted = f64::from(want).min(((fill - debt) / interval).floor());
            debt += granted * interval;
            last = clock;
            let retry_after = (debt + interval - fill).max(0.0);

            prop_assert_eq!(f64::from(law.granted), granted);
            prop_assert_eq!(law.retry_after.as_nanos() as f64, retry_after);
        }
    }
}
