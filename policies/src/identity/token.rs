//! A token's outer form: three parts, and a header that asks for nothing we do not grant.
//!
//! The header is written by whoever made the token, so nothing in it is believed: it names an algorithm and a key,
//! and both only choose among what the issuer's keys allow. Headers that carry or point to keys are refused rather
//! than ignored, because a token that has one was made for a verifier that can be fooled.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, algorithm};
use super::json;
use super::keys::KEY_ID_BYTES_MAX;
use crate::verdict::Denial;

/// Twice what servers take for a whole request head; real tokens have 600 bytes to 4 KiB.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What is wrong with a token: the answer, and the words for whoever asks why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Flaw(pub(super) Denial, pub(super) &'static str);

const fn malformed(words: &'static str) -> Flaw {
    Flaw(Denial::TokenMalformed, words)
}

/// The three parts of a token, still encoded, and the text that is signed.
pub(super) struct Parts<'t> {
    pub(super) header: &'t str,
    pub(super) payload: &'t str,
    pub(super) signature: &'t str,
    pub(super) signed: &'t str,
}

/// Takes a token apart. Exactly two dots: an encrypted token has four, and an unsigned one has nothing after the last.
pub(super) fn split(token: &str) -> Result<Parts<'_>, Flaw> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed("the token is longer than 16 KiB"));
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(malformed("the token has no dots"))?;
    let (header, payload) = signed.split_once('.').ok_or(malformed("the token has one dot, not two"))?;
    if payload.contains('.') {
        return Err(malformed("the token has more than two dots"));
    }
    if signature.is_empty() {
        return Err(Flaw(Denial::TokenMalformed, "the token is not signed"));
    }
    Ok(Parts { header, payload, signature, signed })
}

/// RFC 7515 section 2: base64url "with all trailing '=' characters omitted". One spelling for each value: stray bits
/// at the end are refused, or a token could be varied without breaking its signature.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, Flaw> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed("a part of the token is not base64url"))
}

/// What a token's header may say.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<Box<str>>,
    pub(super) typ: Option<Box<str>>,
}

impl Header {
    /// Reads a header, or says what in it is refused.
    pub(super) fn parse(part: &str) -> Result<Self, Flaw> {
        let members = json::object(&decode(part)?)
            .ok_or(malformed("the token's header is not a JSON object with each name once"))?;
        refuse_extensions(&members)?;
        refuse_keys(&members)?;
        refuse_nesting(&members)?;
        let name = text(&members, "alg")?.ok_or(malformed("the token's header names no algorithm"))?;
        let algorithm = algorithm(name)
            .ok_or(Flaw(Denial::TokenAlgorithm, "the token's algorithm is none that we verify"))?;
        let key_id = text(&members, "kid")?;
        if key_id.is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(malformed("the token's key id is longer than 256 bytes"));
        }
        Ok(Self { algorithm, key_id: key_id.map(Box::from), typ: text(&members, "typ")?.map(Box::from) })
    }
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Flaw> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed("alg, kid or typ of the token's header is not a string")),
    }
}

/// RFC 7515 section 4.1.11: "If any of the listed extension Header Parameters are not understood and supported by the
/// recipient, then the JWS is invalid." We support none, and an empty list is invalid too. RFC 7797 section 3: with
/// `b64` false the signature covers other bytes than we would check.
fn refuse_extensions(members: &Map<String, Value>) -> Result<(), Flaw> {
    if members.contains_key("crit") {
        return Err(Flaw(
            Denial::TokenCritical,
            "the token's header has `crit`, and no extension is supported",
        ));
    }
    match members.get("b64") {
        None | Some(Value::Bool(true)) => Ok(()),
        Some(_) => Err(Flaw(Denial::TokenCritical, "the token's payload is not base64url (`b64`)")),
    }
}

fn refuse_keys(members: &Map<String, Value>) -> Result<(), Flaw> {
    match ["jku", "jwk", "x5c", "x5u"].iter().any(|name| members.contains_key(*name)) {
        true => Err(Flaw(Denial::TokenOwnKey, "the token brings its own key or says where to get it")),
        false => Ok(()),
    }
}

/// RFC 7519 section 5.2: a nested token says `cty: JWT`; `enc` and `zip` belong to encrypted ones.
fn refuse_nesting(members: &Map<String, Value>) -> Result<(), Flaw> {
    let nested = text(members, "cty").ok().flatten().is_some_and(|cty| cty.eq_ignore_ascii_case("jwt"));
    match nested || members.contains_key("enc") || members.contains_key("zip") {
        true => Err(malformed("the token is nested, encrypted or compressed")),
        false => Ok(()),
    }
}
