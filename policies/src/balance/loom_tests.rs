//! Every interleaving of threads that share an endpoint.

use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::time::Tick;

fn set() -> Arc<Set> {
    let address: SocketAddr = ([127, 0, 0, 1], 80).into();
    let listed = vec![Listed { name: "a".into(), address, weight: 1 }];
    Arc::new(Set::new(Settings::default(), listed))
}

#[test]
fn loom_no_call_is_lost_from_the_count_in_flight() {
    loom::model(|| {
        let set = set();
        let other = Arc::clone(&set);
        let thread = loom::thread::spawn(move || {
            let flight = other.depart(0, Tick::ZERO).unwrap();
            assert!((1..=2).contains(&other.endpoints()[0].state.in_flight()));
            flight.finish(Outcome::Success, Tick::from_nanos(5_000));
        });
        drop(set.depart(0, Tick::ZERO).unwrap());
        thread.join().unwrap();
        assert_eq!(set.endpoints()[0].state.in_flight(), 0);
    });
}

#[test]
fn loom_window_loses_no_count_when_a_slot_is_taken_over() {
    use window::{Count, Window};
    loom::model(|| {
        let window = Arc::new(Window::new(Duration::from_nanos(10)));
        window.add(Count::Failed, Tick::from_nanos(1));
        let other = Arc::clone(&window);
        let now = Tick::from_nanos(11);
        let thread = loom::thread::spawn(move || other.add(Count::Failed, now));
        window.add(Count::Passed, now);
        thread.join().unwrap();
        let counts = window.counts(now);
        assert_eq!((counts.failed, counts.passed), (1, 1));
    });
}
