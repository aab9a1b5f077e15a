//! What the shop has said, and what it means. The contract is in `examples/README.md`.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::figures::{Kind, Outcome};

/// What the shop has said.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, if it is JSON.
    pub body: Value,
    /// What became of the wish.
    pub outcome: Outcome,
}

/// What the shop means.
pub(super) fn understood(kind: Kind, status: u16, headers: HeaderMap, bytes: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    // Services name it `error`, the proxies `slug`.
    let slug = ["slug", "error"].iter().find_map(|name| word(body.get(name)?)).unwrap_or_default();
    let told = |word: &str| if word.is_empty() { status.to_string() } else { word.to_owned() };
    let outcome = match (kind, status, slug.as_str()) {
        (Kind::Order, 201 | 202, _) => {
            Outcome::Fine(told(&body.get("status").and_then(word).unwrap_or_default()))
        }
        (Kind::Order, 409, "out_of_stock") | (Kind::Order, 402, "payment_declined") => {
            Outcome::Fine(slug.clone())
        }
        // Somebody has bought here before; or the shop has changed its mind about who must sign in.
        (Kind::Register, 409, _) => Outcome::Fine("known".to_owned()),
        (_, 401, slug) if slug.starts_with("token-") => Outcome::Fine("signed out".to_owned()),
        (Kind::Page, 200..=399, _) => Outcome::Fine("ok".to_owned()),
        (_, 200..=299, _) if body.is_object() => Outcome::Fine("ok".to_owned()),
        (_, 200..=299, _) => Outcome::Wrong("not JSON".to_owned()),
        (_, 429, _) | (_, 503, "overloaded" | "bulkhead-full" | "bulkhead-timeout" | "breaker-open") => {
            Outcome::Refused(told(&slug))
        }
        _ => Outcome::Wrong(if slug.is_empty() { status.to_string() } else { format!("{status} {slug}") }),
    };
    Answer { status, headers, body, outcome }
}

pub(super) fn silence(error: &reqwest::Error) -> Answer {
    let why = if error.is_timeout() { "no answer in time" } else { "connection broken" };
    Answer {
        status: 0,
        headers: HeaderMap::new(),
        body: Value::Null,
        outcome: Outcome::Wrong(why.to_owned()),
    }
}

/// A text, or a number where the monolith counts.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
