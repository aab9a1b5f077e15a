//! One key: made by `rsa`, which can, and used by `ring`, which is better at it.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::digest;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::OsRng;
use serde::Serialize;
use utoipa::ToSchema;

/// RFC 7518 section 3.3 wants 2048 at least; more makes each login slower, and keys live for a week.
const BITS: usize = 2048;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("a key cannot be made: {0}")]
    Make(String),
    #[error("the key {0} cannot be read")]
    Read(String),
    #[error("there is no key to sign with")]
    None,
    #[error("the key {0} does not sign")]
    Sign(String),
}

/// A key that can sign.
pub(crate) struct Key {
    /// Its name: what it is, hashed (RFC 7638), so that no two keys have the same.
    pub(crate) kid: String,
    pub(super) jwk: Jwk,
    pair: RsaKeyPair,
}

/// Its public half, as RFC 7517 writes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Jwk {
    kty: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: String,
    n: String,
    e: String,
}

/// A new private key: PKCS#8 in base64. It takes a good part of a second: not for threads that serve.
pub(super) fn make() -> Result<String, KeyError> {
    let wrong = |error: &dyn std::fmt::Display| KeyError::Make(error.to_string());
    let key = RsaPrivateKey::new(&mut OsRng, BITS).map_err(|error| wrong(&error))?;
    let der = key.to_pkcs8_der().map_err(|error| wrong(&error))?;
    Ok(BASE64_STANDARD.encode(der.as_bytes()))
}

impl Key {
    /// Reads what [`make`] wrote.
    pub(super) fn read(pkcs8: &str) -> Option<Self> {
        let der = BASE64_STANDARD.decode(pkcs8).ok()?;
        let pair = RsaKeyPair::from_pkcs8(&der).ok()?;
        let public: PublicKeyComponents<Vec<u8>> = pair.public().into();
        let [n, e] = [public.n, public.e].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        // RFC 7638 section 3: these members, in this order, without blanks.
        let text = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
        let jwk = Jwk { kty: "RSA", usage: "sig", alg: "RS256", kid: kid.clone(), n, e };
        Some(Self { kid, jwk, pair })
    }

    /// Signs: RS256.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Sign(self.kid.clone()))?;
        Ok(signature)
    }
}
