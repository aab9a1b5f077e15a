//! The same for answers: what a service sends must be readable in one way only, or its end is not believed.

use http::header::{self, HeaderMap};
use http::response::Parts;
use http::{Method, StatusCode, Version};

use super::fields;
use super::framing::{self, Declared};
use super::refusal::Refusal;
use super::rules::Rules;
use crate::headers::hop::Upgrade;
use crate::headers::sole;
use crate::verdict::{Denial, Fault};
use crate::why::Witness;

/// What the answer is an answer to.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method that was sent.
    pub method: &'a Method,
    /// The protocol that was asked for, and sent on.
    pub upgrade: Option<Upgrade>,
}

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AnswerBody {
    /// With the last chunk.
    Chunked,
    /// After this many bytes.
    Length(u64),
    /// There is none, whatever the fields say: interim answers, 204, 304, answers to HEAD.
    None,
    /// With the HTTP/2 stream; the length was not told.
    Stream,
    /// Never: from here on both sides speak another protocol.
    Tunnel,
    /// When the service closes the connection.
    UntilClose,
}

/// Looks an answer's head over. On `Err` nothing of the answer is passed on and its connection is closed.
pub fn inspect_answer(
    head: &Parts,
    asked: &Asked<'_>,
    rules: &Rules,
    why: &mut impl Witness,
) -> Result<AnswerBody, Fault> {
    examine(head, asked, rules).map_err(|refusal| {
        why.note("guard", || refusal.because.to_owned());
        match refusal.denial {
            Denial::HeadersTooLarge => Fault::AnswerTooLarge,
            _ => Fault::AnswerMalformed,
        }
    })
}

fn examine(head: &Parts, asked: &Asked<'_>, rules: &Rules) -> Result<AnswerBody, Refusal> {
    if head.status.as_u16() > 599 {
        return Err(bad("the status is above 599"));
    }
    fields::check_answer(head, rules)?;
    let declared = framing::declared(head.version, &head.headers)?;
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS => switched(&head.headers, declared, asked),
        status if status.is_informational() || status == StatusCode::NO_CONTENT => bodiless(declared),
        status if *asked.method == Method::CONNECT && status.is_success() => Ok(AnswerBody::Tunnel),
        // RFC 9110 §8.6: these tell the length a GET would have had.
        StatusCode::NOT_MODIFIED => Ok(AnswerBody::None),
        _ if *asked.method == Method::HEAD => Ok(AnswerBody::None),
        _ => Ok(body(head.version, declared)),
    }
}

/// A tunnel opens only if we asked for it and the service chose what we asked for. Everything else, a 200
/// included, is an ordinary answer on an ordinary connection.
fn switched(headers: &HeaderMap, declared: Declared, asked: &Asked<'_>) -> Result<AnswerBody, Refusal> {
    let Some(upgrade) = asked.upgrade else {
        return Err(bad("the service changed the protocol unasked"));
    };
    let chosen = sole(headers, &header::UPGRADE).unwrap_or_default();
    if !chosen.eq_ignore_ascii_case(upgrade.as_str()) {
        return Err(bad("the service changed to another protocol than it was asked for"));
    }
    bodiless(declared).map(|_| AnswerBody::Tunnel)
}

/// RFC 9110 §8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx
/// (Informational) or 204 (No Content)". A zero is common and harmless; more is a body some client would wait for.
fn bodiless(declared: Declared) -> Result<AnswerBody, Refusal> {
    match declared {
        Declared::Length(0) | Declared::Nothing => Ok(AnswerBody::None),
        Declared::Chunked | Declared::Length(_) => Err(bad("a body was announced where there can be none")),
    }
}

fn body(version: Version, declared: Declared) -> AnswerBody {
    match declared {
        Declared::Chunked => AnswerBody::Chunked,
        Declared::Length(bytes) => AnswerBody::Length(bytes),
        Declared::Nothing if version == Version::HTTP_2 => AnswerBody::Stream,
        Declared::Nothing => AnswerBody::UntilClose,
    }
}

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadFraming, because)
}
