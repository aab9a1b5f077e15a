//! Where a message ends: Content-Length and Transfer-Encoding, in one reading only.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Version};

use super::refusal::Refusal;
use super::{End, Framings, Wire};
use crate::verdict::Denial;

/// How a request's body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// With the last chunk.
    Chunked,
    /// After this many bytes.
    Length(u64),
    /// There is none.
    None,
    /// With the HTTP/2 stream; the length was not told.
    Stream,
}

/// What the header fields say about the end of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Declared {
    Chunked,
    Length(u64),
    Nothing,
}

pub(super) fn of_request(head: &Parts, wire: Wire) -> Result<Body, Refusal> {
    if wire.framing == Framings::Both {
        return Err(BOTH);
    }
    let declared = declared(head.version, &head.headers)?;
    if head.method == Method::CONNECT && declared != Declared::Nothing {
        return Err(bad("CONNECT has no body to frame"));
    }
    match (declared, wire.end) {
        (Declared::Chunked | Declared::Length(1..), End::WithHead) => {
            Err(Refusal::new(Denial::BadBody, "a body was announced and the stream ended without one"))
        }
        (Declared::Chunked, _) => Ok(Body::Chunked),
        (Declared::Length(bytes), _) => Ok(Body::Length(bytes)),
        (Declared::Nothing, End::Later) if head.version == Version::HTTP_2 => Ok(Body::Stream),
        (Declared::Nothing, _) => Ok(Body::None),
    }
}

/// RFC 9112 §6.1 allows a server to repair a message with both fields if it closes afterwards. We refuse: the
/// request may have passed a proxy that believed the other field.
pub(super) fn declared(version: Version, headers: &HeaderMap) -> Result<Declared, Refusal> {
    let length = values(headers, &header::CONTENT_LENGTH);
    match (length, values(headers, &header::TRANSFER_ENCODING)) {
        (None, None) => Ok(Declared::Nothing),
        (None, Some(codings)) => chunked(version, codings).map(|()| Declared::Chunked),
        (Some(lengths), None) => length_of(lengths).map(Declared::Length),
        (Some(_), Some(_)) => Err(BOTH),
    }
}

/// What stands in a field, if it is there.
#[derive(Clone, Copy)]
enum Values<'a> {
    One(&'a [u8]),
    Several,
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Values<'a>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_none() { Values::One(first.as_bytes()) } else { Values::Several })
}

/// Exactly one field of exactly one coding. `gzip, chunked` is lawful and nobody sends it; `chunked, chunked` is
/// not, and two servers undo it a different number of times.
fn chunked(version: Version, codings: Values<'_>) -> Result<(), Refusal> {
    match codings {
        // RFC 9112 §6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header
        // field MUST treat the message as if the framing is faulty"; RFC 9113 §8.2.2 for HTTP/2.
        _ if version != Version::HTTP_11 => Err(bad("Transfer-Encoding belongs to HTTP/1.1 only")),
        Values::One(coding) if coding.eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(bad("Transfer-Encoding is something else than one `chunked`")),
    }
}

/// RFC 9110 §8.6 allows a recipient to accept equal duplicates. We do not: the next hop may take the other way out.
fn length_of(lengths: Values<'_>) -> Result<u64, Refusal> {
    match lengths {
        Values::One(digits) => plain_number(digits),
        Values::Several => None,
    }
    .ok_or(bad("Content-Length is not exactly one plain number of at most 64 bits"))
}

/// Digits and nothing else: `u64::from_str` alone would take `+2`.
pub(super) fn plain_number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit & 0xf))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    digits.first()?;
    digits.iter().try_fold(0, add)
}

const BOTH: Refusal = bad("Content-Length and Transfer-Encoding are both there");

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadFraming, because)
}
