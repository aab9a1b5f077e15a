//! The header fields as such: how many, how large, which bytes, which may not repeat.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
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

pub(super) fn check_request(head: &Parts, rules: &Rules) -> Result<(), Refusal> {
    check(&head.headers, rules.fields, rules.obs_text)?;
    let mut before = None;
    for (name, value) in &head.headers {
        // A `HeaderMap` yields the values of one name one after the other.
        if before == Some(name) && SINGLE.contains(name) {
            return Err(bad("a field that has one value is there twice"));
        }
        before = Some(name);
        if rules.underscores == Underscores::Refuse && has_underscore(name) {
            return Err(bad("a header name has an underscore, which some servers take for a hyphen"));
        }
        if head.version == Version::HTTP_2 {
            http2(name, value)?;
        }
    }
    Ok(())
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
    if is_plain(value) {
        return Ok(());
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(bad("a header value holds a control byte"));
    }
    if obs_text == Permission::Refuse && !value.is_ascii() {
        return Err(bad("a header value holds a byte outside ASCII"));
    }
    Ok(())
}

/// Is it nothing but spaces and visible ASCII, as nearly all values are? Eight bytes at a time, the last eight twice if need
/// be.
fn is_plain(value: &[u8]) -> bool {
    match value.last_chunk() {
        Some(last) => value.as_chunks().0.iter().all(|eight| are_plain(*eight)) && are_plain(*last),
        None => value.iter().all(|byte| matches!(byte, b' '..=b'~')),
    }
}

/// A byte below the space borrows and one above the tilde carries, which shows in its highest bit. What spills over from a
/// byte into the next only shows more of what is there already.
fn are_plain(eight: [u8; 8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let bytes = u64::from_ne_bytes(eight);
    let (below, above) = (bytes.wrapping_sub(EACH * 0x20), bytes.wrapping_add(EACH));
    (below | above | bytes) & (EACH * 0x80) == 0
}

/// RFC 9113 §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields", and TE
/// "MUST NOT contain any value other than "trailers"".
fn http2(name: &HeaderName, value: &HeaderValue) -> Result<(), Refusal> {
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "upgrade" => {
            Err(bad("HTTP/2 has no fields about the connection"))
        }
        "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
            Err(bad("TE in HTTP/2 says something else than trailers"))
        }
        _ => Ok(()),
    }
}

fn has_underscore(name: &HeaderName) -> bool {
    name.as_str().as_bytes().contains(&b'_')
}

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHeader, because)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_at_a_time_are_judged_as_each_alone(
            mut value in prop::collection::vec(b' '..=b'~', 0..40),
            odd in any::<u8>(),
            at in any::<prop::sample::Index>(),
        ) {
            prop_assert!(is_plain(&value));
            value.insert(at.index(value.len() + 1), odd);
            prop_assert_eq!(is_plain(&value), matches!(odd, b' '..=b'~'));
            let control = odd != b'\t' && odd.is_ascii_control();
            prop_assert_eq!(check_value(&value, Permission::Allow).is_err(), control);
            prop_assert_eq!(check_value(&value, Permission::Refuse).is_err(), control || !odd.is_ascii());
        }
    }
}
