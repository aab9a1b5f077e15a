//! Counts over a sliding window.

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Tick {
    Tick::ZERO.after(Duration::from_millis(millis))
}

fn window() -> Window {
    Window::new(Duration::from_secs(10))
}

#[test]
fn a_count_is_seen_for_the_length_of_the_window_and_no_longer() {
    let window = window();
    window.add(Count::Failed, at(500));
    assert_eq!(window.counts(at(500)), Counts { failed: 1, passed: 0 });
    assert_eq!(window.counts(at(9_999)).calls(), 1);
    assert_eq!(window.counts(at(10_000)).calls(), 0);
}

#[test]
fn a_slot_is_emptied_when_its_turn_comes_again() {
    let window = window();
    for _ in 0..5 {
        window.add(Count::Failed, at(100));
    }
    window.add(Count::Passed, at(10_100));
    assert_eq!(window.counts(at(10_100)), Counts { failed: 0, passed: 1 });
}

#[test]
fn a_thread_that_is_a_whole_turn_late_counts_nothing() {
    let window = window();
    window.add(Count::Passed, at(10_100));
    window.add(Count::Failed, at(100));
    assert_eq!(window.counts(at(10_100)), Counts { failed: 0, passed: 1 });
}

#[test]
fn a_full_slot_stands_still() {
    let full = COUNT_MAX | (7 << COUNT_BITS);
    assert_eq!(added(full, 0, Count::Failed), Some(full));
    assert_eq!(added(full, 0, Count::Passed).map(counts_of).map(|c| c.passed), Some(8));
}

#[test]
fn an_empty_window_has_no_failure_rate() {
    assert_eq!(Counts::default().failure_rate(), 0.0);
}

proptest! {
    /// Against the plain way of counting: a list of all calls with their times.
    #[test]
    fn agrees_with_a_list_of_calls(steps in prop::collection::vec((0_u64..3_000, any::<bool>()), 1..80)) {
        let (window, mut calls, mut now) = (window(), Vec::new(), 0);
        for (step, failed) in steps {
            now += step;
            window.add(if failed { Count::Failed } else { Count::Passed }, at(now));
            calls.push((now, failed));
            let recent = |want| calls.iter().filter(|(t, f)| now / 1000 - t / 1000 < 10 && *f == want).count();
            let counts = window.counts(at(now));
            prop_assert_eq!(counts.failed as usize, recent(true));
            prop_assert_eq!(counts.passed as usize, recent(false));
        }
    }
}
