//! The cache of verified tokens: what it remembers, what it forgets, how large it grows.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::forge::*;
use crate::identity::cache::{TokenCache, TokenCacheSettings};
use crate::identity::keys::KeySet;
use crate::identity::*;
use crate::verdict::Denial;

fn small(entries_max: usize, bytes_max: usize) -> TokenCache {
    let settings = TokenCacheSettings { entries_max, bytes_max, ..TokenCacheSettings::default() };
    TokenCache::new(settings, [1, 2, 3, 4])
}

/// HMAC, because these tests make many tokens.
fn hmac_desk() -> Desk {
    desk(KeySet::from_secret(SECRET).unwrap())
}

fn user(n: usize) -> String {
    let claims = claims_with(json!({ "sub": format!("user-{n}") }));
    pair(Algorithm::HS256).token(&json!({ "alg": "HS256" }), &claims)
}

#[test]
fn the_second_look_is_free() {
    let desk = p256_desk();
    let token = p256().good("a");
    let first = desk.verify(&token, noon()).unwrap();
    let second = desk.verify(&token, noon()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let status = desk.cache.status();
    assert_eq!((status.entries, status.hits, status.misses), (1, 1, 1));
}

#[test]
fn a_remembered_token_ends_when_it_said_it_would() {
    let desk = p256_desk();
    let token = p256().good("a");
    desk.verify(&token, noon()).unwrap();
    assert!(desk.verify(&token, later(Duration::from_secs(629))).is_ok());
    let refused = desk.verify(&token, later(Duration::from_secs(630))).unwrap_err();
    assert_eq!(refused, Refused::Denial(Denial::TokenExpired));
}

#[test]
fn a_remembered_token_is_verified_again_after_a_while() {
    let desk = p256_desk();
    let token =
        p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "exp": NOON + 100_000 })));
    let first = desk.verify(&token, noon()).unwrap();
    let soon = desk.verify(&token, later(Duration::from_secs(599))).unwrap();
    assert!(Arc::ptr_eq(&first, &soon));
    let again = desk.verify(&token, later(Duration::from_secs(600))).unwrap();
    assert!(!Arc::ptr_eq(&first, &again));
    assert_eq!(desk.cache.status().entries, 1, "the old memory gives way to the new one");
}

#[test]
fn what_passed_under_other_settings_did_not_pass_under_these() {
    let lenient = p256_desk().with(|s| s.audience = Audience::Anyone);
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "aud": "other" })));
    lenient.verify(&token, noon()).unwrap();
    let strict = p256_desk();
    let check = TokenCheck { cache: &lenient.cache, ..strict.check() };
    let refused = check.verify(&token, noon(), Asked::NotYet, &mut crate::why::Silent).unwrap_err();
    assert_eq!(refused, Refused::Denial(Denial::TokenAudience));
    lenient.verify(&token, noon()).unwrap();
}

#[test]
fn a_token_that_ends_like_a_good_one_is_not_taken_for_it() {
    let desk = p256_desk();
    let good = p256().good("a");
    desk.verify(&good, noon()).unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let admin = encoded(claims_with(json!({ "sub": "admin" })).to_string());
    desk.expect(&format!("{header}.{admin}.{signature}"), Err(Denial::TokenSignature));
}

#[test]
fn bad_tokens_take_no_room() {
    let desk = hmac_desk();
    desk.verify(&user(0), noon()).unwrap();
    for n in 1..200 {
        desk.verify(&format!("{}x", user(n)), noon()).unwrap_err();
    }
    assert_eq!(desk.cache.status().entries, 1);
}

#[test]
fn the_cache_is_bounded_in_entries_and_in_bytes() {
    let mut desk = Desk { cache: small(128, 64 << 20), ..hmac_desk() };
    for n in 0..1_000 {
        desk.verify(&user(n), noon()).unwrap();
        assert!(desk.cache.status().entries <= 128);
    }
    assert!(desk.cache.status().entries >= 64);

    let bytes_max = 64 * 16 * 1024;
    desk.cache = small(usize::MAX, bytes_max);
    for n in 0..1_000 {
        desk.verify(&user(n), noon()).unwrap();
        assert!(desk.cache.status().bytes <= bytes_max);
    }
    assert!(desk.cache.status().bytes >= bytes_max / 2, "{:?}", desk.cache.status());
}

#[test]
fn a_token_in_use_outlives_a_flood_of_others() {
    let desk = Desk { cache: small(64 * 8, 64 << 20), ..hmac_desk() };
    let regular = user(0);
    let first = desk.verify(&regular, noon()).unwrap();
    for n in 1..3_000 {
        desk.verify(&user(n), noon()).unwrap();
        if n % 20 == 0 {
            assert!(Arc::ptr_eq(&first, &desk.verify(&regular, noon()).unwrap()), "forgotten after {n}");
        }
    }
}

#[test]
fn a_token_too_heavy_for_the_cache_is_just_verified_again() {
    let desk = Desk { cache: small(1_000, 64 * 1_024), ..p256_desk() };
    let token = p256().good("a");
    desk.expect(&token, Ok(()));
    assert_eq!(desk.cache.status().entries, 0);
}

#[test]
fn threads_share_what_they_learn() {
    let desk = hmac_desk();
    let tokens: Vec<_> = (0..50).map(user).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| tokens.iter().for_each(|token| drop(desk.verify(token, noon()).unwrap())));
        }
    });
    assert_eq!(desk.cache.status().entries, 50);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_cache_under_pressure_never_mixes_callers_up(users in prop::collection::vec(0usize..40, 100)) {
        let desk = Desk { cache: small(64, 64 << 20), ..hmac_desk() };
        for n in users {
            let claims = desk.verify(&user(n), noon()).unwrap();
            prop_assert_eq!(claims.subject.as_deref(), Some(&*format!("user-{n}")));
        }
    }
}
