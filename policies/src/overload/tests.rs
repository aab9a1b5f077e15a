//! The arithmetic by hand, the tickets, and a simulated service under load: so many workers, a queue that is as long
//! as it is let, and time that only the test moves.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::gradient::{Breath, Course, Growth, Seen};
use super::*;
use crate::request::Priority;
use crate::time::{Tick, nanos};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const CLASSES: [Priority; 3] = [Priority::Critical, Priority::Normal, Priority::Sheddable];

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn fixed(limit: u32) -> Arc<Limiter> {
    Arc::new(Limiter::new(Settings { min: limit, max: limit, initial: limit, ..Settings::default() }))
}

fn settled() -> Course {
    Course { growth: Growth::Steady, ..Course::start(&Settings::default()) }
}

#[test]
fn one_window_moves_the_limit_as_the_table_says() {
    // The yardstick is 10 ms, tolerance 1.5, smoothing 0.4; the limit before is 100.
    let check = |latency_ms: f64, answered: u32, failed: u32, peak: u32, expected: f64| {
        let course = Course { limit: 100.0, uncrowded: 10e6, read_at: 100.0, ..settled() };
        let seen = Seen { latency: latency_ms * 1e6, answered, failed, peak, shed: false };
        let after = course.after(&seen, &Settings::default());
        assert!((after.limit - expected).abs() < 0.05, "{seen:?}: {after:?}, expected {expected}");
    };
    // Quick, and used: up by the allowance, the root of 100, smoothed.
    check(10.0, 100, 0, 100, 104.0);
    check(15.0, 100, 0, 50, 104.0);
    // Quick, but the room was not used: it proves nothing.
    check(10.0, 100, 0, 49, 100.0);
    check(90.0, 100, 0, 10, 100.0);
    // Slow: down along the gradient, by half at most.
    check(20.0, 100, 0, 100, 94.0);
    check(30.0, 100, 0, 100, 84.0);
    check(900.0, 100, 0, 100, 84.0);
    // Failures: the background says nothing; more of them shrink the limit, whatever the answers' latency and use.
    check(10.0, 95, 5, 10, 100.0);
    check(10.0, 80, 20, 10, 90.0);
    check(10.0, 0, 50, 10, 50.0);
    check(0.0, 0, 0, 100, 100.0);
}

#[test]
fn a_breath_tells_our_queue_from_a_slow_service() {
    let slow = |latency: f64| Seen { latency, answered: 100, failed: 0, peak: 60, shed: false };
    let (before, breath) = (26e6, Breath::Draining);
    let breathing = Course { limit: 60.0, uncrowded: 10e6, read_at: 100.0, before, breath, ..settled() };
    let settings = Settings::default();
    assert_eq!(breathing.effective(&settings), 30.0);
    // The first window drains and is not measured.
    let reading = breathing.after(&slow(25e6), &settings);
    assert_eq!((reading.breath, reading.uncrowded, reading.limit), (Breath::Reading, 10e6, 60.0));
    // It took 26 ms before. It is quick now: that was our queue. It is not: the service takes that long now. It has
    // halved: half the queue is gone, and half the limit is enough.
    for (latency, uncrowded, limit) in [(11e6, 11e6, 60.0), (25e6, 25e6, 60.0), (16e6, 10e6, 30.0)] {
        let after = reading.after(&slow(latency), &settings);
        assert_eq!((after.breath, after.uncrowded, after.limit), (Breath::None, uncrowded, limit));
    }
}

proptest! {
    #[test]
    fn no_sequence_of_windows_leaves_the_bounds(
        windows in prop::collection::vec(
            (0.0..1e12f64, 0..1000u32, 0..1000u32, 0..2000u32, any::<bool>()), 1..200),
        min in 0..50u32, span in 0..100u32, initial in 0..1000u32,
    ) {
        let settings = Settings { min, max: min + span, initial, ..Settings::default() };
        let (low, high) = (f64::from(min.max(1)), f64::from((min + span).max(1)));
        let mut course = Course::start(&settings);
        for (latency, answered, failed, peak, shed) in windows {
            course = course.after(&Seen { latency, answered, failed, peak, shed }, &settings);
            for limit in [course.limit, course.effective(&settings)] {
                prop_assert!((low..=high).contains(&limit), "{course:?}");
            }
        }
    }
}

#[test]
fn the_last_places_are_kept_for_the_more_important() {
    let limiter = fixed(10);
    let mut held = Vec::new();
    let mut fill = |priority| {
        while let Ok(ticket) = limiter.enter(priority, at(1)) {
            held.push(ticket);
        }
        limiter.in_flight()
    };
    assert_eq!(fill(Priority::Sheddable), 6);
    assert_eq!(fill(Priority::Normal), 8);
    assert_eq!(fill(Priority::Critical), 10);
    assert_eq!(CLASSES.map(|class| limiter.shed(class)), [1, 1, 1]);
    let waits = CLASSES.map(|class| limiter.enter(class, at(1)).unwrap_err().retry_after.as_secs());
    assert_eq!(waits, [1, 2, 4]);
    drop(held);
    assert_eq!(limiter.in_flight(), 0);
}

#[test]
fn a_tiny_limit_and_odd_shares_still_let_somebody_in() {
    for share in [0.0, -1.0, f64::NAN, 7.0] {
        let settings = Settings {
            min: 0,
            max: 1,
            initial: 0,
            normal_share: share,
            sheddable_share: share,
            ..Settings::default()
        };
        for class in CLASSES {
            let limiter = Arc::new(Limiter::new(settings));
            let ticket = limiter.enter(class, at(1)).unwrap();
            assert!(limiter.enter(class, at(1)).is_err());
            drop(ticket);
        }
    }
}

#[test]
fn a_ticket_gives_its_place_back_once_however_it_ends() {
    let limiter = fixed(10);
    for outcome in [Outcome::Answered, Outcome::Failed, Outcome::Ignored] {
        let (one, other) = (limiter.enter(Priority::Normal, at(1)), limiter.enter(Priority::Normal, at(1)));
        one.unwrap().finish(outcome, at(2));
        assert_eq!(limiter.in_flight(), 1);
        drop(other);
        assert_eq!(limiter.in_flight(), 0);
    }
}

#[test]
fn what_is_ignored_measures_nothing() {
    let limiter = Arc::new(Limiter::new(Settings::default()));
    for n in 0..1000 {
        limiter.enter(Priority::Normal, at(n * MS)).unwrap().finish(Outcome::Ignored, at(n * MS + S));
    }
    assert_eq!((limiter.limit(), limiter.uncrowded_latency()), (50, Duration::ZERO));
}

#[test]
fn timeouts_shrink_the_limit_and_answers_bring_it_back() {
    let limiter = Arc::new(Limiter::new(Settings::default()));
    let mut now = S;
    let mut round = |outcome, rounds: u32| {
        for _ in 0..rounds {
            let tickets: Vec<_> =
                (0..100).filter_map(|_| limiter.enter(Priority::Critical, at(now)).ok()).collect();
            now += 110 * MS;
            for ticket in tickets {
                ticket.finish(outcome, at(now));
            }
        }
        limiter.limit()
    };
    assert!(round(Outcome::Answered, 10) >= 50);
    assert_eq!(round(Outcome::Failed, 60), 4);
    assert!(round(Outcome::Answered, 100) >= 50);
}

#[test]
fn threads_never_exceed_the_limit_nor_leak() {
    let limiter = fixed(8);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..5000 {
                    let held = [Priority::Critical; 3].map(|class| limiter.enter(class, at(n)));
                    assert!(limiter.in_flight() <= 8);
                    for ticket in held.into_iter().flatten() {
                        ticket.finish(Outcome::Answered, at(n + 1));
                    }
                }
            });
        }
    });
    assert_eq!(limiter.in_flight(), 0);
}

/// How a stretch of time went, by class.
#[derive(Debug, Default)]
struct Stretch {
    offered: [u32; 3],
    answered: [u32; 3],
    shed: [u32; 3],
    latency_ms: f64,
    limit_lowest: u32,
    limit_highest: u32,
}

impl Stretch {
    fn goodput(&self) -> u32 {
        self.answered.iter().sum()
    }

    fn share_let_in(&self, class: usize) -> f64 {
        1.0 - f64::from(self.shed[class]) / f64::from(self.offered[class].max(1))
    }
}

/// A service with workers and a queue, and callers who come at random (from a seed).
struct Service {
    limiter: Arc<Limiter>,
    workers: u32,
    work: u64,
    /// Of 100 requests, so many are critical, and so many normal.
    mix: [u64; 2],
    now: u64,
    busy: u32,
    queue: VecDeque<(usize, u64, Ticket)>,
    running: BinaryHeap<Reverse<(u64, u64)>>,
    places: Vec<Option<(usize, u64, Ticket)>>,
    dice: u64,
}

impl Service {
    fn new(workers: u32, work: u64, settings: Settings) -> Self {
        Self {
            limiter: Arc::new(Limiter::new(settings)),
            workers,
            work,
            mix: [5, 30],
            now: S,
            busy: 0,
            queue: VecDeque::new(),
            running: BinaryHeap::new(),
            places: Vec::new(),
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    /// Requests a second that it can answer.
    fn capacity(&self) -> f64 {
        f64::from(self.workers) * 1e9 / self.work as f64
    }

    /// Lets callers come for so many seconds, at so many times what it can answer.
    fn run(&mut self, secs: u64, load: f64) -> Stretch {
        let mut stretch = Stretch { limit_lowest: u32::MAX, ..Stretch::default() };
        let end = self.now + secs * S;
        let gap = 1e9 / (self.capacity() * load);
        let mut next = self.now;
        while next < end {
            while let Some(Reverse((done, place))) = self.running.peek().copied().filter(|r| r.0.0 <= next) {
                self.running.pop();
                self.complete(done, usize::try_from(place).unwrap(), &mut stretch);
            }
            self.now = next;
            self.arrive(&mut stretch);
            // Exponential gaps: callers know nothing of each other.
            let chance = (self.roll() >> 11) as f64 / (1u64 << 53) as f64;
            next += nanos(Duration::from_secs_f64(-gap * (1.0 - chance).ln() / 1e9));
        }
        self.now = end;
        stretch.latency_ms /= f64::from(stretch.goodput().max(1));
        stretch
    }

    fn arrive(&mut self, stretch: &mut Stretch) {
        let hundred = self.roll() % 100;
        let class = if hundred < self.mix[0] {
            0
        } else if hundred < self.mix[0] + self.mix[1] {
            1
        } else {
            2
        };
        stretch.offered[class] += 1;
        let limit = self.limiter.limit();
        stretch.limit_lowest = stretch.limit_lowest.min(limit);
        stretch.limit_highest = stretch.limit_highest.max(limit);
        match self.limiter.enter(CLASSES[class], at(self.now)) {
            Ok(ticket) => self.queue.push_back((class, self.now, ticket)),
            Err(_) => stretch.shed[class] += 1,
        }
        self.start(self.now);
    }

    fn start(&mut self, now: u64) {
        while self.busy < self.workers
            && let Some(request) = self.queue.pop_front()
        {
            self.busy += 1;
            // Between half and one and a half times the usual work.
            let takes = self.work / 2 + self.roll() % self.work;
            let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
            if place == self.places.len() {
                self.places.push(None);
            }
            self.places[place] = Some(request);
            self.running.push(Reverse((now + takes, place as u64)));
        }
    }

    fn complete(&mut self, now: u64, place: usize, stretch: &mut Stretch) {
        let (class, came, ticket) = self.places[place].take().unwrap();
        ticket.finish(Outcome::Answered, at(now));
        stretch.answered[class] += 1;
        stretch.latency_ms += (now - came) as f64 / 1e6;
        self.busy -= 1;
        self.start(now);
    }
}

#[test]
fn tenfold_overload_costs_the_sheddable_and_not_the_critical() {
    let mut shop = Service::new(20, 20 * MS, Settings::default());
    let before = shop.run(10, 0.5);
    assert_eq!(before.shed, [0, 0, 0], "{before:?}");

    let onset = shop.run(5, 10.0);
    assert!(onset.share_let_in(0) > 0.95, "{onset:?}");
    let during = shop.run(10, 10.0);
    assert!(during.share_let_in(0) > 0.98, "critical: {during:?}");
    assert!(during.share_let_in(2) < 0.02, "sheddable goes first: {during:?}");
    assert!(
        during.goodput() > 9_000,
        "the service works at nine tenths of its capacity at least: {during:?}"
    );
    assert!(during.latency_ms < 60.0, "and nobody waits in a long queue: {during:?}");
    assert!(during.limit_lowest >= 10 && during.limit_highest <= 80, "{during:?}");

    let relief = shop.run(5, 0.5);
    assert!(relief.share_let_in(2) > 0.95, "{relief:?}");
    let after = shop.run(20, 0.5);
    assert_eq!(after.shed, [0, 0, 0], "{after:?}");
}

#[test]
fn mild_load_is_never_shed_however_long_it_lasts() {
    for load in [0.05, 0.3, 0.6] {
        let mut shop = Service::new(20, 20 * MS, Settings::default());
        let stretch = shop.run(200, load);
        assert_eq!(stretch.shed, [0, 0, 0], "{load}: {stretch:?}");
    }
}

#[test]
fn a_long_overload_never_passes_for_normal_nor_starves_the_service() {
    // Ten minutes at three times the capacity: the yardstick must not drift up, and no breath may cost much.
    let mut shop = Service::new(10, 50 * MS, Settings::default());
    shop.run(20, 3.0);
    for minute in 0..10 {
        let stretch = shop.run(60, 3.0);
        assert!(stretch.latency_ms < 150.0, "{minute}: {stretch:?}");
        assert!(stretch.limit_lowest >= 5 && stretch.limit_highest <= 40, "{minute}: {stretch:?}");
        assert!(stretch.goodput() > 200 * 60 * 85 / 100, "{minute}: {stretch:?}");
    }
}

#[test]
fn a_start_in_the_middle_of_an_overload_finds_its_way() {
    // A limit far too high, and every latency it has ever seen a crowded one.
    let mut shop = Service::new(10, 20 * MS, Settings { initial: 200, max: 200, ..Settings::default() });
    shop.run(60, 5.0);
    let later = shop.run(20, 5.0);
    assert!(later.latency_ms < 80.0, "{later:?}");
}

#[test]
fn a_service_that_becomes_slower_is_given_time_and_not_strangled() {
    let mut shop = Service::new(40, 10 * MS, Settings::default());
    shop.run(10, 0.3);
    // Each request takes five times as long and the load stays: 60 % of the workers are enough... of five times as many.
    (shop.work, shop.workers) = (50 * MS, 200);
    shop.run(15, 0.3);
    let later = shop.run(30, 0.3);
    assert_eq!(later.shed, [0, 0, 0], "{later:?}");
}

#[test]
fn a_service_that_loses_its_workers_gets_less_and_then_more_again() {
    let mut shop = Service::new(40, 20 * MS, Settings::default());
    shop.run(10, 0.8);
    shop.workers = 5;
    shop.run(10, 4.0);
    let small = shop.run(20, 4.0);
    assert!(small.latency_ms < 80.0 && small.goodput() > 250 * 20 * 85 / 100, "{small:?}");
    shop.workers = 40;
    shop.run(10, 2.0);
    let large = shop.run(10, 2.0);
    assert!(large.goodput() > 2000 * 10 * 85 / 100, "{large:?}");
}

#[test]
fn a_large_service_is_found_within_seconds() {
    let mut shop = Service::new(400, 50 * MS, Settings::default());
    shop.run(2, 1.5);
    let second = shop.run(2, 1.5);
    assert!(second.goodput() > 8000 * 2 * 9 / 10, "{second:?}");
}

#[test]
fn sheddable_requests_alone_may_use_the_service_too() {
    let mut shop = Service::new(20, 20 * MS, Settings { initial: 10, ..Settings::default() });
    shop.mix = [0, 0];
    shop.run(20, 2.0);
    let stretch = shop.run(10, 2.0);
    assert!(stretch.goodput() > 9_000, "{stretch:?}");
}
