//! Each way to fool a verifier that has a name, pinned.

use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::sign;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::forge::*;
use crate::identity::keys::{KeyFault, KeySet, KeysError};
use crate::identity::*;
use crate::verdict::Denial;

#[track_caller]
fn check_header(header: Value, expected: Result<(), Denial>) {
    p256_desk().expect(&p256().token(&header, &claims()), expected);
}

#[test]
fn algorithm_none_is_refused() {
    for name in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned =
            format!("{}.{}.", encoded(json!({ "alg": name }).to_string()), encoded(claims().to_string()));
        p256_desk().expect(&unsigned, Err(Denial::TokenMalformed));
        p256_desk().expect(&format!("{unsigned}AAAA"), Err(Denial::TokenAlgorithm));
        check_header(json!({ "alg": name, "kid": "a" }), Err(Denial::TokenAlgorithm));
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    // CVE-2015-9235: the attacker signs with HS256 and the text of the public key, which the verifier knows.
    let pem = include_str!("../fixtures/rsa.pub.pem");
    let message = format!("{}.{}", encoded(r#"{"alg":"HS256"}"#), encoded(claims().to_string()));
    let desk = desk(KeySet::from_pem(pem).unwrap());
    let point = p256().jwk("a");
    for secret in [pem, pem.trim(), point["x"].as_str().unwrap()] {
        let signature =
            sign(message.as_bytes(), &EncodingKey::from_secret(secret.as_bytes()), Algorithm::HS256).unwrap();
        desk.expect(&format!("{message}.{signature}"), Err(Denial::TokenAlgorithm));
        p256_desk().expect(&format!("{message}.{signature}"), Err(Denial::TokenAlgorithm));
    }
    assert_eq!(KeySet::from_secret(pem.as_bytes()).unwrap_err(), KeysError::Single(KeyFault::SecretIsPem));
}

#[test]
fn the_algorithm_must_be_one_the_key_allows() {
    let rsa = pair(Algorithm::RS256);
    let only_rs256 = desk(key_set(&[rsa.jwk("r")]));
    only_rs256.expect(&rsa.good("r"), Ok(()));
    only_rs256.expect(&pair(Algorithm::RS512).good("r"), Err(Denial::TokenAlgorithm));
    only_rs256.expect(&pair(Algorithm::PS256).good("r"), Err(Denial::TokenAlgorithm));

    let mut unsaid = rsa.jwk("r");
    unsaid.as_object_mut().unwrap().remove("alg");
    let any_rsa = desk(key_set(&[unsaid]));
    any_rsa.expect(&pair(Algorithm::PS256).good("r"), Ok(()));
    any_rsa.expect(&pair(Algorithm::ES256).good("r"), Err(Denial::TokenAlgorithm));
    let listed = any_rsa.with(|s| s.algorithms = vec![Algorithm::RS256]);
    listed.expect(&rsa.good("r"), Ok(()));
    listed.expect(&pair(Algorithm::PS256).good("r"), Err(Denial::TokenAlgorithm));
}

#[test]
fn an_algorithm_that_lies_about_the_signature_does_not_pass() {
    // Signed with RS256, said to be PS256, both allowed.
    let rsa = pair(Algorithm::RS256);
    let mut unsaid = rsa.jwk("r");
    unsaid.as_object_mut().unwrap().remove("alg");
    let token = rsa.token(&json!({ "alg": "PS256", "kid": "r" }), &claims());
    desk(key_set(&[unsaid])).expect(&token, Err(Denial::TokenSignature));
}

#[test]
fn keys_in_the_header_are_never_used() {
    // CVE-2018-0114: a token that brings the key it was signed with.
    let thief = p256_other();
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let value = if name == "jwk" { thief.jwk("a") } else { json!("https://evil.example/keys") };
        let token = thief.token(&json!({ "alg": "ES256", "kid": "a", name: value }), &claims());
        p256_desk().expect(&token, Err(Denial::TokenOwnKey));
        check_header(json!({ "alg": "ES256", "kid": "a", name: value }), Err(Denial::TokenOwnKey));
    }
    p256_desk().expect(&thief.good("a"), Err(Denial::TokenSignature));
}

#[test]
fn extensions_we_do_not_know_are_refused() {
    // CVE-2025-59420.
    let critical = Err(Denial::TokenCritical);
    check_header(json!({ "alg": "ES256", "kid": "a", "crit": ["exp"], "exp": 1 }), critical);
    check_header(json!({ "alg": "ES256", "kid": "a", "crit": [] }), critical);
    check_header(json!({ "alg": "ES256", "kid": "a", "crit": "x" }), critical);
    check_header(json!({ "alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false }), critical);
    check_header(json!({ "alg": "ES256", "kid": "a", "b64": false }), critical);
    check_header(json!({ "alg": "ES256", "kid": "a", "b64": true }), Ok(()));
    check_header(json!({ "alg": "ES256", "kid": "a", "x5t": "AAAA", "other": 1 }), Ok(()));
}

#[test]
fn nested_and_encrypted_tokens_are_refused() {
    let malformed = Err(Denial::TokenMalformed);
    check_header(json!({ "alg": "ES256", "kid": "a", "cty": "JWT" }), malformed);
    check_header(json!({ "alg": "ES256", "kid": "a", "enc": "A128GCM" }), malformed);
    check_header(json!({ "alg": "ES256", "kid": "a", "zip": "DEF" }), malformed);
    let inner = p256().good("a");
    p256_desk().expect(&p256().signed(r#"{"alg":"ES256","kid":"a"}"#, &inner), malformed);
    p256_desk().expect(&format!("{inner}.AAAA.AAAA"), malformed);
}

#[test]
fn an_all_zero_ecdsa_signature_is_refused() {
    // CVE-2022-21449.
    for (algorithm, bytes) in [(Algorithm::ES256, 64), (Algorithm::ES384, 96)] {
        let pair = pair(algorithm);
        let good = pair.good("a");
        let (signed, _) = good.rsplit_once('.').unwrap();
        let desk = desk(key_set(&[pair.jwk("a")]));
        desk.expect(&format!("{signed}.{}", encoded(vec![0; bytes])), Err(Denial::TokenSignature));
        desk.expect(&good, Ok(()));
    }
}

#[test]
fn a_signature_in_another_form_is_refused() {
    // DER, as other protocols have it, and a signature with something after it.
    let good = p256().good("a");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let der = [&[0x30, 68, 2, 32][..], &[1; 32], &[2, 32], &[1; 32]].concat();
    p256_desk().expect(&format!("{signed}.{}", encoded(der)), Err(Denial::TokenSignature));
    p256_desk().expect(&format!("{good}AAAA"), Err(Denial::TokenSignature));
}

#[test]
fn each_name_stands_once() {
    let header = r#"{"alg":"ES256","kid":"a"}"#;
    let once = claims().to_string();
    for name in ["exp", "iss", "aud", "sub", "scope"] {
        let twice = once.replacen('{', &format!("{{\"{name}\":{},", claims()[name]), 1);
        p256_desk().expect(&p256().signed(header, &twice), Err(Denial::TokenMalformed));
    }
    let deep = once.replacen('{', r#"{"realm_access":{"roles":["a"],"roles":["b"]},"#, 1);
    p256_desk().expect(&p256().signed(header, &deep), Err(Denial::TokenMalformed));
    // The same name, spelled with an escape.
    let escaped = once.replacen('{', r#"{"\u0073ub":"admin","#, 1);
    p256_desk().expect(&p256().signed(header, &escaped), Err(Denial::TokenMalformed));
    p256_desk().expect(
        &p256().signed(r#"{"alg":"none","alg":"ES256","kid":"a"}"#, &once),
        Err(Denial::TokenMalformed),
    );
    p256_desk().expect(&p256().signed(header, &once), Ok(()));
}

#[test]
fn tokens_are_bounded() {
    let malformed = Err(Denial::TokenMalformed);
    let with = |name: &str, value: Value| {
        p256().token(&json!({ "alg": "ES256", "kid": "a" }), &claims_with(json!({ name: value })))
    };
    p256_desk().expect(&with("filler", json!("x".repeat(8_000))), Ok(()));
    p256_desk().expect(&with("filler", json!("x".repeat(13_000))), malformed);
    p256_desk().expect(&with("filler", json!(vec![0; 1_000])), Ok(()));
    p256_desk().expect(&with("filler", json!(vec![0; 1_100])), malformed);
    let deep = format!("{{\"deep\":{}{}}}", "[".repeat(200), "]".repeat(200));
    p256_desk().expect(&p256().signed(r#"{"alg":"ES256","kid":"a"}"#, &deep), malformed);
    check_header(json!({ "alg": "ES256", "kid": "k".repeat(257) }), malformed);
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let good = p256().good("a");
    let part = encoded("{}");
    let check = |token: &str| p256_desk().expect(token, Err(Denial::TokenMalformed));
    check("");
    check("..");
    check("a.b.c");
    check("abc");
    check(&format!("{part}.{part}"));
    check(&format!("{part}..{part}"));
    check(&format!("{part}.{part}.{part}"));
    check(&format!("{good}="));
    check(&format!("{good} "));
    check(&good.replacen('.', "\n.", 1));
    check(&p256().signed(r#"{"alg":"ES256","kid":"a"}"#, "[]"));
    check(&p256().signed(r#"{"alg":"ES256","kid":"a"}"#, "{} {}"));
    check(&p256().signed(r#"["ES256"]"#, &claims().to_string()));
    check(&p256().signed(r#"{"kid":"a"}"#, &claims().to_string()));
    check(&p256().signed(r#"{"alg":"ES256","kid":7}"#, &claims().to_string()));
    check(&p256().signed("{\"alg\":\"ES256\",\"kid\":\"a\"}\0", &claims().to_string()));
}

#[test]
fn stray_bits_do_not_make_a_second_spelling() {
    // 64 bytes are 86 characters, of which the last carries four bits that mean nothing.
    let good = p256().good("a");
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    let varied = format!("{}{next}", good.strip_suffix(last).unwrap());
    p256_desk().expect(&varied, Err(Denial::TokenMalformed));
}

#[test]
fn a_token_that_names_no_key_costs_a_bounded_number_of_checks() {
    // Eight decoys before the key that signed: it is out of reach.
    let decoys: Vec<Value> = (0..8).map(|_| p256_other().jwk("decoy")).collect();
    let token = p256().token(&json!({ "alg": "ES256" }), &claims());
    let keys = |n: usize| key_set(&[&decoys[..n], &[p256().jwk("a")]].concat());
    desk(keys(7)).expect(&token, Ok(()));
    desk(keys(8)).expect(&token, Err(Denial::TokenSignature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_byte_goes_unnoticed(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_.-]") {
        let desk = p256_desk();
        let good = p256().good("a");
        desk.verify(&good, noon()).unwrap();
        let mut changed = good.clone();
        let at = at.index(good.len());
        changed.replace_range(at..=at, &byte);
        prop_assert_eq!(desk.verify(&changed, noon()).is_ok(), changed == good);
    }

    #[test]
    fn arbitrary_text_is_refused_without_panic(token in "[\\x20-\\x7e]{0,60}", header in ".{0,40}", claims in ".{0,40}") {
        let desk = p256_desk();
        prop_assert!(desk.verify(&token, noon()).is_err());
        prop_assert!(desk.verify(&p256().signed(&header, &claims), noon()).is_err());
        let signed = p256().signed(r#"{"alg":"ES256","kid":"a"}"#, &claims);
        prop_assert!(desk.verify(&signed, noon()).is_err());
    }
}
