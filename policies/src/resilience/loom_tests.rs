//! Every interleaving of threads that share a breaker, a budget or a bulkhead.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::{self, Breaker};
use super::budget::{self, Budget};
use super::bulkhead::{self, Bulkhead, Entry};
use crate::balance::Outcome;
use crate::time::Tick;

const NOW: Tick = Tick::from_nanos(1_000);

#[test]
fn loom_a_budget_never_pays_out_more_than_was_paid_in() {
    loom::model(|| {
        let settings = budget::Settings { ratio: 1.0, min_per_second: 0, ..budget::Settings::default() };
        let budget = Arc::new(Budget::new(&settings));
        budget.deposit(NOW);
        let other = Arc::clone(&budget);
        let thread = loom::thread::spawn(move || u32::from(other.withdraw(NOW)));
        let ours = u32::from(budget.withdraw(NOW));
        assert_eq!(ours + thread.join().unwrap(), 1);
    });
}

#[test]
fn loom_a_bulkhead_never_has_more_inside_than_it_holds_and_frees_every_place() {
    loom::model(|| {
        let settings = bulkhead::Settings { max: 1, queue: 0, wait: Duration::ZERO };
        let bulkhead = Arc::new(Bulkhead::new(settings));
        let other = Arc::clone(&bulkhead);
        let thread = loom::thread::spawn(move || {
            let entry = other.enter(NOW);
            assert!(other.inside() <= 1);
            drop(entry);
        });
        let entry = bulkhead.enter(NOW);
        assert!(bulkhead.inside() <= 1);
        drop(entry);
        thread.join().unwrap();
        assert_eq!((bulkhead.inside(), bulkhead.waiting()), (0, 0));
        assert!(matches!(bulkhead.enter(NOW), Ok(Entry::Inside(_))));
    });
}

#[test]
fn loom_one_waiter_gets_the_place_that_becomes_free() {
    loom::model(|| {
        let settings = bulkhead::Settings { max: 1, queue: 1, wait: Duration::from_secs(1) };
        let bulkhead = Arc::new(Bulkhead::new(settings));
        let Ok(Entry::Inside(place)) = bulkhead.enter(NOW) else { panic!("there is room") };
        let Ok(Entry::Waiting(mut ticket)) = bulkhead.enter(NOW) else { panic!("there is room in the line") };
        let thread = loom::thread::spawn(move || drop(place));
        let early = ticket.try_enter();
        thread.join().unwrap();
        let place = early.or_else(|| ticket.try_enter());
        assert!(place.is_some());
        assert_eq!((bulkhead.inside(), bulkhead.waiting()), (1, 0));
    });
}

#[test]
fn loom_a_half_open_breaker_lets_out_its_probes_and_no_more() {
    loom::model(|| {
        let settings = breaker::Settings {
            open_at: 0.5,
            volume: 1,
            window: Duration::from_secs(10),
            stay_open: Duration::from_secs(1),
            probes: 1,
        };
        let breaker = Arc::new(Breaker::new(settings));
        let pass = breaker.allow(NOW).unwrap();
        assert!(breaker.record(pass, Outcome::Failure, NOW).is_some());
        let later = NOW.after(Duration::from_secs(2));
        let other = Arc::clone(&breaker);
        let thread = loom::thread::spawn(move || u32::from(other.allow(later).is_ok()));
        let ours = u32::from(breaker.allow(later).is_ok());
        assert_eq!(ours + thread.join().unwrap(), 1);
    });
}
