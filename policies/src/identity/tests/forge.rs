//! Makes issuers, keys and tokens for the other files. Everything happens at [`NOON`] unless a test says otherwise.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use crate::identity::cache::{TokenCache, TokenCacheSettings};
use crate::identity::jwks::Keyring;
use crate::identity::keys::KeySet;
use crate::identity::*;
use crate::time::{Now, Tick};
use crate::verdict::Denial;
use crate::why::Silent;

/// The wall clock of the tests, in seconds since 1970.
pub(super) const NOON: u64 = 1_800_000_000;

/// A secret long enough for every HMAC.
pub(super) const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(super) fn noon() -> Now {
    later(Duration::ZERO)
}

pub(super) fn later(wait: Duration) -> Now {
    Now { tick: Tick::from_nanos(1).after(wait), unix_secs: NOON + wait.as_secs() }
}

/// The private half of a test key and the algorithm it signs with here.
pub(super) struct Pair {
    pub(super) algorithm: Algorithm,
    key: EncodingKey,
}

pub(super) fn p256() -> Pair {
    pair(Algorithm::ES256)
}

pub(super) fn p256_other() -> Pair {
    let key = EncodingKey::from_ec_pem(include_bytes!("../fixtures/p256-other.pem")).unwrap();
    Pair { algorithm: Algorithm::ES256, key }
}

pub(super) fn pair(algorithm: Algorithm) -> Pair {
    install_provider();
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("../fixtures/p256.pem")),
        Algorithm::ES384 => EncodingKey::from_ec_pem(include_bytes!("../fixtures/p384.pem")),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(include_bytes!("../fixtures/ed25519.pem")),
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Ok(EncodingKey::from_secret(SECRET)),
        _ => EncodingKey::from_rsa_pem(include_bytes!("../fixtures/rsa.pem")),
    };
    Pair { algorithm, key: key.unwrap() }
}

impl Pair {
    /// The public half as a JWK with this id.
    pub(super) fn jwk(&self, id: &str) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = id.into();
        jwk
    }

    /// A token with this header and these claims, signed whatever they say.
    pub(super) fn token(&self, header: &Value, claims: &Value) -> String {
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// As [`Pair::token`], from JSON text, which may say things twice.
    pub(super) fn signed(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = sign(message.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A token that is in order.
    pub(super) fn good(&self, id: &str) -> String {
        self.token(&json!({ "alg": format!("{:?}", self.algorithm), "kid": id }), &claims())
    }
}

pub(super) fn encoded(part: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

/// Claims that pass at noon.
pub(super) fn claims() -> Value {
    json!({
        "iss": "https://id.shop.example", "aud": "shop-api", "sub": "user-7",
        "exp": NOON + 600, "iat": NOON - 10, "scope": "orders:read orders:write",
    })
}

/// [`claims`] with some replaced; `null` takes one away.
pub(super) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

pub(super) fn key_set(jwks: &[Value]) -> KeySet {
    KeySet::from_jwks(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

pub(super) fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "shop".into(),
        issuers: vec!["https://id.shop.example".into()],
        audience: Audience::OneOf(vec!["shop-api".into()]),
        ..IssuerSettings::default()
    }
}

/// An issuer with its keys and a cache.
pub(super) struct Desk {
    pub(super) issuer: Issuer,
    pub(super) keyring: Keyring,
    pub(super) cache: TokenCache,
}

/// A desk with these keys for ever.
pub(super) fn desk(keys: KeySet) -> Desk {
    Desk {
        issuer: Issuer::compile(&settings()).unwrap(),
        keyring: Keyring::fixed(keys),
        cache: TokenCache::new(TokenCacheSettings::default(), [1, 2, 3, 4]),
    }
}

/// The desk of most tests: one P-256 key with the id `a`.
pub(super) fn p256_desk() -> Desk {
    desk(key_set(&[p256().jwk("a")]))
}

impl Desk {
    pub(super) fn with(mut self, change: impl FnOnce(&mut IssuerSettings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        self.issuer = Issuer::compile(&settings).unwrap();
        self
    }

    pub(super) fn check(&self) -> TokenCheck<'_> {
        TokenCheck { issuer: &self.issuer, keyring: &self.keyring, cache: &self.cache, last: None }
    }

    pub(super) fn verify(&self, token: &str, now: Now) -> Result<Arc<Claims>, Refused> {
        self.check().verify(token, now, Asked::NotYet, &mut Silent)
    }

    /// Asserts the verdict on a token at noon, twice: fresh, and as the cache has it.
    #[track_caller]
    pub(super) fn expect(&self, token: &str, expected: Result<(), Denial>) {
        for _ in 0..2 {
            let verdict = self.verify(token, noon()).map(|_| ()).map_err(|refused| match refused {
                Refused::Denial(denial) => denial,
                other => panic!("{other:?}"),
            });
            assert_eq!(verdict, expected, "{token}");
        }
    }
}
