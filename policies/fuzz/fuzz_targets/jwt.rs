//! No bytes are a valid token, and none stop the verifier; no bytes that are a key set stop its reader.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use policies::identity::cache::{TokenCache, TokenCacheSettings};
use policies::identity::jwks::Keyring;
use policies::identity::keys::KeySet;
use policies::identity::{Asked, Audience, Issuer, IssuerSettings, TokenCheck};
use policies::time::Now;
use policies::why::Silent;

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let settings = IssuerSettings {
        name: "shop".into(),
        issuers: vec!["https://id.shop.example".into()],
        audience: Audience::OneOf(vec!["shop-api".into()]),
        ..IssuerSettings::default()
    };
    Issuer::compile(&settings).expect("the settings are good")
});
static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    Keyring::fixed(KeySet::from_secret(b"a secret of more than thirty-two bytes, for tests").expect("long enough"))
});
static CACHE: LazyLock<TokenCache> = LazyLock::new(|| TokenCache::new(TokenCacheSettings::default(), [1, 2, 3, 4]));

fuzz_target!(|data: &[u8]| {
    let _ = KeySet::from_jwks(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = KeySet::from_pem(text);
    let check = TokenCheck { issuer: &ISSUER, keyring: &KEYRING, cache: &CACHE, last: None };
    assert!(check.verify(text, Now::default(), Asked::Already, &mut Silent).is_err());
});
