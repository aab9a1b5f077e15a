//! One replica by hand, then whole worlds of replicas round one store.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::{Gcra, Quota, grant};

const MS: u64 = 1_000_000;
const S: u64 = 1000 * MS;
const KEY: BucketKey = BucketKey(42);

fn quota(count: u32, burst: u32) -> Gcra {
    Quota { count, per: Duration::from_secs(1), burst: Some(burst) }.compile().unwrap()
}

fn terms(count: u32, burst: u32, replicas: u32, if_store_down: IfStoreDown) -> Terms {
    Terms::new(quota(count, burst), &Sharing { replicas, if_store_down, ..Sharing::default() })
}

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn asks(want: u32) -> Option<Ask> {
    Some(Ask { want })
}

fn leases() -> Leases {
    let leases = Leases::new(512);
    leases.report(Store::Answers);
    leases
}

fn passes(spend: &Spend) -> bool {
    matches!(spend.answer, Answer::Counted(Outcome::Allowed { .. }))
}

fn waits(spend: &Spend) -> Option<Duration> {
    match spend.answer {
        Answer::Counted(Outcome::Limited { retry_after, .. }) => Some(retry_after),
        Answer::Counted(Outcome::Allowed { .. }) | Answer::StoreDown => None,
    }
}

/// How long a store's bucket needs to be full that has `left` permits.
fn full_in(terms: &Terms, left: u32) -> Duration {
    terms.shared().interval() * (terms.shared().burst() - left)
}

#[test]
fn replicas_hold_a_quarter_of_the_burst_and_lend_the_whole_of_it_between_them() {
    fn check(burst: u32, replicas: u32, batch_max: u32, credit: u32) {
        let terms = terms(100, burst, replicas, IfStoreDown::Local);
        assert_eq!((terms.batch_max(), terms.credit(), terms.local().burst()), (batch_max, credit, credit));
        assert_eq!(terms.local().interval(), terms.shared().interval() * replicas.max(1));
    }
    check(200, 4, 12, 50);
    check(5, 4, 1, 1);
    check(10, 2, 1, 5);
    check(100, 0, 25, 100);
}

#[test]
fn a_first_request_passes_on_credit_and_is_paid_afterwards() {
    let (leases, terms) = (leases(), terms(100, 80, 2, IfStoreDown::Local));
    let spend = leases.spend(&terms, KEY, 1, at(9 * S));
    let counted = Outcome::Allowed { remaining: 79, reset_after: Duration::from_millis(10) };
    assert_eq!(spend, Spend { answer: Answer::Counted(counted), ask: asks(1) });
    // More of them while the question is under way: one question at a time, the rest is asked next.
    for _ in 0..3 {
        let spend = leases.spend(&terms, KEY, 1, at(9 * S));
        assert!(passes(&spend) && spend.ask.is_none());
    }
    assert_eq!(leases.merge(&terms, KEY, 1, full_in(&terms, 79), at(9 * S + MS)), asks(4));
    assert_eq!(leases.merge(&terms, KEY, 4, full_in(&terms, 75), at(9 * S + 2 * MS)), None);
    // One permit is in hand now; using it asks for a larger batch.
    let spend = leases.spend(&terms, KEY, 1, at(9 * S + 3 * MS));
    assert!(passes(&spend));
    assert_eq!(spend.ask, asks(2));
}

#[test]
fn a_page_that_sends_its_whole_share_at_once_is_served_and_no_more_than_that() {
    for down in [IfStoreDown::Closed, IfStoreDown::Local, IfStoreDown::Open] {
        let (leases, terms) = (leases(), terms(10, 12, 2, down));
        let spends: Vec<_> = (0..8).map(|_| leases.spend(&terms, KEY, 1, at(S))).collect();
        assert_eq!(spends.iter().filter(|spend| passes(spend)).count(), 6);
        assert_eq!(waits(&spends[7]), Some(Duration::from_millis(100)), "come back in a moment");
        // The answer pays all of it, and the next one is let in.
        let ask = leases.merge(&terms, KEY, 1, full_in(&terms, 11), at(S + MS));
        assert_eq!(leases.merge(&terms, KEY, ask.unwrap().want, full_in(&terms, 6), at(S + 2 * MS)), None);
        assert!(passes(&leases.spend(&terms, KEY, 1, at(S + 2 * MS))));
    }
}

#[test]
fn a_refusal_by_the_store_is_believed_without_asking_again() {
    let (leases, terms) = (leases(), terms(1, 4, 2, IfStoreDown::Local));
    let _ = leases.spend(&terms, KEY, 1, at(9 * S));
    let next_in_700 = full_in(&terms, 0) - Duration::from_millis(300);
    assert_eq!(leases.merge(&terms, KEY, 0, next_in_700, at(9 * S)), None);
    // The first permit pays the debt, the second is this request's.
    let spend = leases.spend(&terms, KEY, 1, at(9 * S + 100 * MS));
    assert_eq!((waits(&spend), spend.ask), (Some(Duration::from_millis(1600)), None));
    let spend = leases.spend(&terms, KEY, 1, at(9 * S + 1700 * MS));
    assert!(passes(&spend));
    assert_eq!(spend.ask, asks(2));
}

#[test]
fn a_debt_outlives_the_bucket_eight_times_and_is_paid_first() {
    let (leases, terms) = (leases(), terms(1, 4, 2, IfStoreDown::Local));
    let owe = |now: u64| {
        while passes(&leases.spend(&terms, KEY, 1, at(now))) {}
        leases.merge(&terms, KEY, 0, full_in(&terms, 0), at(now))
    };
    assert_eq!(owe(9 * S), None);
    // Two are owed. Half a minute later the bucket is long full, and they are still owed: no new credit.
    let spend = leases.spend(&terms, KEY, 1, at(39 * S));
    assert_eq!((waits(&spend), spend.ask), (Some(Duration::from_millis(100)), asks(3)));
    assert_eq!(leases.merge(&terms, KEY, 3, full_in(&terms, 1), at(39 * S)), None);
    assert!(passes(&leases.spend(&terms, KEY, 1, at(39 * S))));
    assert_eq!(leases.merge(&terms, KEY, 1, full_in(&terms, 0), at(39 * S)), None);
}

#[test]
fn what_the_store_cannot_have_is_not_lent() {
    let (leases, terms) = (leases(), terms(1, 20, 2, IfStoreDown::Local));
    let _ = leases.spend(&terms, KEY, 1, at(9 * S));
    let _ = leases.merge(&terms, KEY, 1, full_in(&terms, 2), at(9 * S));
    let passed = (0..10).filter(|_| passes(&leases.spend(&terms, KEY, 1, at(9 * S)))).count();
    assert_eq!(passed, 2, "credit would reach for ten");
}

#[test]
fn unused_permits_lapse_and_the_next_batch_is_smaller() {
    let (leases, terms) = (leases(), terms(100, 80, 1, IfStoreDown::Local));
    let mut now = 9 * S;
    let mut wanted = Vec::new();
    for _ in 0..20 {
        now += MS;
        if let Some(ask) = leases.spend(&terms, KEY, 1, at(now)).ask {
            wanted.push(ask.want);
            assert_eq!(leases.merge(&terms, KEY, ask.want, full_in(&terms, 40), at(now)), None);
        }
    }
    assert_eq!(wanted, [1, 2, 2, 3, 6, 12, 12], "batches double while they go fast");
    // Two seconds later they are gone, 18 of a batch of 20: the caller is on credit again, and the batch is what
    // was used of it.
    let spend = leases.spend(&terms, KEY, 1, at(now + 2 * S));
    assert!(passes(&spend));
    assert_eq!(spend.ask, asks(1 + 2));
}

#[test]
fn a_store_that_is_down_or_was_never_seen_is_not_asked_and_nothing_is_lent() {
    for instead in [IfStoreDown::Closed, IfStoreDown::Local, IfStoreDown::Open] {
        let (leases, terms) = (Leases::new(512), terms(100, 80, 2, instead));
        let down = Spend { answer: Answer::StoreDown, ask: None };
        assert_eq!(terms.if_store_down(), instead);
        assert_eq!(leases.spend(&terms, KEY, 1, at(S)), down);
        leases.report(Store::Answers);
        assert!(passes(&leases.spend(&terms, KEY, 1, at(S))));
        leases.report(Store::Down);
        leases.unanswered(KEY);
        assert_eq!(leases.spend(&terms, KEY, 1, at(2 * S)), down);
        // Back again, the debt of before is asked for first.
        leases.report(Store::Answers);
        let spend = leases.spend(&terms, KEY, 1, at(3 * S));
        assert!(passes(&spend));
        assert!(spend.ask.unwrap().want >= 2);
    }
}

#[test]
fn permits_in_hand_outlive_the_store_until_they_lapse() {
    let (leases, terms) = (leases(), terms(100, 80, 1, IfStoreDown::Closed));
    let _ = leases.spend(&terms, KEY, 1, at(S));
    let _ = leases.merge(&terms, KEY, 5, full_in(&terms, 75), at(S));
    leases.report(Store::Down);
    for _ in 0..3 {
        let spend = leases.spend(&terms, KEY, 1, at(S));
        assert!(passes(&spend) && spend.ask.is_none());
    }
    assert!(passes(&leases.spend(&terms, KEY, 1, at(2 * S - 1))));
    assert_eq!(leases.spend(&terms, KEY, 1, at(2 * S - 1)).answer, Answer::StoreDown);
}

#[test]
fn free_requests_pass_and_impossible_ones_ask_nobody() {
    let (leases, terms) = (leases(), terms(100, 80, 2, IfStoreDown::Closed));
    let free = leases.spend(&terms, KEY, 0, at(S));
    assert!(passes(&free) && free.ask.is_none());
    let never = leases.spend(&terms, KEY, 81, at(S));
    assert_eq!((waits(&never), never.ask), (Some(Duration::from_millis(800)), None));
}

#[test]
fn a_request_dearer_than_batch_and_credit_is_saved_up_for() {
    let (leases, terms) = (leases(), terms(100, 8, 2, IfStoreDown::Local));
    let spend = leases.spend(&terms, KEY, 6, at(S));
    assert_eq!((waits(&spend), spend.ask), (Some(Duration::from_millis(100)), asks(6)));
    assert_eq!(leases.merge(&terms, KEY, 6, full_in(&terms, 2), at(S + MS)), None);
    assert!(passes(&leases.spend(&terms, KEY, 6, at(S + 2 * MS))));
}

#[test]
fn what_is_put_back_is_spent_again() {
    let (leases, terms) = (leases(), terms(100, 8, 1, IfStoreDown::Closed));
    for _ in 0..20 {
        // On credit: it is not owed any more.
        assert!(passes(&leases.spend(&terms, KEY, 8, at(S))));
        leases.put_back(KEY, 8);
    }
    let _ = leases.spend(&terms, KEY, 4, at(S));
    let _ = leases.merge(&terms, KEY, 8, full_in(&terms, 0), at(S));
    for _ in 0..20 {
        // In hand: it is there again.
        assert!(passes(&leases.spend(&terms, KEY, 4, at(S))));
        leases.put_back(KEY, 4);
    }
    assert!(passes(&leases.spend(&terms, KEY, 4, at(S))));
    assert!(!passes(&leases.spend(&terms, KEY, 1, at(S))));
}

#[test]
fn an_answer_nobody_waits_for_any_more_is_lost() {
    let (leases, terms) = (leases(), terms(100, 4, 4, IfStoreDown::Closed));
    assert!(passes(&leases.spend(&terms, KEY, 1, at(S))));
    leases.unanswered(KEY);
    assert_eq!(leases.merge(&terms, KEY, 4, full_in(&terms, 0), at(S)), None);
    // The one that is owed is all the credit there is.
    let spend = leases.spend(&terms, KEY, 1, at(S));
    assert!(!passes(&spend));
    assert_eq!(spend.ask, asks(2));
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Answer { granted: u32, full_in: Duration },
    Question { want: u32 },
    Request,
}

/// Replicas, one store, and a network that takes its time.
struct World {
    terms: Terms,
    replicas: Vec<Leases>,
    full_at: Tick,
    round_trip: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    sequence: u64,
    admitted: Vec<u64>,
    refused: u32,
    questions: u32,
}

impl World {
    fn new(terms: Terms, replicas: usize, round_trip: u64) -> Self {
        Self {
            terms,
            replicas: (0..replicas).map(|_| leases()).collect(),
            full_at: Tick::ZERO,
            round_trip,
            events: BinaryHeap::new(),
            sequence: 0,
            admitted: Vec::new(),
            refused: 0,
            questions: 0,
        }
    }

    fn plan(&mut self, when: u64, replica: usize, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((when, self.sequence, replica, event)));
    }

    fn run(&mut self) {
        while let Some(Reverse((now, _, replica, event))) = self.events.pop() {
            match event {
                Event::Answer { granted, full_in } => {
                    let ask = self.replicas[replica].merge(&self.terms, KEY, granted, full_in, at(now));
                    self.ask(now, replica, ask);
                }
                Event::Question { want } => {
                    let answer = grant(self.full_at, self.terms.shared(), want, at(now));
                    self.full_at = answer.full_at;
                    let (granted, full_in) = (answer.granted, answer.full_at.since(at(now)));
                    self.plan(now + self.round_trip / 2, replica, Event::Answer { granted, full_in });
                }
                Event::Request => {
                    let spend = self.replicas[replica].spend(&self.terms, KEY, 1, at(now));
                    self.ask(now, replica, spend.ask);
                    if passes(&spend) {
                        self.admitted.push(now);
                    } else {
                        self.refused += 1;
                    }
                }
            }
        }
    }

    fn ask(&mut self, now: u64, replica: usize, ask: Option<Ask>) {
        if let Some(Ask { want }) = ask {
            self.questions += 1;
            self.plan(now + self.round_trip / 2, replica, Event::Question { want });
        }
    }

    /// By how much any window was over the bound that `lease.rs` states.
    fn worst_excess(&self) -> i64 {
        let interval = u64::try_from(self.terms.shared().interval().as_nanos()).unwrap();
        let kept = u64::try_from(self.terms.shared().fill().as_nanos()).unwrap().saturating_mul(8).max(S);
        let replicas = i64::try_from(self.replicas.len()).unwrap();
        let (batch, credit) = (i64::from(self.terms.batch_max()), i64::from(self.terms.credit()));
        let once = i64::from(self.terms.shared().burst()) + replicas * (batch + credit);
        let bound = |window: u64| {
            let forgotten = i64::try_from(window / kept).unwrap();
            once + i64::try_from(window / interval).unwrap() + replicas * credit * forgotten
        };
        let windows = self.admitted.iter().enumerate().flat_map(|(first, from)| {
            (1i64..).zip(&self.admitted[first..]).map(move |(sum, to)| (sum, to - from))
        });
        windows.map(|(sum, window)| sum - bound(window)).max().unwrap_or(i64::MIN)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn replicas_never_admit_more_than_the_quota_and_the_stated_bound(
        arrivals in prop::collection::vec((0..60 * MS, 0..5usize, 1..12u32), 1..60),
        replicas in 1..5usize, count in 1..200u32, burst in 1..120u32, round_trip in 0..8 * MS
    ) {
        let terms = terms(count, burst, u32::try_from(replicas).unwrap(), IfStoreDown::Local);
        let mut world = World::new(terms, replicas, round_trip);
        let mut now = 9 * S;
        for (gap, replica, requests) in arrivals {
            now += gap;
            for _ in 0..requests {
                world.plan(now, replica % replicas, Event::Request);
            }
        }
        world.run();
        prop_assert!(world.worst_excess() <= 0, "{} over the bound", world.worst_excess());
    }
}

/// One request every `gap`, to the replicas in turn, for `secs`.
fn steady(terms: Terms, replicas: usize, gap: u64, secs: u64) -> World {
    let mut world = World::new(terms, replicas, MS);
    for n in 0..secs * S / gap {
        world.plan(9 * S + n * gap, usize::try_from(n).unwrap() % replicas, Event::Request);
    }
    world.run();
    world
}

#[test]
fn a_caller_below_the_shared_limit_is_never_refused_and_the_store_seldom_asked() {
    // 160 of 200 a second, through 4 replicas.
    let world = steady(terms(200, 200, 4, IfStoreDown::Local), 4, S / 160, 20);
    assert_eq!(world.refused, 0);
    assert!(world.questions < 3200 / 4, "{} questions for 3200 requests", world.questions);
}

#[test]
fn a_caller_far_above_the_shared_limit_gets_the_limit_and_what_was_lent_once() {
    // 1000 of 200 a second, through 4 replicas, for 30 s.
    let terms = terms(200, 200, 4, IfStoreDown::Local);
    let world = steady(terms, 4, S / 1000, 30);
    let late = world.admitted.iter().filter(|when| **when >= 19 * S).count();
    assert!(late.abs_diff(200 * 20) <= 40, "{late} in the last 20 s, fair 4000");
    let lent = usize::try_from(4 * (terms.credit() + terms.batch_max())).unwrap();
    assert!(world.admitted.len() <= 200 + 200 * 30 + lent, "{} admitted", world.admitted.len());
}

#[test]
fn a_slow_caller_of_a_slow_limit_gets_every_permit() {
    // 2 a second and a burst of 2, a request every half second, 3 replicas: nothing is leased that is not used.
    let world = steady(terms(2, 2, 3, IfStoreDown::Local), 3, S / 2, 60);
    assert!(world.refused <= 6, "{} of 120 refused", world.refused);
}
