//! The keyring over time: fetches that fail, keys that change, tokens that name unknown ones.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::forge::*;
use crate::identity::jwks::*;
use crate::identity::keys::{KeySet, KeysError};
use crate::identity::*;
use crate::time::Tick;
use crate::verdict::{Denial, Fault};
use crate::why::Silent;

const HOUR: Duration = Duration::from_secs(3600);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at(wait: Duration) -> Tick {
    later(wait).tick
}

fn desk() -> Desk {
    Desk { keyring: Keyring::fetching(KeyringSettings::default()), ..p256_desk() }
}

fn set_a() -> Result<Fetched, FetchFailed> {
    Ok(Fetched { keys: key_set(&[p256().jwk("a")]), max_age: Some(secs(800)) })
}

fn set_b() -> Result<Fetched, FetchFailed> {
    Ok(Fetched { keys: key_set(&[p256_other().jwk("b")]), max_age: Some(secs(800)) })
}

fn both() -> Result<Fetched, FetchFailed> {
    Ok(Fetched { keys: key_set(&[p256_other().jwk("b"), p256().jwk("a")]), max_age: None })
}

fn down() -> Result<Fetched, FetchFailed> {
    Err(FetchFailed::Transport("connection refused".into()))
}

#[track_caller]
fn flight(keyring: &Keyring, now: Tick) -> Flight {
    match keyring.due(now) {
        Due::Fetch(flight) => flight,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn wait(keyring: &Keyring, now: Tick) -> Duration {
    match keyring.due(now) {
        Due::Wait(wait) => wait,
        other => panic!("{other:?}"),
    }
}

impl Desk {
    /// Fetches at this moment, whatever is due.
    #[track_caller]
    fn fetch(&self, now: Duration, outcome: Result<Fetched, FetchFailed>) -> Landing {
        let flight = flight(&self.keyring, at(now));
        self.keyring.fetched(flight, at(now), outcome, 0)
    }

    fn answer(&self, token: &str, now: Duration, asked: Asked) -> Result<(), Refused> {
        self.check().verify(token, later(now), asked, &mut Silent).map(|_| ())
    }
}

fn asks(id: &str) -> Result<(), Refused> {
    Err(Refused::AskKeys { key_id: Some(id.into()) })
}

const UNKNOWABLE: Result<(), Refused> = Err(Refused::Fault(Fault::KeysUnavailable));
const KEY_UNKNOWN: Result<(), Refused> = Err(Refused::Denial(Denial::TokenKeyUnknown));

#[test]
fn without_keys_a_token_waits_for_the_first_fetch_and_is_then_unknowable_not_bad() {
    let desk = desk();
    let token = p256().good("a");
    assert_eq!(desk.answer(&token, secs(0), Asked::NotYet), Err(Refused::AskKeys { key_id: None }));
    assert_eq!(desk.fetch(secs(0), down()), Landing::Kept);
    assert_eq!(desk.answer(&token, secs(0), Asked::Already), UNKNOWABLE);
    assert_eq!(desk.fetch(secs(2), set_a()), Landing::Replaced);
    assert_eq!(desk.answer(&token, secs(2), Asked::NotYet), Ok(()));
}

#[test]
fn good_keys_survive_failed_fetches_for_a_day_and_no_longer() {
    let desk = desk();
    let token = p256()
        .token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "exp": NOON + 1_000_000 })));
    desk.fetch(secs(0), set_a());
    let unusable = || Err(KeySet::from_jwks(b"{}").unwrap_err().into());
    let mut now = secs(800);
    while now < 24 * HOUR {
        assert_eq!(
            desk.fetch(now, if now.as_secs().is_multiple_of(2) { down() } else { unusable() }),
            Landing::Kept
        );
        assert_eq!(desk.answer(&token, now, Asked::NotYet), Ok(()), "{now:?}");
        now += secs(601);
    }
    assert_eq!(desk.answer(&token, 24 * HOUR - secs(1), Asked::Already), Ok(()));
    // The cache still knows the token, and it does not help.
    assert_eq!(desk.answer(&token, 24 * HOUR, Asked::Already), UNKNOWABLE);
    desk.fetch(25 * HOUR, set_a());
    assert_eq!(desk.answer(&token, 25 * HOUR, Asked::NotYet), Ok(()));
}

#[test]
fn an_unknown_key_asks_once_in_ten_seconds() {
    let desk = desk();
    desk.fetch(secs(0), set_a());
    let token = p256_other().good("b");

    assert_eq!(desk.answer(&token, secs(5), Asked::NotYet), asks("b"));
    // Those who come until the fetch is back wait for it too.
    assert_eq!(desk.answer(&token, secs(5), Asked::NotYet), asks("b"));
    let flight = flight(&desk.keyring, at(secs(5)));
    assert_eq!(desk.answer(&token, secs(6), Asked::NotYet), asks("b"));
    desk.keyring.fetched(flight, at(secs(6)), set_a(), 0);

    assert_eq!(desk.answer(&token, secs(6), Asked::Already), KEY_UNKNOWN);
    assert_eq!(desk.answer(&token, secs(6), Asked::NotYet), KEY_UNKNOWN);
    assert_eq!(desk.answer(&p256_other().good("c"), secs(14), Asked::NotYet), KEY_UNKNOWN);
    assert!(matches!(desk.keyring.due(at(secs(14))), Due::Wait(_)));
    assert_eq!(desk.answer(&token, secs(15), Asked::NotYet), asks("b"));
    desk.fetch(secs(15), both());
    assert_eq!(desk.answer(&token, secs(15), Asked::Already), Ok(()));
}

#[test]
fn an_unknown_key_is_unknowable_while_the_issuer_cannot_be_asked() {
    let desk = desk();
    desk.fetch(secs(0), set_a());
    let (known, token) = (p256().good("a"), p256_other().good("b"));
    assert_eq!(desk.answer(&token, secs(20), Asked::NotYet), asks("b"));
    let slow = flight(&desk.keyring, at(secs(20)));
    assert_eq!(
        desk.answer(&token, secs(25), Asked::Already),
        UNKNOWABLE,
        "it has waited for an answer in vain"
    );
    assert_eq!(desk.keyring.fetched(slow, at(secs(25)), down(), 0), Landing::Kept);
    assert_eq!(desk.answer(&token, secs(25), Asked::Already), UNKNOWABLE);
    assert_eq!(desk.answer(&token, secs(25), Asked::NotYet), UNKNOWABLE, "no other fetch is due yet");
    assert_eq!(desk.answer(&known, secs(25), Asked::NotYet), Ok(()));
    // The issuer answers again: now it is known that it does not publish the key, and then that it does.
    desk.fetch(secs(26), set_a());
    assert_eq!(desk.answer(&token, secs(26), Asked::Already), KEY_UNKNOWN);
    assert_eq!(desk.answer(&token, secs(36), Asked::NotYet), asks("b"));
    desk.fetch(secs(36), both());
    assert_eq!(desk.answer(&token, secs(36), Asked::Already), Ok(()));
}

#[test]
fn a_flood_of_unknown_keys_causes_one_fetch_in_ten_seconds() {
    let desk = desk();
    desk.fetch(secs(0), set_a());
    let tokens: Vec<_> = (0..10).map(|id| p256_other().good(&id.to_string())).collect();
    let mut fetches = 0;
    for tenth in 10..610 {
        let now = Duration::from_millis(100 * tenth);
        let _ = desk.answer(&tokens[usize::try_from(tenth).unwrap() % 10], now, Asked::NotYet);
        if let Due::Fetch(flight) = desk.keyring.due(at(now)) {
            desk.keyring.fetched(flight, at(now), set_a(), 0);
            fetches += 1;
        }
    }
    assert_eq!(fetches, 6);
}

#[test]
fn a_bad_signature_under_a_known_key_asks_nobody() {
    let desk = desk();
    desk.fetch(secs(0), set_a());
    assert_eq!(
        desk.answer(&p256_other().good("a"), secs(20), Asked::NotYet),
        Err(Refused::Denial(Denial::TokenSignature))
    );
    assert_eq!(
        desk.answer(
            &pair(Algorithm::HS256).token(&json!({ "alg": "HS256" }), &claims()),
            secs(20),
            Asked::NotYet
        ),
        Err(Refused::Denial(Denial::TokenAlgorithm))
    );
}

#[test]
fn keys_without_ids_can_be_changed_too() {
    let nameless = |pair: Pair| {
        let mut jwk = pair.jwk("");
        jwk.as_object_mut().unwrap().remove("kid");
        Ok(Fetched { keys: key_set(&[jwk]), max_age: None })
    };
    let desk = desk();
    desk.fetch(secs(0), nameless(p256()));
    let token = p256_other().token(&json!({ "alg": "ES256" }), &claims());
    assert_eq!(desk.answer(&token, secs(20), Asked::NotYet), Err(Refused::AskKeys { key_id: None }));
    desk.fetch(secs(20), nameless(p256_other()));
    assert_eq!(desk.answer(&token, secs(20), Asked::Already), Ok(()));
}

#[test]
fn a_withdrawn_key_is_forgotten_and_a_kept_one_is_not() {
    let desk = desk();
    let (a, b) = (p256().good("a"), p256_other().good("b"));
    desk.fetch(secs(0), both());
    assert_eq!(desk.answer(&a, secs(0), Asked::NotYet), Ok(()));
    assert_eq!(desk.answer(&b, secs(0), Asked::NotYet), Ok(()));
    let hits = desk.cache.status().hits;

    assert_eq!(desk.fetch(HOUR / 10 * 9, set_b()), Landing::Replaced);
    let now = secs(100);
    assert_eq!(desk.answer(&a, now, Asked::Already), KEY_UNKNOWN);
    assert_eq!(desk.answer(&b, now, Asked::Already), Ok(()));
    assert_eq!(desk.cache.status().hits, hits + 2, "both are found, one is no longer believed");
    assert_eq!(desk.cache.status().misses, 2);
}

#[test]
fn keys_are_fetched_ahead_of_their_end() {
    let due = |max_age: Option<u64>, roll: u64| {
        let keyring = Keyring::fetching(KeyringSettings::default());
        let flight = flight(&keyring, at(secs(0)));
        let keys = key_set(&[p256().jwk("a")]);
        keyring.fetched(flight, at(secs(0)), Ok(Fetched { keys, max_age: max_age.map(secs) }), roll);
        wait(&keyring, at(secs(0)))
    };
    assert_eq!(due(Some(800), 0), secs(700));
    assert_eq!(due(Some(800), secs(100).as_nanos().try_into().unwrap()), secs(600));
    // Floor, ceiling, and what is not said.
    assert_eq!(due(Some(0), 0), secs(60) - Duration::from_millis(7_500));
    assert_eq!(due(Some(u64::MAX), 0), secs(3_150));
    assert_eq!(due(None, 0), secs(525));
}

#[test]
fn failures_back_off_to_a_minute_and_a_success_forgives() {
    let desk = desk();
    let mut now = secs(0);
    let mut waits = Vec::new();
    for _ in 0..9 {
        desk.fetch(now, down());
        let next = wait(&desk.keyring, at(now));
        waits.push(next.as_millis());
        now += next;
    }
    // With a roll of zero the half of each step.
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    let status = desk.keyring.status(at(now));
    assert_eq!((status.failures, status.keys, status.age), (9, 0, None));
    assert_eq!(status.last_failure.unwrap().to_string(), "connection refused");

    desk.fetch(now, set_a());
    let status = desk.keyring.status(at(now + secs(7)));
    assert_eq!((status.failures, status.keys, status.age), (0, 1, Some(secs(7))));
    assert_eq!(status.last_failure, None);
}

#[test]
fn one_flight_at_a_time_and_a_lost_one_does_not_block_for_ever() {
    let keyring = Keyring::fetching(KeyringSettings::default());
    let first = flight(&keyring, at(secs(0)));
    assert_eq!(wait(&keyring, at(secs(0))), FLIGHT_MAX);
    assert_eq!(wait(&keyring, at(secs(29))), secs(1));
    let second = flight(&keyring, at(secs(30)));
    // The first comes back after all: welcome, as nothing newer has landed.
    assert_eq!(keyring.fetched(first, at(secs(31)), set_a(), 0), Landing::Replaced);
    assert_eq!(wait(&keyring, at(secs(31))), secs(29), "the second is still in the air");
    assert_eq!(keyring.fetched(second, at(secs(32)), set_a(), 0), Landing::Renewed);
}

#[test]
fn a_flight_that_was_overtaken_changes_nothing() {
    let keyring = Keyring::fetching(KeyringSettings::default());
    let first = flight(&keyring, at(secs(0)));
    let second = flight(&keyring, at(secs(30)));
    assert_eq!(keyring.fetched(second, at(secs(31)), set_b(), 0), Landing::Replaced);
    assert_eq!(keyring.fetched(first, at(secs(32)), set_a(), 0), Landing::Late);
    assert_eq!(keyring.status(at(secs(32))).age, Some(secs(1)));
}

#[test]
fn fixed_keys_are_never_fetched_and_never_stale() {
    let desk = p256_desk();
    assert_eq!(desk.keyring.due(at(secs(0))), Due::Never);
    assert_eq!(desk.answer(&p256_other().good("b"), secs(0), Asked::NotYet), KEY_UNKNOWN);
    let token =
        p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "exp": u64::MAX })));
    assert_eq!(desk.answer(&token, 100_000 * HOUR, Asked::NotYet), Ok(()));
    assert_eq!(desk.keyring.status(at(HOUR)).age, None);
}

#[test]
fn a_failure_is_kept_short() {
    let desk = desk();
    desk.fetch(secs(0), Err(FetchFailed::Transport("x".repeat(10_000))));
    assert_eq!(desk.keyring.status(at(secs(0))).last_failure, Some(FetchFailed::Transport("x".repeat(200))));
    desk.fetch(secs(1), Err(KeysError::NotASet.into()));
    assert_eq!(desk.keyring.status(at(secs(1))).last_failure, Some(FetchFailed::Keys(KeysError::NotASet)));
}

#[test]
fn cache_control_says_how_long_keys_may_be_kept() {
    let check =
        |field: &str, expected: Option<u64>| assert_eq!(max_age(field), expected.map(secs), "{field}");
    check("max-age=300", Some(300));
    check("public, Max-Age=300, must-revalidate", Some(300));
    check("max-age=\"300\"", Some(300));
    check("max-age=1, max-age=300", Some(1));
    check("max-age=300, no-store", Some(0));
    check("no-cache", Some(0));
    check("s-maxage=300", None);
    check("max-age=-1", None);
    check("max-age=soon", None);
    check("", None);
}

proptest! {
    #[test]
    fn the_next_fetch_is_always_before_the_end_and_never_at_once(
        max_age in prop::option::of(0u64..100_000), roll: u64, failures in 0usize..40,
    ) {
        let keyring = Keyring::fetching(KeyringSettings::default());
        let mut now = at(secs(0));
        for _ in 0..failures {
            keyring.fetched(flight(&keyring, now), now, down(), roll);
            let next = wait(&keyring, now);
            prop_assert!(next >= Duration::from_millis(500) && next <= secs(60));
            now = now.after(next);
        }
        let keys = KeySet::from_secret(SECRET).unwrap();
        keyring.fetched(flight(&keyring, now), now, Ok(Fetched { keys, max_age: max_age.map(secs) }), roll);
        let next = wait(&keyring, now);
        let whole = secs(max_age.unwrap_or(600).clamp(60, 3_600));
        prop_assert!(next >= whole / 4 * 3 - secs(1) && next <= whole / 8 * 7 + secs(1));
    }
}
