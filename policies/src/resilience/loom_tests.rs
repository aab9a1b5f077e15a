//! Every interleaving of threads that share a budget, a breaker, a bulkhead or a set that is being pruned.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::{
    breaker::{self, Breaker, Change},
    budget::{self, Budget},
    bulkhead::{self, Bulkhead, Entry, Place, Ticket},
    outlier::{self, Outliers},
};
use crate::{
    balance::{self, Listed, Outcome, Set},
    time::Tick,
};

const NOW: Tick = Tick::from_nanos(1_000_000_000_000);

#[test]
fn loom_budget_never_pays_out_more_than_came_in() {
    loom::model(|| {
        let settings = budget::Settings { ratio: 0.5, min_per_second: 0, ..Default::default() };
        let budget = Arc::new(Budget::new(&settings));
        (0..3).for_each(|_| budget.deposit(NOW));
        let other = Arc::clone(&budget);
        let thread = loom::thread::spawn(move || {
            other.deposit(NOW);
            u32::from(other.withdraw(NOW)) + u32::from(other.withdraw(NOW))
        });
        let mine = u32::from(budget.withdraw(NOW));
        // Four deposits of a half: two retries, none lost and none won.
        let taken = mine + thread.join().unwrap();
        assert_eq!(taken + u32::from(budget.withdraw(NOW)), 2);
    });
}

#[test]
fn loom_budget_pays_the_fixed_rate_once() {
    loom::model(|| {
        let window = Duration::from_secs(1);
        let budget = Arc::new(Budget::new(&budget::Settings { ratio: 0.0, min_per_second: 1, window }));
        let other = Arc::clone(&budget);
        let thread = loom::thread::spawn(move || other.withdraw(NOW));
        let mine = budget.withdraw(NOW);
        assert!(mine ^ thread.join().unwrap());
    });
}

fn breaker() -> Arc<Breaker> {
    let settings = breaker::Settings { volume: 2, probes: 1, ..Default::default() };
    Arc::new(Breaker::new(settings))
}

#[test]
fn loom_breaker_opens_once_and_says_so_once() {
    loom::model(|| {
        let breaker = breaker();
        let fail = |breaker: &Breaker| {
            let pass = breaker.allow(NOW).ok()?;
            breaker.record(pass, Outcome::Failure, NOW)
        };
        fail(&breaker);
        let other = Arc::clone(&breaker);
        let thread = loom::thread::spawn(move || fail(&other));
        let changes = [fail(&breaker), thread.join().unwrap()];
        assert_eq!(changes.iter().flatten().count(), 1);
        assert!(breaker.allow(NOW).is_err());
    });
}

#[test]
fn loom_breaker_lets_one_probe_out_and_is_closed_by_it() {
    loom::model(|| {
        let breaker = breaker();
        let straggler = breaker.allow(NOW).unwrap();
        for _ in 0..2 {
            let pass = breaker.allow(NOW).unwrap();
            breaker.record(pass, Outcome::Failure, NOW);
        }
        let later = NOW.after(Duration::from_secs(5));
        let other = Arc::clone(&breaker);
        let thread = loom::thread::spawn(move || {
            other.record(straggler, Outcome::Failure, later);
            other.allow(later).ok()
        });
        let mine = breaker.allow(later).ok();
        let mut probes: Vec<_> = [mine, thread.join().unwrap()].into_iter().flatten().collect();
        assert_eq!(probes.len(), 1);
        let change = breaker.record(probes.remove(0), Outcome::Success, later);
        assert_eq!(change, Some(Change::Closed { probes: 1 }));
    });
}

/// A waker of the model checker's: if it is not woken, the model reports a deadlock.
struct Bell(loom::sync::Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits as an async shell does.
fn await_place(mut ticket: Ticket) -> Place {
    let bell = Arc::new(Bell(loom::sync::Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        match Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(place) => return place,
            Poll::Pending => bell.0.wait(),
        }
    }
}

fn enter_and_leave(bulkhead: &Arc<Bulkhead>) {
    let settings = *bulkhead.settings();
    let place = match bulkhead.enter(NOW) {
        Ok(Entry::Inside(place)) => place,
        Ok(Entry::Waiting(ticket)) => await_place(ticket),
        Err(_) => return,
    };
    assert!(bulkhead.inside() <= settings.max);
    assert!(bulkhead.waiting() <= settings.queue);
    drop(place);
}

fn bulkhead(queue: u32) -> Arc<Bulkhead> {
    Arc::new(Bulkhead::new(bulkhead::Settings { max: 1, queue, ..Default::default() }))
}

#[test]
fn loom_bulkhead_loses_no_wake_up_and_no_place() {
    // Three threads in all; with two preemptions the model finds every lost wake-up there has ever been a name for,
    // and ends in seconds.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let bulkhead = bulkhead(1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let bulkhead = Arc::clone(&bulkhead);
                loom::thread::spawn(move || enter_and_leave(&bulkhead))
            })
            .collect();
        enter_and_leave(&bulkhead);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((bulkhead.inside(), bulkhead.waiting()), (0, 0));
    });
}

#[test]
fn loom_bulkhead_passes_on_the_place_of_one_who_gives_up() {
    loom::model(|| {
        let bulkhead = bulkhead(2);
        let Ok(Entry::Inside(place)) = bulkhead.enter(NOW) else { panic!("it was empty") };
        let Ok(Entry::Waiting(quitter)) = bulkhead.enter(NOW) else { panic!("it was full") };
        let Ok(Entry::Waiting(patient)) = bulkhead.enter(NOW) else { panic!("it was full") };
        let quits = loom::thread::spawn(move || drop(quitter));
        let leaves = loom::thread::spawn(move || drop(place));
        drop(await_place(patient));
        quits.join().unwrap();
        leaves.join().unwrap();
        assert_eq!((bulkhead.inside(), bulkhead.waiting()), (0, 0));
    });
}

#[test]
fn loom_outliers_never_take_out_the_last() {
    loom::model(|| {
        let address: SocketAddr = ([127, 0, 0, 1], 80).into();
        let listed = ["a", "b"].map(|name| Listed { name: name.into(), address, weight: 1 });
        let set = Arc::new(Set::new(balance::Settings::default(), listed.into()));
        let settings = outlier::Settings { in_a_row: 1, max_ejected: 1.0, ..Default::default() };
        let outliers = Arc::new(Outliers::new(settings));
        let (other_set, other) = (Arc::clone(&set), Arc::clone(&outliers));
        let thread =
            loom::thread::spawn(move || other.record(&other_set, 0, Outcome::Failure, NOW).is_some());
        let mine = outliers.record(&set, 1, Outcome::Failure, NOW).is_some();
        assert!(mine ^ thread.join().unwrap());
    });
}
