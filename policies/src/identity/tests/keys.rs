//! Key sets: what is read, what is left out, what is refused.

use serde_json::{Value, json};

use super::forge::*;
use crate::identity::Algorithm;
use crate::identity::keys::{KeyFault, KeySet, KeysError};

fn changed(mut jwk: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
            value => jwk[name] = value.clone(),
        }
    }
    jwk
}

/// The fault of one JWK beside a good one.
#[track_caller]
fn check(jwk: Value, expected: Option<KeyFault>) {
    let keys = key_set(&[p256().jwk("good"), jwk.clone()]);
    assert_eq!(keys.skipped().first().map(|skipped| skipped.fault), expected, "{jwk}");
    assert_eq!(keys.len() + keys.skipped().len(), 2);
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_named() {
    let ec = || p256().jwk("ec");
    let rsa = || pair(Algorithm::RS256).jwk("rsa");
    let ed = || pair(Algorithm::EdDSA).jwk("ed");
    check(ec(), None);
    check(rsa(), None);
    check(ed(), None);
    check(pair(Algorithm::ES384).jwk("ec"), None);
    check(changed(ec(), json!({ "use": "sig", "key_ops": ["verify"], "x5c": ["odd"], "kid": null })), None);
    check(changed(ec(), json!({ "alg": null })), None);
    check(changed(ed(), json!({ "alg": "Ed25519" })), None);

    check(changed(ec(), json!({ "use": "enc" })), Some(KeyFault::ForOtherUse));
    check(changed(ec(), json!({ "key_ops": ["deriveKey"] })), Some(KeyFault::ForOtherUse));
    check(changed(ec(), json!({ "kty": "XYZ" })), Some(KeyFault::Kind));
    check(changed(ec(), json!({ "kty": null })), Some(KeyFault::Kind));
    check(json!("key"), Some(KeyFault::Unreadable));
    check(changed(ec(), json!({ "d": "AAAA" })), Some(KeyFault::Private));
    check(json!({ "kty": "oct", "k": encoded(SECRET), "alg": "HS256" }), Some(KeyFault::PublishedSecret));
    check(changed(rsa(), json!({ "alg": "RSA-OAEP" })), Some(KeyFault::OtherAlgorithm));
    check(changed(rsa(), json!({ "alg": "HS256" })), Some(KeyFault::OtherAlgorithm));
    check(changed(rsa(), json!({ "alg": "ES256" })), Some(KeyFault::OtherAlgorithm));
    check(changed(rsa(), json!({ "alg": "none" })), Some(KeyFault::OtherAlgorithm));
    check(changed(ec(), json!({ "alg": 256 })), Some(KeyFault::Unreadable));
    check(changed(ec(), json!({ "crv": "secp256k1" })), Some(KeyFault::Curve));
    check(changed(ec(), json!({ "crv": "P-521" })), Some(KeyFault::Curve));
    check(changed(ec(), json!({ "crv": "P-384", "alg": null })), Some(KeyFault::Curve));
    check(changed(ed(), json!({ "crv": "Ed448" })), Some(KeyFault::Curve));
    check(changed(ed(), json!({ "crv": "P-256" })), Some(KeyFault::Curve));
    check(changed(ed(), json!({ "x": encoded([0; 31]) })), Some(KeyFault::Unreadable));
    check(changed(ec(), json!({ "x": "!" })), Some(KeyFault::Unreadable));
    check(changed(rsa(), json!({ "n": null })), Some(KeyFault::Unreadable));
    check(changed(ec(), json!({ "kid": "k".repeat(257) })), Some(KeyFault::IdTooLong));
}

#[test]
fn weak_rsa_keys_are_refused() {
    let rsa = || pair(Algorithm::RS256).jwk("rsa");
    let modulus = |bytes: usize, first: u8| {
        let mut n = vec![0xff; bytes];
        n[0] = first;
        changed(rsa(), json!({ "n": encoded(n) }))
    };
    check(modulus(256, 0x7f), Some(KeyFault::RsaSize { bits: 2047 }));
    check(modulus(256, 0x80), None);
    check(modulus(257, 0x00), None);
    check(modulus(128, 0xff), Some(KeyFault::RsaSize { bits: 1024 }));
    check(modulus(1024, 0xff), None);
    check(modulus(1025, 0x01), Some(KeyFault::RsaSize { bits: 8193 }));
    check(changed(rsa(), json!({ "n": "" })), Some(KeyFault::RsaSize { bits: 0 }));
    for exponent in [&[1][..], &[0, 1], &[2], &[], &[1, 0, 0, 0, 0, 1]] {
        check(changed(rsa(), json!({ "e": encoded(exponent) })), Some(KeyFault::RsaExponent));
    }
    check(changed(rsa(), json!({ "e": encoded([3]) })), None);
    let pem = KeySet::from_pem(include_str!("../fixtures/rsa1024.pub.pem"));
    assert_eq!(pem.unwrap_err(), KeysError::Single(KeyFault::RsaSize { bits: 1024 }));
}

#[test]
fn a_set_without_a_usable_key_is_an_error_that_says_why() {
    let error = |json: &str| KeySet::from_jwks(json.as_bytes()).unwrap_err();
    for json in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":[]"#, "<html>"] {
        assert_eq!(error(json), KeysError::NotASet, "{json}");
    }
    assert_eq!(error(r#"{"keys":[]}"#), KeysError::NoUsableKey { skipped: vec![] });
    assert_eq!(
        error(r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"s"},{"kty":"EC","use":"enc"}]}"#).to_string(),
        "no key in the set can be used; \
         key 0 (\"s\"): it is a shared secret in a published set, which everybody can read now; \
         key 1: it is not published for checking signatures",
    );
}

#[test]
fn sets_are_bounded() {
    let of = |keys: usize| {
        KeySet::from_jwks(json!({ "keys": vec![p256().jwk("a"); keys] }).to_string().as_bytes())
    };
    assert_eq!(of(64).unwrap().len(), 64);
    assert_eq!(of(65).unwrap_err(), KeysError::TooMany);
    assert_eq!(KeySet::from_jwks(&vec![b' '; 256 * 1024 + 1]).unwrap_err(), KeysError::TooLarge);
}

#[test]
fn pem_keys_verify_tokens_whatever_key_they_name() {
    let pems = [
        (Algorithm::RS256, include_str!("../fixtures/rsa.pub.pem")),
        (Algorithm::ES256, include_str!("../fixtures/p256.pub.pem")),
        (Algorithm::ES384, include_str!("../fixtures/p384.pub.pem")),
        (Algorithm::EdDSA, include_str!("../fixtures/ed25519.pub.pem")),
    ];
    for (algorithm, pem) in pems {
        let desk = desk(KeySet::from_pem(pem).unwrap());
        desk.expect(&pair(algorithm).good("whatever"), Ok(()));
        let nameless = pair(algorithm).token(&json!({ "alg": format!("{algorithm:?}") }), &claims());
        desk.expect(&nameless, Ok(()));
    }
    let all: String = pems.iter().map(|(_, pem)| format!("a remark\n{pem}\n")).collect();
    let desk = desk(KeySet::from_pem(&all).unwrap());
    for (algorithm, _) in pems {
        desk.expect(&pair(algorithm).good("whatever"), Ok(()));
    }
}

#[test]
fn only_public_keys_are_read_from_pem() {
    let error = |pem: &str| KeySet::from_pem(pem).unwrap_err();
    assert_eq!(error(""), KeysError::Single(KeyFault::PemLabel));
    assert_eq!(error("hello"), KeysError::Single(KeyFault::PemLabel));
    assert_eq!(error(include_str!("../fixtures/rsa.pem")), KeysError::Single(KeyFault::PemLabel));
    assert_eq!(error(include_str!("../fixtures/p256.pem")), KeysError::Single(KeyFault::PemLabel));
    assert_eq!(error(include_str!("../fixtures/p521.pub.pem")), KeysError::Single(KeyFault::Curve));
    assert_eq!(
        error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        KeysError::Single(KeyFault::PemLabel)
    );
    assert_eq!(
        error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        KeysError::Single(KeyFault::Unreadable)
    );
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    let check = |bytes: usize, algorithm: Algorithm, passes: bool| {
        let set = KeySet::from_secret(&SECRET[..bytes]).unwrap();
        let key = set.iter().next().unwrap();
        assert_eq!(key.may_verify(algorithm), passes, "{bytes} {algorithm:?}");
    };
    check(32, Algorithm::HS256, true);
    check(32, Algorithm::HS384, false);
    check(48, Algorithm::HS384, true);
    check(48, Algorithm::HS512, false);
    check(64, Algorithm::HS512, true);
    check(64, Algorithm::RS256, false);
    assert_eq!(KeySet::from_secret(&SECRET[..31]).unwrap_err(), KeysError::Single(KeyFault::SecretShort));
    desk(KeySet::from_secret(SECRET).unwrap()).expect(&pair(Algorithm::HS256).good("a"), Ok(()));
}

#[test]
fn printing_keys_shows_no_secret() {
    let shown = format!("{:?}", KeySet::from_secret(SECRET).unwrap());
    assert_eq!(shown, r#"[(None, {"HS256", "HS384", "HS512"})]"#);
}

#[test]
fn keys_with_one_id_are_told_apart_by_algorithm() {
    let keys = key_set(&[pair(Algorithm::RS256).jwk("a"), p256().jwk("a"), p256_other().jwk("a")]);
    let desk = desk(keys);
    for pair in [pair(Algorithm::RS256), p256(), p256_other()] {
        desk.expect(&pair.good("a"), Ok(()));
    }
}
