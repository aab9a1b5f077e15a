//! Quantities: text in, canonical text out, or what is wrong with it.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;

/// Text in, canonical text out; or the error.
fn check<U: Unit + Debug + fmt::Display>(rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        let found = text.parse::<U>().map_or_else(|e| e.to_string(), |value| value.to_string());
        assert_eq!(&found, expected, "{text}");
    }
}

#[test]
fn durations_carry_their_unit() {
    check::<Wait>(&[
        ("200ms", "200ms"),
        ("3s", "3s"),
        ("90s", "90s"),
        ("120s", "2m"),
        ("0.3s", "300ms"),
        ("1.5 h", "90m"),
        ("0s", "0s"),
        ("24h", "1d"),
        ("5", "`5` has no unit: expected a duration such as 200ms, 3s, 10m or 1h"),
        ("-5s", "`-5s` is not a duration such as 200ms, 3s, 10m or 1h"),
        ("5 parsecs", "`5 parsecs` is not a duration such as 200ms, 3s, 10m or 1h"),
        ("", "`` is not a duration such as 200ms, 3s, 10m or 1h"),
        ("999999999999d", "`999999999999d` is longer than a hundred years"),
    ]);
}

#[test]
fn rates_are_so_many_in_a_time() {
    check::<Rate>(&[
        ("100/s", "100/s"),
        ("5 / m", "5/m"),
        ("20/10s", "20/10s"),
        ("60/60s", "60/m"),
        ("100", "`100` has no unit: expected a rate such as 100/s, 5/m or 20/10s"),
        ("0/s", "`0/s` lets nothing through: to close a route, give it an answer instead"),
        ("1.5/s", "`1.5/s` is not a rate such as 100/s, 5/m or 20/10s"),
        ("10/fortnight", "`10/fortnight` is not a rate such as 100/s, 5/m or 20/10s"),
    ]);
}

#[test]
fn shares_lie_between_nothing_and_all() {
    check::<Share>(&[
        ("5%", "5%"),
        ("0.1%", "0.1%"),
        ("100 %", "100%"),
        ("0%", "0%"),
        ("101%", "`101%` is not a share such as 5% or 0.1%, from 0% to 100%"),
        ("0.05", "`0.05` has no unit: expected a share such as 5% or 0.1%, from 0% to 100%"),
        ("-1%", "`-1%` is not a share such as 5% or 0.1%, from 0% to 100%"),
        ("NaN%", "`NaN%` is not a share such as 5% or 0.1%, from 0% to 100%"),
    ]);
}

#[test]
fn sizes_count_by_1024_or_by_1000_as_they_say() {
    check::<Bytes>(&[
        ("64KiB", "64KiB"),
        ("1.5MiB", "1536KiB"),
        ("10MB", "10MB"),
        ("0B", "0B"),
        ("64K", "`64K` is not a size such as 500B, 64KiB or 10MiB"),
        ("64", "`64` has no unit: expected a size such as 500B, 64KiB or 10MiB"),
    ]);
}

#[test]
fn a_breaker_threshold_can_be_said_aloud() {
    let expected =
        "a threshold such as `50% of 20 in 10s` (share of failures, least number of calls, window)";
    check::<OpenAt>(&[
        ("50% of 20 in 10s", "50% of 20 in 10s"),
        ("50%", &format!("`50%` is not {expected}")),
        ("0% of 20 in 10s", &format!("`0% of 20 in 10s` is not {expected}")),
        ("50% of 0 in 10s", &format!("`50% of 0 in 10s` is not {expected}")),
    ]);
}

#[test]
fn a_share_holds_its_part_of_all_rolls() {
    assert!(!Share::NONE.holds(0));
    assert!(Share::ALL.holds(u64::MAX));
    let five = Share::from_millionths(50_000);
    let held = (0..10_000_u64).filter(|i| five.holds(i * (u64::MAX / 10_000))).count();
    assert!((495..=505).contains(&held), "{held}");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(ms in 0_u64..10_000_000_000, count in 1_u32.., part in 0_u32..=1_000_000) {
        let wait = Wait(Duration::from_millis(ms));
        prop_assert_eq!(wait.to_string().parse::<Wait>(), Ok(wait));
        let rate = Rate { count, per: Duration::from_secs(u64::from(part) + 1) };
        prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        let share = Share::from_millionths(part);
        prop_assert_eq!(share.to_string().parse::<Share>(), Ok(share));
        let bytes = Bytes(u64::from(count));
        prop_assert_eq!(bytes.to_string().parse::<Bytes>(), Ok(bytes));
    }

    #[test]
    fn a_larger_share_holds_all_that_a_smaller_one_does(roll: u64, small in 0_u32..=1_000_000, more in 0_u32..=1_000_000) {
        let (small, large) = (Share::from_millionths(small), Share::from_millionths(small.saturating_add(more)));
        prop_assert!(!small.holds(roll) || large.holds(roll));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,40}") {
        let _ = (text.parse::<Wait>(), text.parse::<Rate>(), text.parse::<Share>(), text.parse::<Bytes>(), text.parse::<OpenAt>());
    }
}
