//! Who gets in, who waits, who is turned away.

#![allow(clippy::cast_possible_truncation, reason = "a handful of places")]

use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::*;

fn bulkhead(max: u32, queue: u32) -> Arc<Bulkhead> {
    Arc::new(Bulkhead::new(Settings { max, queue, wait: Duration::from_millis(200) }))
}

#[track_caller]
fn inside(bulkhead: &Arc<Bulkhead>) -> Place {
    match bulkhead.enter(Tick::ZERO) {
        Ok(Entry::Inside(place)) => place,
        Ok(Entry::Waiting(_)) => panic!("must wait"),
        Err(denial) => panic!("{denial}"),
    }
}

#[track_caller]
fn waiting(bulkhead: &Arc<Bulkhead>) -> Ticket {
    match bulkhead.enter(Tick::ZERO) {
        Ok(Entry::Waiting(ticket)) => ticket,
        Ok(Entry::Inside(_)) => panic!("went in"),
        Err(denial) => panic!("{denial}"),
    }
}

#[track_caller]
fn check(bulkhead: &Bulkhead, inside: u32, waiting: u32) {
    assert_eq!((bulkhead.inside(), bulkhead.waiting()), (inside, waiting));
}

/// Counts how often it is rung.
#[derive(Default)]
struct Bell(AtomicUsize);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn poll(ticket: &mut Ticket, bell: &Arc<Bell>) -> Poll<Place> {
    let waker = Waker::from(Arc::clone(bell));
    Pin::new(ticket).poll(&mut Context::from_waker(&waker))
}

#[test]
fn so_many_go_in_so_many_wait_and_the_rest_are_refused() {
    let bulkhead = bulkhead(2, 1);
    let _places = (inside(&bulkhead), inside(&bulkhead));
    let _ticket = waiting(&bulkhead);
    assert!(matches!(bulkhead.enter(Tick::ZERO), Err(Denial::BulkheadFull)));
    check(&bulkhead, 2, 1);
}

#[test]
fn a_place_is_free_again_when_it_is_dropped() {
    let bulkhead = bulkhead(1, 0);
    drop(inside(&bulkhead));
    check(&bulkhead, 0, 0);
    drop(inside(&bulkhead));
}

#[test]
fn a_freed_place_goes_to_the_first_in_line_and_wakes_only_them() {
    let bulkhead = bulkhead(1, 5);
    let place = inside(&bulkhead);
    let (mut first, mut second) = (waiting(&bulkhead), waiting(&bulkhead));
    let (bell, other) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    assert!(poll(&mut first, &bell).is_pending());
    assert!(poll(&mut second, &other).is_pending());
    drop(place);
    assert_eq!((bell.rung(), other.rung()), (1, 0));
    assert!(second.try_enter().is_none());
    let place = first.try_enter().unwrap();
    check(&bulkhead, 1, 1);
    drop(place);
    assert_eq!(other.rung(), 1);
    assert!(poll(&mut second, &other).is_ready());
}

#[test]
fn a_newcomer_does_not_overtake() {
    let bulkhead = bulkhead(1, 5);
    let place = inside(&bulkhead);
    let mut first = waiting(&bulkhead);
    drop(place);
    // The place has been handed over, though `first` has not looked yet.
    let mut newcomer = waiting(&bulkhead);
    assert!(newcomer.try_enter().is_none());
    assert!(first.try_enter().is_some());
}

#[test]
fn who_gives_up_leaves_the_line() {
    let bulkhead = bulkhead(1, 2);
    let place = inside(&bulkhead);
    let (first, mut second) = (waiting(&bulkhead), waiting(&bulkhead));
    assert_eq!(first.deadline(), Tick::ZERO.after(Duration::from_millis(200)));
    assert_eq!(first.give_up(), Denial::BulkheadTimeout);
    check(&bulkhead, 1, 1);
    drop(place);
    assert!(second.try_enter().is_some());
}

#[test]
fn who_gives_up_in_the_moment_of_their_turn_passes_it_on() {
    let bulkhead = bulkhead(1, 2);
    let place = inside(&bulkhead);
    let (first, mut second) = (waiting(&bulkhead), waiting(&bulkhead));
    let bell = Arc::new(Bell::default());
    assert!(poll(&mut second, &bell).is_pending());
    drop(place);
    drop(first);
    assert_eq!(bell.rung(), 1);
    drop(second.try_enter().unwrap());
    check(&bulkhead, 0, 0);
}

#[test]
fn a_ticket_yields_one_place_only() {
    let bulkhead = bulkhead(1, 1);
    let place = inside(&bulkhead);
    let mut ticket = waiting(&bulkhead);
    drop(place);
    let _place = ticket.try_enter().unwrap();
    assert!(ticket.try_enter().is_none());
    drop(ticket);
    check(&bulkhead, 1, 0);
}

#[test]
fn the_latest_waker_is_the_one_that_is_woken() {
    let bulkhead = bulkhead(1, 1);
    let place = inside(&bulkhead);
    let mut ticket = waiting(&bulkhead);
    let (old, new) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    assert!(poll(&mut ticket, &old).is_pending());
    assert!(poll(&mut ticket, &new).is_pending());
    drop(place);
    assert_eq!((old.rung(), new.rung()), (0, 1));
}

#[test]
fn a_bulkhead_of_no_places_lets_nobody_in() {
    let bulkhead = bulkhead(0, 0);
    assert!(matches!(bulkhead.enter(Tick::ZERO), Err(Denial::BulkheadFull)));
}

proptest! {
    /// Against the plain model: a set of those inside and a line of those who wait.
    #[test]
    fn agrees_with_a_plain_line(max in 1_u32..4, queue in 0_u32..4, steps in prop::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..60)) {
        let bulkhead = bulkhead(max, queue);
        let (mut places, mut line): (Vec<Place>, VecDeque<Ticket>) = Default::default();
        for (step, which) in steps {
            match step {
                0 => match bulkhead.enter(Tick::ZERO) {
                    Ok(Entry::Inside(place)) => {
                        prop_assert!(line.is_empty());
                        places.push(place);
                    }
                    Ok(Entry::Waiting(ticket)) => {
                        prop_assert_eq!(places.len() as u32, max);
                        line.push_back(ticket);
                    }
                    Err(_) => prop_assert_eq!(line.len() as u32, queue),
                },
                1 if !places.is_empty() => {
                    drop(places.swap_remove(which.index(places.len())));
                    if let Some(mut first) = line.pop_front() {
                        places.push(first.try_enter().unwrap());
                    }
                }
                2 if !line.is_empty() => drop(line.remove(which.index(line.len()))),
                _ => {}
            }
            prop_assert_eq!((bulkhead.inside(), bulkhead.waiting()), (places.len() as u32, line.len() as u32));
        }
    }
}
