//! The header fields as such: how many, how large, which bytes, which may not repeat.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Version, response};
use smallvec::SmallVec;

use super::refusal::Refusal;
use super::rules::{FieldLimits, Permission, Rules, Underscores};
use crate::headers::Fields;
use crate::verdict::Denial;

/// What each field costs beside its name and value when HTTP/1 writes it: colon, space, CR, LF.
const FIELD_OVERHEAD: usize = 4;

/// Fields of which policies and services read one value. A second one would be seen by some of them only.
static SINGLE: [HeaderName; 8] = [
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_RANGE,
    header::ORIGIN,
    header::RANGE,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
];

/// RFC 9113 §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields".
static HTTP1_ONLY: [HeaderName; 4] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::UPGRADE,
];

pub(super) fn check_request(head: &Parts, rules: &Rules) -> Result<(), Refusal> {
    check(&head.headers, rules.fields, rules.obs_text)?;
    no_repeats(&head.headers)?;
    if rules.underscores == Underscores::Refuse && head.headers.keys().any(has_underscore) {
        return Err(bad("a header name has an underscore, which some servers take for a hyphen"));
    }
    if head.version == Version::HTTP_2 { http2(&head.headers) } else { Ok(()) }
}

/// Answers may repeat what they like and name it as they like: the client judges them, not our policies.
pub(super) fn check_answer(head: &response::Parts, rules: &Rules) -> Result<(), Refusal> {
    check(&head.headers, rules.answer_fields, Permission::Allow)
}

/// Removes header fields whose name has an underscore, if the rules say so. To be called right after
/// [`super::inspect`], before any policy reads a header.
pub fn drop_underscored(fields: &mut impl Fields, rules: &Rules) {
    if rules.underscores != Underscores::Drop {
        return;
    }
    let names: SmallVec<[HeaderName; 4]> =
        fields.all().keys().filter(|name| has_underscore(name)).cloned().collect();
    for name in &names {
        fields.remove(name);
    }
}

/// Names need no look: `HeaderName` cannot hold anything but a token. Values do, since both libraries make them
/// from a parser's output without checking again.
fn check(headers: &HeaderMap, limits: FieldLimits, obs_text: Permission) -> Result<(), Refusal> {
    if headers.len() > limits.count_max {
        return Err(Refusal::new(Denial::HeadersTooLarge, "there are more header fields than allowed"));
    }
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len() + FIELD_OVERHEAD;
        check_value(value.as_bytes(), obs_text)?;
    }
    if bytes > limits.bytes_max {
        return Err(Refusal::new(Denial::HeadersTooLarge, "the header fields are larger than allowed"));
    }
    Ok(())
}

/// RFC 9110 §5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous".
pub(super) fn check_value(value: &[u8], obs_text: Permission) -> Result<(), Refusal> {
    // No early exit, so that the compiler can look at sixteen bytes at once.
    let (control, high) = value.iter().fold((false, false), |(control, high), &byte| {
        (control | (byte < b' ' && byte != b'\t') | (byte == 0x7f), high | !byte.is_ascii())
    });
    if control {
        return Err(bad("a header value holds a control byte"));
    }
    if high && obs_text == Permission::Refuse {
        return Err(bad("a header value holds a byte outside ASCII"));
    }
    Ok(())
}

/// A `HeaderMap` yields the values of one name one after the other.
fn no_repeats(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut before = None;
    for name in headers.iter().map(|(name, _)| name) {
        if before == Some(name) && SINGLE.contains(name) {
            return Err(bad("a field that has one value is there twice"));
        }
        before = Some(name);
    }
    Ok(())
}

fn http2(headers: &HeaderMap) -> Result<(), Refusal> {
    if HTTP1_ONLY.iter().any(|name| headers.contains_key(name)) {
        return Err(bad("HTTP/2 has no fields about the connection"));
    }
    // RFC 9113 §8.2.2: TE "MUST NOT contain any value other than "trailers"".
    if headers.get_all(header::TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        return Err(bad("TE in HTTP/2 says something else than trailers"));
    }
    Ok(())
}

fn has_underscore(name: &HeaderName) -> bool {
    name.as_str().as_bytes().contains(&b'_')
}

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHeader, because)
}
