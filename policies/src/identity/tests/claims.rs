//! What a token says, read strictly.

use std::time::Duration;

use serde_json::{Value, json};

use super::forge::*;
use crate::access::ClaimPath;
use crate::identity::*;
use crate::verdict::Denial;
use crate::why::Notes;

#[track_caller]
fn check(changes: Value, expected: Result<(), Denial>) {
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(changes));
    p256_desk().expect(&token, expected);
}

#[test]
fn a_token_holds_from_nbf_to_exp_give_or_take_the_skew() {
    // 30 s of skew.
    check(json!({}), Ok(()));
    check(json!({ "exp": NOON - 29 }), Ok(()));
    check(json!({ "exp": NOON - 30 }), Err(Denial::TokenExpired));
    check(json!({ "exp": 0 }), Err(Denial::TokenExpired));
    check(json!({ "nbf": NOON + 30 }), Ok(()));
    check(json!({ "nbf": NOON + 31 }), Err(Denial::TokenNotYetValid));
    check(json!({ "iat": NOON + 30 }), Ok(()));
    check(json!({ "iat": NOON + 31 }), Err(Denial::TokenNotYetValid));
    check(json!({ "iat": null }), Ok(()));
    check(json!({ "exp": u64::MAX, "nbf": u64::MAX }), Err(Denial::TokenNotYetValid));
}

#[test]
fn times_are_numbers_of_seconds() {
    let malformed = Err(Denial::TokenMalformed);
    check(json!({ "exp": null }), Err(Denial::TokenEndless));
    check(json!({ "exp": (NOON + 600).to_string() }), malformed);
    check(json!({ "exp": -1 }), malformed);
    check(json!({ "exp": true }), malformed);
    check(json!({ "exp": [NOON + 600] }), malformed);
    check(json!({ "exp": 1e300 }), malformed);
    check(json!({ "exp": 1_800_000_600.5 }), Ok(()));
    check(json!({ "nbf": "now" }), malformed);
    check(json!({ "iat": {} }), malformed);
}

#[test]
fn the_issuer_is_compared_whole() {
    let wrong = Err(Denial::TokenIssuer);
    check(json!({ "iss": "https://id.shop.example/" }), wrong);
    check(json!({ "iss": "HTTPS://id.shop.example" }), wrong);
    check(json!({ "iss": "https://id.shop.example.evil" }), wrong);
    check(json!({ "iss": "" }), wrong);
    check(json!({ "iss": null }), wrong);
    check(json!({ "iss": ["https://id.shop.example"] }), Err(Denial::TokenMalformed));
}

#[test]
fn one_audience_of_several_is_enough() {
    let wrong = Err(Denial::TokenAudience);
    check(json!({ "aud": ["other", "shop-api"] }), Ok(()));
    check(json!({ "aud": ["other"] }), wrong);
    check(json!({ "aud": "shop" }), wrong);
    check(json!({ "aud": "shop-api other" }), wrong);
    check(json!({ "aud": [] }), wrong);
    check(json!({ "aud": null }), wrong);
    check(json!({ "aud": 7 }), Err(Denial::TokenMalformed));
    check(json!({ "aud": ["shop-api", 7] }), Err(Denial::TokenMalformed));
}

#[test]
fn a_token_for_anyone_must_be_asked_for() {
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "aud": "other" })));
    p256_desk().with(|s| s.audience = Audience::Anyone).expect(&token, Ok(()));
    let nobody = IssuerSettings { audience: Audience::OneOf(vec![]), ..settings() };
    assert_eq!(Issuer::compile(&nobody).unwrap_err(), IssuerError::NoAudience);
}

#[test]
fn issuers_that_would_believe_too_much_are_refused() {
    let no_issuer = IssuerSettings { issuers: vec![], ..settings() };
    assert_eq!(Issuer::compile(&no_issuer).unwrap_err(), IssuerError::NoIssuer);
    let skew = |skew| Issuer::compile(&IssuerSettings { skew, ..settings() }).map(|_| ());
    assert_eq!(skew(Duration::from_secs(60)), Ok(()));
    assert_eq!(skew(Duration::from_secs(61)), Err(IssuerError::SkewTooLong));
}

#[test]
fn scopes_are_read_in_all_four_spellings() {
    let scopes = |changes: Value| {
        let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(changes));
        p256_desk().verify(&token, noon()).unwrap().scopes.to_string()
    };
    assert_eq!(scopes(json!({ "scope": "a b" })), "a b");
    assert_eq!(scopes(json!({ "scope": ["a", "b"] })), "a b");
    assert_eq!(scopes(json!({ "scope": null, "scp": "a  b " })), "a b");
    assert_eq!(scopes(json!({ "scope": null, "scp": ["a", "b"] })), "a b");
    assert_eq!(scopes(json!({ "scope": "a", "scp": "b" })), "a b");
    assert_eq!(scopes(json!({ "scope": null })), "");
    check(json!({ "scope": 7 }), Err(Denial::TokenMalformed));
}

#[test]
fn claims_are_handed_on() {
    let extra = json!({ "realm_access": { "roles": ["clerk"] } });
    let token = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(extra));
    let claims = p256_desk().verify(&token, noon()).unwrap();
    assert_eq!(claims.subject.as_deref(), Some("user-7"));
    assert_eq!(&*claims.issuer, "https://id.shop.example");
    assert_eq!(claims.expires_unix_secs, NOON + 600);
    assert_eq!(claims.find(&ClaimPath::parse("realm_access.roles").unwrap()), Some(&json!(["clerk"])));
    assert_eq!(claims.find(&ClaimPath::parse("nothing").unwrap()), None);
    check(json!({ "sub": 7 }), Err(Denial::TokenMalformed));
    check(json!({ "sub": null }), Ok(()));
}

#[test]
fn the_type_of_token_is_checked() {
    let check = |typ: Value, wanted: Option<&str>, expected| {
        let token = p256().token(&json!({ "alg": "ES256", "kid": "a", "typ": typ }), &claims());
        p256_desk().with(|s| s.typ = wanted.map(String::from)).expect(&token, expected);
    };
    let other = Err(Denial::TokenKind);
    check(json!("JWT"), None, Ok(()));
    check(json!("jwt"), None, Ok(()));
    check(json!("at+jwt"), None, Ok(()));
    check(json!("application/at+jwt"), None, Ok(()));
    check(json!("logout+jwt"), None, other);
    check(json!("dpop+jwt"), None, other);
    check(json!("at+jwt"), Some("at+jwt"), Ok(()));
    check(json!("application/AT+JWT"), Some("at+jwt"), Ok(()));
    check(json!("JWT"), Some("at+jwt"), other);
    check(json!(7), None, Err(Denial::TokenMalformed));
    let silent = p256().good("a");
    p256_desk().with(|s| s.typ = Some("at+jwt".into())).expect(&silent, other);
}

#[test]
fn a_refusal_says_why_in_words() {
    let desk = p256_desk();
    let mut notes = Notes::default();
    let late = p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ "exp": 1 })));
    desk.check().verify(&late, noon(), Asked::NotYet, &mut notes).unwrap_err();
    desk.check().verify(&p256().good("a"), noon(), Asked::NotYet, &mut notes).unwrap();
    desk.check().verify(&p256().good("x"), noon(), Asked::NotYet, &mut notes).unwrap_err();
    let words: Vec<_> = notes.0.iter().map(|note| note.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "the token's `exp` is past",
            "the token is genuine and from \"https://id.shop.example\"",
            "the token names a key that the issuer does not publish",
        ]
    );
}
