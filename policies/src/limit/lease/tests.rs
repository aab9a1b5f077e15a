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

#[test]
fn replicas_share_a_quarter_of_the_burst_between_them() {
    fn check(burst: u32, replicas: u32, down: IfStoreDown, batch_max: u32, credit: u32, local: u32) {
        let terms = terms(100, burst, replicas, down);
        assert_eq!((terms.batch_max(), terms.credit(), terms.local().burst()), (batch_max, credit, local));
        assert_eq!(terms.local().interval(), terms.shared().interval() * replicas.max(1));
    }
    check(200, 4, IfStoreDown::Local, 12, 12, 50);
    check(200, 4, IfStoreDown::Open, 12, 12, 50);
    check(200, 4, IfStoreDown::Closed, 12, 0, 50);
    check(5, 4, IfStoreDown::Local, 1, 1, 1);
    check(100, 0, IfStoreDown::Local, 25, 25, 100);
}

#[test]
fn a_first_request_passes_on_credit_and_is_paid_afterwards() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 2, IfStoreDown::Local));
    let spend = leases.spend(&terms, KEY, 1, at(9 * S));
    assert_eq!(spend, Spend { answer: Answer::Allowed, ask: asks(1) });
    // More of them while the question is under way: one question at a time, the rest is asked next.
    for _ in 0..3 {
        assert_eq!(leases.spend(&terms, KEY, 1, at(9 * S)), Spend { answer: Answer::Allowed, ask: None });
    }
    assert_eq!(leases.merge(&terms, KEY, 1, Duration::ZERO, at(9 * S + MS)), asks(4));
    assert_eq!(leases.merge(&terms, KEY, 4, Duration::ZERO, at(9 * S + 2 * MS)), None);
    // One permit is in hand now; using it asks for a larger batch.
    assert_eq!(
        leases.spend(&terms, KEY, 1, at(9 * S + 3 * MS)),
        Spend { answer: Answer::Allowed, ask: asks(2) }
    );
}

#[test]
fn a_closed_limit_lets_nobody_in_uncounted() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 2, IfStoreDown::Closed));
    let waits = Answer::NeedsLease { otherwise: IfStoreDown::Closed };
    assert_eq!(leases.spend(&terms, KEY, 1, at(S)), Spend { answer: waits, ask: asks(1) });
    assert_eq!(leases.spend(&terms, KEY, 1, at(S)), Spend { answer: waits, ask: None });
    assert_eq!(leases.spend(&terms, KEY, 1, at(S)), Spend { answer: waits, ask: None });
    // One came for the first; what the two others need goes out at once.
    assert_eq!(leases.merge(&terms, KEY, 1, Duration::ZERO, at(S + MS)), asks(1));
    assert_eq!(leases.spend(&terms, KEY, 1, at(S + MS)).answer, Answer::Allowed);
}

#[test]
fn a_refusal_by_the_store_is_believed_without_asking_again() {
    let (leases, terms) = (Leases::new(512), terms(1, 4, 2, IfStoreDown::Local));
    let _ = leases.spend(&terms, KEY, 1, at(9 * S));
    assert_eq!(leases.merge(&terms, KEY, 0, Duration::from_millis(700), at(9 * S + MS)), None);
    let limited = Answer::Limited { retry_after: Duration::from_millis(600) };
    assert_eq!(leases.spend(&terms, KEY, 1, at(9 * S + 101 * MS)), Spend { answer: limited, ask: None });
    // Then the debt comes first, and there is no new credit.
    let waits = Answer::NeedsLease { otherwise: IfStoreDown::Local };
    assert_eq!(leases.spend(&terms, KEY, 1, at(9 * S + 701 * MS)), Spend { answer: waits, ask: asks(2) });
    // Until the store's bucket could be full again: then both are forgotten.
    assert_eq!(leases.spend(&terms, KEY, 1, at(14 * S)).answer, Answer::Allowed);
}

#[test]
fn whom_the_store_has_refused_gets_no_credit_until_it_grants_in_full() {
    let (leases, terms) = (Leases::new(512), terms(1, 80, 2, IfStoreDown::Local));
    let waits = Answer::NeedsLease { otherwise: IfStoreDown::Local };
    let _ = leases.spend(&terms, KEY, 1, at(9 * S));
    let _ = leases.merge(&terms, KEY, 0, Duration::from_millis(700), at(9 * S));
    assert_eq!(leases.spend(&terms, KEY, 1, at(9 * S + 700 * MS)), Spend { answer: waits, ask: asks(2) });
    let _ = leases.merge(&terms, KEY, 2, Duration::ZERO, at(9 * S + 701 * MS));
    // The debt is paid, one permit is in hand, and credit is good again.
    for _ in 0..2 {
        assert_eq!(leases.spend(&terms, KEY, 1, at(9 * S + 701 * MS)).answer, Answer::Allowed);
    }
}

#[test]
fn unused_permits_lapse_and_the_next_batch_is_smaller() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 1, IfStoreDown::Local));
    let mut now = 9 * S;
    let mut wanted = Vec::new();
    for _ in 0..20 {
        now += MS;
        if let Some(ask) = leases.spend(&terms, KEY, 1, at(now)).ask {
            wanted.push(ask.want);
            assert_eq!(leases.merge(&terms, KEY, ask.want, Duration::ZERO, at(now)), None);
        }
    }
    assert_eq!(wanted, [1, 2, 2, 3, 6, 12, 12], "batches double while they go fast");
    // Two seconds later they are gone, 18 of a batch of 20: the caller is on credit again, and the batch is what
    // was used of it.
    let spend = leases.spend(&terms, KEY, 1, at(now + 2 * S));
    assert_eq!(spend, Spend { answer: Answer::Allowed, ask: asks(1 + 2) });
}

#[test]
fn a_dead_store_means_what_the_document_says_and_is_probed_once_a_second() {
    for instead in [IfStoreDown::Closed, IfStoreDown::Local, IfStoreDown::Open] {
        let (leases, terms) = (Leases::new(512), terms(100, 80, 2, instead));
        let _ = leases.spend(&terms, KEY, 1, at(S));
        leases.store_failed(KEY, at(S));
        let down = Answer::StoreDown { instead };
        for other in 0..100 {
            let spend = leases.spend(&terms, BucketKey(other << 32), 1, at(S + 10 * MS));
            assert_eq!(spend, Spend { answer: down, ask: None });
        }
        // Nobody waits for the probe either, and only one request carries it.
        let probes = |now: u64| {
            let spends = (0..100u64).map(|other| leases.spend(&terms, BucketKey(other << 32), 1, at(now)));
            spends.inspect(|spend| assert_eq!(spend.answer, down)).filter(|spend| spend.ask.is_some()).count()
        };
        assert_eq!((probes(2 * S), probes(2 * S + 500 * MS), probes(3 * S)), (1, 0, 1));
        let _ = leases.merge(&terms, BucketKey(0), 1, Duration::ZERO, at(3 * S + MS));
        assert_ne!(leases.spend(&terms, BucketKey(77 << 32), 1, at(3 * S + MS)).answer, down);
    }
}

#[test]
fn permits_in_hand_outlive_the_store_until_they_lapse() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 1, IfStoreDown::Closed));
    let _ = leases.spend(&terms, KEY, 4, at(S));
    let _ = leases.merge(&terms, KEY, 4, Duration::ZERO, at(S));
    leases.store_failed(KEY, at(S));
    assert_eq!(leases.spend(&terms, KEY, 3, at(S)), Spend { answer: Answer::Allowed, ask: None });
    let down = Answer::StoreDown { instead: IfStoreDown::Closed };
    assert_eq!(leases.spend(&terms, KEY, 1, at(2 * S - 1)).answer, Answer::Allowed);
    assert_eq!(leases.spend(&terms, KEY, 1, at(2 * S - 1)).answer, down);
}

#[test]
fn free_requests_pass_and_impossible_ones_ask_nobody() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 2, IfStoreDown::Closed));
    assert_eq!(leases.spend(&terms, KEY, 0, at(S)), Spend { answer: Answer::Allowed, ask: None });
    let limited = Answer::Limited { retry_after: Duration::from_millis(800) };
    assert_eq!(leases.spend(&terms, KEY, 81, at(S)), Spend { answer: limited, ask: None });
}

#[test]
fn what_is_put_back_is_spent_again() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 1, IfStoreDown::Closed));
    let _ = leases.spend(&terms, KEY, 4, at(S));
    let _ = leases.merge(&terms, KEY, 4, Duration::ZERO, at(S));
    assert_eq!(leases.spend(&terms, KEY, 4, at(S)).answer, Answer::Allowed);
    leases.put_back(KEY, 4);
    assert_eq!(leases.spend(&terms, KEY, 4, at(S)).answer, Answer::Allowed);
    assert_ne!(leases.spend(&terms, KEY, 1, at(S)).answer, Answer::Allowed);
}

#[test]
fn an_answer_nobody_waits_for_any_more_is_lost() {
    let (leases, terms) = (Leases::new(512), terms(100, 80, 1, IfStoreDown::Closed));
    let _ = leases.spend(&terms, KEY, 1, at(S));
    leases.store_failed(KEY, at(S));
    assert_eq!(leases.merge(&terms, KEY, 9, Duration::ZERO, at(S)), None);
    assert_ne!(leases.spend(&terms, KEY, 1, at(S)).answer, Answer::Allowed);
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Event {
    Answer { granted: u32, retry_after: Duration },
    Question { want: u32 },
    Request,
}

/// Replicas, one store, and a network that takes its time.
struct World {
    terms: Terms,
    replicas: Vec<Leases>,
    waiting: Vec<Vec<u64>>,
    full_at: Tick,
    round_trip: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    sequence: u64,
    admitted: Vec<u64>,
    refused: u32,
    questions: u32,
    waited: u32,
    /// The most a replica asked for beyond batch and credit, because requests waited for it.
    beyond: Vec<u32>,
}

/// How long a request waits for the store altogether.
const PATIENCE: u64 = 10 * MS;

impl World {
    fn new(terms: Terms, replicas: usize, round_trip: u64) -> Self {
        Self {
            terms,
            replicas: (0..replicas).map(|_| Leases::new(512)).collect(),
            waiting: vec![Vec::new(); replicas],
            full_at: Tick::ZERO,
            round_trip,
            events: BinaryHeap::new(),
            sequence: 0,
            admitted: Vec::new(),
            refused: 0,
            questions: 0,
            waited: 0,
            beyond: vec![0; replicas],
        }
    }

    fn plan(&mut self, when: u64, replica: usize, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((when, self.sequence, replica, event)));
    }

    fn run(&mut self) {
        while let Some(Reverse((now, _, replica, event))) = self.events.pop() {
            match event {
                Event::Answer { granted, retry_after } => {
                    let ask = self.replicas[replica].merge(&self.terms, KEY, granted, retry_after, at(now));
                    self.ask(now, replica, ask);
                    for since in std::mem::take(&mut self.waiting[replica]) {
                        self.request(now, replica, since);
                    }
                }
                Event::Question { want } => {
                    let answer = grant(self.full_at, self.terms.shared(), want, at(now));
                    self.full_at = answer.full_at;
                    let (granted, retry_after) = (answer.granted, answer.retry_after);
                    self.plan(now + self.round_trip / 2, replica, Event::Answer { granted, retry_after });
                }
                Event::Request => self.request(now, replica, now),
            }
        }
    }

    fn request(&mut self, now: u64, replica: usize, since: u64) {
        let spend = self.replicas[replica].spend(&self.terms, KEY, 1, at(now));
        self.ask(now, replica, spend.ask);
        match spend.answer {
            Answer::Allowed => self.admitted.push(now),
            Answer::NeedsLease { .. } if now - since < PATIENCE => {
                self.waited += u32::from(now == since);
                self.waiting[replica].push(since);
            }
            Answer::Limited { .. } | Answer::NeedsLease { .. } | Answer::StoreDown { .. } => {
                self.refused += 1;
            }
        }
    }

    fn ask(&mut self, now: u64, replica: usize, ask: Option<Ask>) {
        if let Some(Ask { want }) = ask {
            self.questions += 1;
            let usual = self.terms.batch_max() + self.terms.credit();
            self.beyond[replica] = self.beyond[replica].max(want.saturating_sub(usual));
            self.plan(now + self.round_trip / 2, replica, Event::Question { want });
        }
    }

    fn worst_excess(&self) -> i64 {
        let interval = u64::try_from(self.terms.shared().interval().as_nanos()).unwrap();
        let burst = i64::from(self.terms.shared().burst());
        let mut worst = i64::MIN;
        for (first, from) in self.admitted.iter().enumerate() {
            for (sum, to) in (1i64..).zip(&self.admitted[first..]) {
                worst = worst.max(sum - burst - i64::try_from((to - from) / interval).unwrap());
            }
        }
        worst
    }

    fn bound(&self) -> i64 {
        let each = self.terms.batch_max() + self.terms.credit();
        self.beyond.iter().map(|beyond| i64::from(each + beyond)).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn replicas_never_admit_more_than_the_quota_and_the_stated_bound(
        arrivals in prop::collection::vec((0..60 * MS, 0..5usize, 1..12u32), 1..60),
        replicas in 1..5usize, count in 1..200u32, burst in 1..120u32, round_trip in 0..8 * MS,
        closed in any::<bool>()
    ) {
        let down = if closed { IfStoreDown::Closed } else { IfStoreDown::Local };
        let terms = terms(count, burst, u32::try_from(replicas).unwrap(), down);
        let mut world = World::new(terms, replicas, round_trip);
        let mut now = 9 * S;
        for (gap, replica, requests) in arrivals {
            now += gap;
            for _ in 0..requests {
                world.plan(now, replica % replicas, Event::Request);
            }
        }
        world.run();
        prop_assert!(world.worst_excess() <= world.bound(), "{} over, {} stated", world.worst_excess(), world.bound());
        if closed {
            // Nothing on credit: never more in all than the store has handed out.
            let until = at(now + S);
            let handed_out = i64::from(burst) + i64::try_from(
                until.since(at(9 * S)).as_nanos() / terms.shared().interval().as_nanos()).unwrap();
            prop_assert!(i64::try_from(world.admitted.len()).unwrap() <= handed_out);
        }
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
fn a_caller_below_the_shared_limit_is_never_refused_and_seldom_waits() {
    // 160 of 200 a second, through 4 replicas.
    let world = steady(terms(200, 200, 4, IfStoreDown::Local), 4, S / 160, 20);
    assert_eq!(world.refused, 0);
    assert_eq!(world.waited, 0, "credit and batches carry a steady caller");
    assert!(world.questions < 3200 / 4, "{} questions for 3200 requests", world.questions);
}

#[test]
fn a_caller_far_above_the_shared_limit_gets_the_limit() {
    // 1000 of 200 a second, through 4 replicas, for 20 s.
    let world = steady(terms(200, 200, 4, IfStoreDown::Local), 4, S / 1000, 20);
    let fair = 200 + 200 * 20;
    assert!(
        world.admitted.len().abs_diff(fair) <= fair / 50,
        "{} admitted, fair {fair}",
        world.admitted.len()
    );
}

#[test]
fn a_slow_caller_of_a_slow_limit_gets_every_permit() {
    // 2 a second and a burst of 2, a request every half second, 3 replicas: nothing is leased that is not used.
    let world = steady(terms(2, 2, 3, IfStoreDown::Local), 3, S / 2, 60);
    assert!(world.refused <= 6, "{} of 120 refused", world.refused);
}
