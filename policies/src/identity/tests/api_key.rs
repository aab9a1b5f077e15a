//! API keys: who is recognised, and what cannot be loaded.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::api_key::*;
use crate::verdict::Denial;
use crate::why::{Notes, Silent};

const PARTNER: &str = "pk_live_0123456789abcdef";
const ROBOT: &str = "pk_live_fedcba9876543210";

fn key(name: &str, secret: ApiSecret) -> ApiKeySettings {
    ApiKeySettings {
        name: name.into(),
        secret,
        scopes: vec!["orders:read".into()],
        labels: [("tier".into(), "gold".into())].into(),
    }
}

fn text(secret: &str) -> ApiSecret {
    ApiSecret::Text(secret.into())
}

fn digest_of(secret: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compile(keys: Vec<ApiKeySettings>) -> Result<ApiKeys, ApiKeysError> {
    ApiKeys::compile(&ApiKeysSettings { keys, ..ApiKeysSettings::default() })
}

fn callers() -> ApiKeys {
    let digest = ApiSecret::Digest(digest_of(ROBOT).to_ascii_uppercase());
    compile(vec![
        key("partner", text(PARTNER)),
        key("robot", digest),
        key("partner", text("the-next-key-of-partner")),
    ])
    .unwrap()
}

#[test]
fn a_key_yields_its_owner() {
    let keys = callers();
    let check = |values: &[&[u8]], expected: Result<&str, Denial>| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-api-key", HeaderValue::from_bytes(value).unwrap());
        }
        let found = keys.find(&headers, &mut Silent).map(|caller| &*caller.name);
        assert_eq!(found, expected, "{values:?}");
    };
    check(&[PARTNER.as_bytes()], Ok("partner"));
    check(&[b"the-next-key-of-partner"], Ok("partner"));
    check(&[ROBOT.as_bytes()], Ok("robot"));
    check(&[], Err(Denial::ApiKeyMissing));
    check(&[b""], Err(Denial::ApiKeyMissing));
    check(&[b"pk_live_0123456789abcdeX"], Err(Denial::ApiKeyUnknown));
    check(&[b"pk_live_0123456789abcde"], Err(Denial::ApiKeyUnknown));
    check(&[digest_of(ROBOT).as_bytes()], Err(Denial::ApiKeyUnknown));
    check(&[&[b'x'; 513]], Err(Denial::ApiKeyUnknown));
    check(&[b"\xff"], Err(Denial::ApiKeyUnknown));
    check(&[PARTNER.as_bytes(), PARTNER.as_bytes()], Err(Denial::ApiKeyUnknown));
}

#[test]
fn an_owner_has_scopes_and_labels() {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static(PARTNER));
    let keys = callers();
    let caller = keys.find(&headers, &mut Silent).unwrap();
    assert!(caller.scopes.holds("orders:read"));
    assert_eq!(caller.labels["tier"], "gold");
}

#[test]
fn another_header_can_be_named() {
    let settings =
        ApiKeysSettings { header: HeaderName::from_static("x-partner"), keys: vec![key("p", text(PARTNER))] };
    let keys = ApiKeys::compile(&settings).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static(PARTNER));
    assert_eq!(keys.find(&headers, &mut Silent), Err(Denial::ApiKeyMissing));
    headers.insert("x-partner", HeaderValue::from_static(PARTNER));
    assert!(keys.find(&headers, &mut Silent).is_ok());
    assert_eq!(keys.header(), "x-partner");
}

#[test]
fn keys_that_can_be_guessed_or_shared_are_refused() {
    let error = |keys| compile(keys).unwrap_err().to_string();
    assert_eq!(error(vec![key("p", text("short"))]), "API key `p` must have 16 to 512 bytes");
    assert_eq!(error(vec![key("p", text(&"x".repeat(513)))]), "API key `p` must have 16 to 512 bytes");
    let not_hex = "the digest of API key `p` is not 64 hexadecimal digits";
    assert_eq!(error(vec![key("p", ApiSecret::Digest("abc".into()))]), not_hex);
    assert_eq!(error(vec![key("p", ApiSecret::Digest("+f".repeat(32)))]), not_hex);
    let twice = vec![key("p", text(PARTNER)), key("q", ApiSecret::Digest(digest_of(PARTNER)))];
    assert_eq!(error(twice), "`p` and `q` have the same API key");
    assert!(compile(vec![]).is_ok());
}

#[test]
fn no_secret_is_ever_written() {
    let settings = key("partner", text(PARTNER));
    assert!(!format!("{settings:?}").contains(PARTNER));
    let mut notes = Notes::default();
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static(PARTNER));
    let keys = callers();
    keys.find(&headers, &mut notes).unwrap();
    headers.insert("x-api-key", HeaderValue::from_static("wrong"));
    keys.find(&headers, &mut notes).unwrap_err();
    let words: Vec<_> = notes.0.iter().map(|note| note.words.as_str()).collect();
    assert_eq!(words, ["the key is that of `partner`", "`x-api-key` is not one known key"]);
}
