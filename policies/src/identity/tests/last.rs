//! The token a connection showed last: what it is good for, and that it is good for nothing else.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::forge::*;
use crate::identity::*;
use crate::time::Now;
use crate::verdict::Denial;
use crate::why::Silent;

fn verify(desk: &Desk, last: &LastToken, token: &str, now: Now) -> Result<Arc<Claims>, Refused> {
    TokenCheck { last: Some(last), ..desk.check() }.verify(token, now, Asked::NotYet, &mut Silent)
}

#[track_caller]
fn refused(desk: &Desk, last: &LastToken, token: &str, now: Now, denial: Denial) {
    assert_eq!(verify(desk, last, token, now).unwrap_err(), Refused::Denial(denial));
}

fn of(user: &str) -> String {
    p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "sub": user })))
}

#[test]
fn what_was_shown_last_is_looked_up_nowhere() {
    let (desk, last, token) = (p256_desk(), LastToken::default(), p256().good("a"));
    let first = verify(&desk, &last, &token, noon()).unwrap();
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &verify(&desk, &last, &token, noon()).unwrap()));
    }
    assert_eq!((desk.cache.status().hits, desk.cache.status().misses), (0, 1));
    // Another connection finds it in the cache, once.
    let other = LastToken::default();
    for _ in 0..3 {
        assert!(Arc::ptr_eq(&first, &verify(&desk, &other, &token, noon()).unwrap()));
    }
    assert_eq!((desk.cache.status().hits, desk.cache.status().misses), (1, 1));
}

#[test]
fn callers_who_share_a_connection_are_not_mixed_up() {
    let (desk, last) = (p256_desk(), LastToken::default());
    let tokens = ["one", "two"].map(|user| (user, of(user)));
    for (user, token) in tokens.iter().cycle().take(8) {
        assert_eq!(verify(&desk, &last, token, noon()).unwrap().subject.as_deref(), Some(*user));
    }
}

#[test]
fn a_token_that_differs_in_one_letter_is_another_one() {
    let (desk, last, token) = (p256_desk(), LastToken::default(), p256().good("a"));
    verify(&desk, &last, &token, noon()).unwrap();
    for place in (0..token.len()).step_by(7) {
        let mut letters = token.clone().into_bytes();
        letters[place] = if letters[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(letters).unwrap();
        assert!(forged == token || verify(&desk, &last, &forged, noon()).is_err(), "{forged}");
    }
    refused(&desk, &last, &token[..token.len() - 1], noon(), Denial::TokenMalformed);
    verify(&desk, &last, &token, noon()).unwrap();
}

#[test]
fn it_ends_when_it_said_it_would() {
    let (desk, last, token) = (p256_desk(), LastToken::default(), p256().good("a"));
    verify(&desk, &last, &token, noon()).unwrap();
    verify(&desk, &last, &token, later(Duration::from_secs(599))).unwrap();
    refused(&desk, &last, &token, later(Duration::from_secs(630)), Denial::TokenExpired);
}

#[test]
fn its_signature_is_looked_at_again_after_a_while() {
    let (desk, last) = (p256_desk(), LastToken::default());
    let long = claims_with(json!({ "exp": NOON + 100_000 }));
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &long);
    let first = verify(&desk, &last, &token, noon()).unwrap();
    assert!(Arc::ptr_eq(&first, &verify(&desk, &last, &token, later(Duration::from_secs(599))).unwrap()));
    assert!(!Arc::ptr_eq(&first, &verify(&desk, &last, &token, later(Duration::from_secs(600))).unwrap()));
}

#[test]
fn what_passed_under_other_settings_did_not_pass_under_these() {
    let lenient = p256_desk().with(|settings| settings.audience = Audience::Anyone);
    let (strict, last) = (p256_desk(), LastToken::default());
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "aud": "other" })));
    verify(&lenient, &last, &token, noon()).unwrap();
    refused(&strict, &last, &token, noon(), Denial::TokenAudience);
    verify(&lenient, &last, &token, noon()).unwrap();
}

#[test]
fn a_key_that_is_believed_no_more_takes_its_tokens_with_it() {
    let (before, last, token) = (p256_desk(), LastToken::default(), p256().good("a"));
    verify(&before, &last, &token, noon()).unwrap();
    let after = Desk { cache: before.cache, ..desk(key_set(&[pair(Algorithm::ES384).jwk("b")])) };
    verify(&after, &last, &token, noon()).unwrap_err();
}

#[test]
fn a_long_one_does_not_stay_with_the_connection() {
    let (desk, last) = (p256_desk(), LastToken::default());
    let long = claims_with(json!({ "note": "x".repeat(4096) }));
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &long);
    for hits in 0..3 {
        verify(&desk, &last, &token, noon()).unwrap();
        assert_eq!(desk.cache.status().hits, hits);
    }
}
