//! The ring provider against every algorithm we take.

use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{DecodingKey, decode_header};
use serde_json::json;

use super::forge::*;
use crate::identity::keys::KeySet;
use crate::identity::*;

const ALL: [Algorithm; 12] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];

#[test]
fn every_algorithm_signs_and_verifies() {
    for algorithm in ALL {
        let pair = pair(algorithm);
        let keys = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => KeySet::from_secret(SECRET).unwrap(),
            _ => key_set(&[pair.jwk("a")]),
        };
        desk(keys).expect(&pair.good("a"), Ok(()));
    }
}

#[test]
fn the_library_verifies_with_ring_too() {
    for algorithm in ALL {
        let pair = pair(algorithm);
        let token = pair.good("a");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let key = DecodingKey::from_jwk(&serde_json::from_value(pair.jwk("a")).unwrap()).unwrap();
        assert!(verify(signature, message.as_bytes(), &key, algorithm).unwrap(), "{algorithm:?}");
        assert!(!verify(signature, b"another message", &key, algorithm).unwrap(), "{algorithm:?}");
        assert_eq!(decode_header(&token).unwrap().alg, algorithm);
    }
}

#[test]
fn the_provider_refuses_keys_of_another_kind() {
    let key = DecodingKey::from_jwk(&serde_json::from_value(p256().jwk("a")).unwrap()).unwrap();
    assert!(verify("AAAA", b"", &key, Algorithm::HS256).is_err());
    assert!(verify("AAAA", b"", &key, Algorithm::ES384).is_err());
    assert!(verify("AAAA", b"", &DecodingKey::from_secret(b"short"), Algorithm::HS256).is_err());
}

#[test]
fn a_signature_made_elsewhere_is_verified() {
    // The example of RFC 7515 appendix A.3, which nobody here signed.
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    install_provider();
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap();
    assert!(verify(signature, message.as_bytes(), &key, Algorithm::ES256).unwrap());
}

#[test]
fn thumbprints_follow_their_rfc() {
    // RFC 7638 section 3.1.
    install_provider();
    let jwk: Jwk = serde_json::from_value(json!({
        "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    }))
    .unwrap();
    assert_eq!(
        jwk.thumbprint(ThumbprintHash::SHA256).unwrap(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn installing_again_from_everywhere_is_harmless() {
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| install_provider()));
        }
    });
    assert!(!p256().good("a").is_empty());
}

#[test]
fn algorithms_are_known_by_their_exact_names() {
    for known in ALL {
        assert_eq!(algorithm(&format!("{known:?}")), Some(known));
        assert!(AlgorithmSet::all().contains(known));
    }
    assert_eq!(algorithm("Ed25519"), Some(Algorithm::EdDSA));
    for unknown in ["none", "es256", "ES512", "ES256K", "HS1", "RSA-OAEP", "", "ES256 "] {
        assert_eq!(algorithm(unknown), None, "{unknown}");
    }
}
