//! What is tried again, when, and why not.

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::resilience::{
    budget,
    deadline::Deadline,
    repeat::{Effect, IdempotencyKey, Replayable},
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A GET with a second left whose first attempt was answered with a 503.
fn story() -> Story<'static> {
    Story {
        call: Call {
            method: &Method::GET,
            idempotency_key: IdempotencyKey::Absent,
            effect: Effect::AsMethod,
            body: Replayable::Yes,
            incoming_attempt: 1,
            deadline: Deadline::new(Tick::ZERO, MS(1_000)),
        },
        attempt: 1,
        sent: Sent::Something,
        failure: Failure::Status(StatusCode::SERVICE_UNAVAILABLE),
        retry_after: None,
        answer: Answer::NotBegun,
        below: Below::Silent,
    }
}

/// The same as a POST, without a key.
fn order(failure: Failure, sent: Sent) -> Story<'static> {
    let story = story();
    Story { call: Call { method: &Method::POST, ..story.call }, failure, sent, ..story }
}

fn decide(settings: &Settings, story: &Story<'_>) -> Again {
    again(settings, story, &Budget::new(&budget::Settings::default()), Tick::ZERO, u64::MAX / 2)
}

#[track_caller]
fn check(story: Story<'_>, want: Result<(), Because>) {
    let mut settings = Settings::default();
    settings.on.timeout = true;
    let got = match decide(&settings, &story) {
        Again::After(_) => Ok(()),
        Again::Stop(because) => Err(because),
    };
    assert_eq!(got, want, "{story:?}");
}

#[test]
fn what_is_idempotent_is_tried_again() {
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        check(Story { call: Call { method: &method, ..story().call }, ..story() }, Ok(()));
    }
    for method in [Method::POST, Method::PATCH, Method::CONNECT, Method::from_bytes(b"PURGE").unwrap()] {
        let story = Story { call: Call { method: &method, ..story().call }, ..story() };
        check(story, Err(Because::NotIdempotent));
    }
}

#[test]
fn an_order_that_may_have_been_placed_is_never_sent_again() {
    let no = Err(Because::NotIdempotent);
    check(order(Failure::Reset, Sent::Something), no);
    check(order(Failure::Timeout, Sent::Something), no);
    check(order(Failure::Status(StatusCode::SERVICE_UNAVAILABLE), Sent::Something), no);
    // A status is an answer: whatever the shell believes, the service has seen the request.
    check(order(Failure::Status(StatusCode::SERVICE_UNAVAILABLE), Sent::Nothing), no);
    check(order(Failure::Grpc(14), Sent::Nothing), no);
}

#[test]
fn an_order_that_provably_was_not_placed_is_sent_again() {
    check(order(Failure::Connect, Sent::Something), Ok(()));
    check(order(Failure::Refused, Sent::Something), Ok(()));
    check(order(Failure::Reset, Sent::Nothing), Ok(()));
    check(order(Failure::Timeout, Sent::Nothing), Ok(()));
}

#[test]
fn a_key_or_the_operators_word_makes_an_order_repeatable() {
    let order = order(Failure::Reset, Sent::Something);
    check(Story { call: Call { idempotency_key: IdempotencyKey::Present, ..order.call }, ..order }, Ok(()));
    check(Story { call: Call { effect: Effect::Idempotent, ..order.call }, ..order }, Ok(()));
}

#[test]
fn retries_of_retries_are_refused() {
    for (incoming_attempt, want) in [(0, Ok(())), (1, Ok(())), (2, Err(Because::CallerRetries))] {
        check(Story { call: Call { incoming_attempt, ..story().call }, ..story() }, want);
    }
    let connect = order(Failure::Connect, Sent::Nothing);
    let retried = Story { call: Call { incoming_attempt: 3, ..connect.call }, ..connect };
    check(retried, Err(Because::CallerRetries));
}

#[test]
fn an_answer_that_has_begun_is_never_taken_back() {
    check(Story { answer: Answer::Begun, failure: Failure::Reset, ..story() }, Err(Because::AnswerBegun));
}

#[test]
fn a_body_that_is_gone_cannot_be_sent_again() {
    let gone = Story { call: Call { body: Replayable::No, ..story().call }, ..story() };
    check(gone, Err(Because::BodyGone));
}

#[test]
fn only_listed_failures_are_tried_again() {
    check(
        Story { failure: Failure::Status(StatusCode::INTERNAL_SERVER_ERROR), ..story() },
        Err(Because::NotAsked),
    );
    check(Story { failure: Failure::Grpc(4), ..story() }, Err(Because::NotAsked));
    check(Story { failure: Failure::Grpc(14), ..story() }, Ok(()));
    let slow = Story { failure: Failure::Timeout, ..story() };
    assert_eq!(decide(&Settings::default(), &slow), Again::Stop(Because::NotAsked));
}

#[test]
fn attempts_are_counted_with_the_first() {
    check(Story { attempt: 2, ..story() }, Ok(()));
    check(Story { attempt: 3, ..story() }, Err(Because::AttemptsUsedUp));
    assert_eq!(decide(&Settings::never(), &story()), Again::Stop(Because::AttemptsUsedUp));
}

#[test]
fn there_is_no_attempt_without_time_for_it() {
    let with = |left| Story {
        call: Call { deadline: Deadline::new(Tick::ZERO, MS(left)), ..story().call },
        ..story()
    };
    // Half of 25 ms of pause, 10 ms of use.
    check(with(23), Ok(()));
    check(with(22), Err(Because::DeadlineTooNear));
    check(with(0), Err(Because::DeadlineTooNear));
}

#[test]
fn retry_after_is_honoured_when_it_fits() {
    let asked = Story { retry_after: Some(MS(500)), ..story() };
    assert_eq!(
        decide(&Settings::default(), &asked),
        Again::After(MS(500) + Duration::from_nanos(12_499_999))
    );
    check(Story { retry_after: Some(MS(990)), ..story() }, Err(Because::RetryAfterTooLong));
    check(Story { retry_after: Some(Duration::MAX), ..story() }, Err(Because::RetryAfterTooLong));
}

#[test]
fn an_empty_budget_stops_retries_and_a_refused_retry_costs_nothing() {
    let one = budget::Settings { ratio: 1.0, min_per_second: 0, ..Default::default() };
    let budget = Budget::new(&one);
    budget.deposit(Tick::ZERO);
    let refused = order(Failure::Reset, Sent::Something);
    let settings = Settings::default();
    for _ in 0..10 {
        assert_eq!(again(&settings, &refused, &budget, Tick::ZERO, 0), Again::Stop(Because::NotIdempotent));
    }
    assert_eq!(again(&settings, &story(), &budget, Tick::ZERO, 0), Again::After(Duration::ZERO));
    assert_eq!(again(&settings, &story(), &budget, Tick::ZERO, 0), Again::Stop(Because::BudgetEmpty));
}

#[test]
fn an_answer_is_kept_only_where_another_attempt_could_take_its_place() {
    let check = |settings: &Settings, call: Call<'_>, attempt, want| {
        assert_eq!(replaces_broken(settings, &call, attempt), want, "{call:?} {attempt}");
    };
    let (usual, call) = (Settings::default(), story().call);
    check(&usual, call, 1, true);
    check(&usual, call, usual.attempts, false);
    check(&usual, Call { method: &Method::POST, idempotency_key: IdempotencyKey::Absent, ..call }, 1, false);
    check(&usual, Call { incoming_attempt: 2, ..call }, 1, false);
    let other = Settings { on: Conditions { reset: false, ..Conditions::default() }, ..usual.clone() };
    check(&other, call, 1, false);
}

#[test]
fn what_a_proxy_below_has_tried_is_not_tried_again() {
    check(Story { below: Below::Tried, ..story() }, Err(Because::CalleeRetried));
}

#[test]
fn a_caller_is_told_what_has_been_dealt_with_here_and_nothing_else() {
    for dealt_with in [Because::AttemptsUsedUp, Because::BudgetEmpty, Because::CalleeRetried] {
        assert_eq!(Below::after(dealt_with), Below::Tried, "{dealt_with}");
    }
    for not_ours in [Because::CallerRetries, Because::NotAsked] {
        assert_eq!(Below::after(not_ours), Below::Silent, "{not_ours}");
    }
    let mut answer = HeaderMap::new();
    assert_eq!(Below::of(&answer), Below::Silent);
    contract::tell_tried(&mut answer, 3);
    assert_eq!((Below::of(&answer), answer["x-banyan-attempt"].as_bytes()), (Below::Tried, &b"3"[..]));
}

/// Sends one request down a chain of proxies, all allowed three attempts, to a service that always fails; counts the
/// calls that reach it.
fn send(chain: &[Budget], incoming_attempt: u32, says: Below, reached: &mut u32) -> Below {
    let Some((budget, rest)) = chain.split_first() else {
        *reached += 1;
        return Below::Silent;
    };
    if incoming_attempt <= 1 {
        budget.deposit(Tick::ZERO);
    }
    for attempt in 1.. {
        let below = send(rest, attempt.max(incoming_attempt), says, reached);
        let call = Call { incoming_attempt, ..story().call };
        let story = Story { attempt, call, below, ..story() };
        if let Again::Stop(_) = again(&Settings::default(), &story, budget, Tick::ZERO, 0) {
            break;
        }
    }
    says
}

#[test]
fn four_tiers_of_retries_amplify_no_more_than_one() {
    let reached = |says| {
        let settings = budget::Settings { min_per_second: 0, ..Default::default() };
        let chain: Vec<_> = (0..4).map(|_| Budget::new(&settings)).collect();
        let mut reached = 0;
        for _ in 0..1_000 {
            send(&chain, 1, says, &mut reached);
        }
        reached
    };
    // 81,000 without rules, 2,074 with four budgets that know nothing of each other.
    assert_eq!(reached(Below::Tried), 1_200);
    // Where answers do not say so, retries of retries are still refused.
    assert!((1_201..=1_800).contains(&reached(Below::Silent)), "{}", reached(Below::Silent));
}

#[test]
fn the_pause_doubles_up_to_its_limit() {
    let settings = Settings::default();
    let ceilings: Vec<_> =
        (1..=6).map(|attempt| backoff(&settings, attempt, u64::MAX).as_millis() + 1).collect();
    assert_eq!(ceilings, [25, 50, 100, 200, 250, 250]);
    assert!(backoff(&settings, u32::MAX, u64::MAX) < settings.backoff_max);
}

proptest! {
    #[test]
    fn a_pause_always_fits_the_deadline(
        roll: u64, attempt in 1_u32..10, left in 0_u64..2_000, retry_after in prop::option::of(0_u64..3_000),
    ) {
        let settings = Settings { attempts: 100, ..Settings::default() };
        let deadline = Deadline::new(Tick::ZERO, MS(left));
        let story = Story {
            call: Call { deadline, ..story().call },
            attempt,
            retry_after: retry_after.map(MS),
            ..story()
        };
        let budget = Budget::new(&budget::Settings::default());
        if let Again::After(pause) = again(&settings, &story, &budget, Tick::ZERO, roll) {
            prop_assert!(pause + settings.least_useful <= MS(left));
            prop_assert!(retry_after.is_none_or(|asked| pause >= MS(asked)));
        }
    }
}
