//! The answers we give ourselves, whole: status, header fields, body. For a refusal, a fault, a fixed answer.
//!
//! A problem document (RFC 9457) for most callers; `grpc-status` without a body for a gRPC caller, which reads nothing
//! else. The shells write what they get, in whatever their HTTP library calls an answer. Read [`Reply::refusal`].

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};

use crate::admit::{Because, LocalAnswer, Refusal, problem};
use crate::headers::limits::{self, Standing};
use crate::headers::{Fields, GRPC_STATUS, RequestId, X_REQUEST_ID};
use crate::limit::Outcome;
use crate::plan::{FixedAnswer, Grpc, Limit, Route};
use crate::verdict::{Blame, Denial, Row};

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// An answer of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields, Content-Length among them where there may be one.
    pub headers: HeaderMap,
    /// The body; empty for HEAD.
    pub body: Vec<u8>,
}

/// What the caller speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Speaks {
    /// gRPC: it reads `grpc-status`.
    Grpc,
    /// HTTP.
    Http,
}

impl Speaks {
    /// What this caller speaks: as its route says, or as its content type shows.
    pub fn of(head: &Parts, route: Option<&Route>) -> Self {
        let typed = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        // gRPC over HTTP2: "Content-Type → "application/grpc" [("+proto" / "+json" / {custom})]".
        let seen = typed.is_some_and(|typed| {
            typed
                .strip_prefix(b"application/grpc")
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
        });
        let said = route.is_some_and(|route| route.grpc == Grpc::Always);
        if seen || said { Self::Grpc } else { Self::Http }
    }
}

/// To whom it is said.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// The method that was used; HEAD gets no body.
    pub method: &'a Method,
    /// What it speaks.
    pub speaks: Speaks,
    /// The name of its request.
    pub request_id: &'a RequestId,
}

impl Reply {
    /// The answer to a refused request.
    pub fn refusal(refusal: &Refusal, to: Listener<'_>) -> Self {
        let mut reply = Self::because(refusal.because, refusal.retry_after, to);
        if let Some(allow) = &refusal.allow {
            reply.headers.insert(header::ALLOW, allow.clone());
        }
        if let Some((limit, outcome)) = refusal.standing() {
            set_standing(&mut reply.headers, limit, outcome);
        }
        reply
    }

    /// The answer for a denial or a fault.
    pub fn because(because: Because, retry_after: Option<Duration>, to: Listener<'_>) -> Self {
        let row = because.row();
        let mut reply = match to.speaks {
            Speaks::Grpc => Self::grpc(&row),
            Speaks::Http => Self::http(&row, to),
        };
        reply.headers.insert(X_REQUEST_ID, to.request_id.value().clone());
        if let Some(wait) = retry_after {
            limits::set_retry_after(&mut reply.headers, wait);
        }
        reply
    }

    /// A route's own answer.
    pub fn local(answer: &LocalAnswer, to: Listener<'_>) -> Self {
        Self::whole(answer.status, answer.headers.clone(), &answer.body, to)
    }

    /// A fixed answer, as a fallback gives it.
    pub fn fixed(answer: &FixedAnswer, to: Listener<'_>) -> Self {
        Self::whole(answer.status, answer.headers.iter().cloned().collect(), &answer.body, to)
    }

    fn whole(status: StatusCode, mut headers: HeaderMap, body: &str, to: Listener<'_>) -> Self {
        headers.insert(X_REQUEST_ID, to.request_id.value().clone());
        // RFC 9110 §8.6: none of the two has a Content-Length.
        let bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let body = if bodiless { "" } else { body };
        if !bodiless {
            headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        if !body.is_empty() && !headers.contains_key(header::CONTENT_TYPE) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        Self { status, headers, body: if *to.method == Method::HEAD { Vec::new() } else { body.into() } }
    }

    fn http(row: &Row, to: Listener<'_>) -> Self {
        let body = problem(row, to.request_id.as_str());
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if row.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, challenge(row));
        }
        Self {
            status: row.status,
            headers,
            body: if *to.method == Method::HEAD { Vec::new() } else { body.into_bytes() },
        }
    }

    /// An answer of trailers only: gRPC callers take the status from there, and 200 is the only HTTP status they expect.
    fn grpc(row: &Row) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(row.grpc as u8)));
        if let Ok(message) = HeaderValue::try_from(format!("{}: {}", row.slug, row.says)) {
            headers.insert(GRPC_MESSAGE, message);
        }
        Self { status: StatusCode::OK, headers, body: Vec::new() }
    }
}

/// RFC 9110 §11.6.1: a 401 "MUST send a WWW-Authenticate header field". The error is the one of RFC 6750 §3.1.
fn challenge(row: &Row) -> HeaderValue {
    let missing = [Denial::TokenMissing, Denial::ApiKeyMissing, Denial::PeerUnknown];
    let bare = missing.iter().any(|denial| denial.slug() == row.slug);
    match (row.slug.starts_with("api-key"), bare, row.blame) {
        (true, ..) => HeaderValue::from_static("ApiKey"),
        (false, true, _) => HeaderValue::from_static("Bearer"),
        (false, false, Blame::Client) => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        _ => HeaderValue::from_static("Bearer"),
    }
}

/// Tells the caller where it stands with the limit that binds it most.
pub fn set_standing(fields: &mut impl Fields, limit: &Limit, outcome: Outcome) {
    let (remaining, reset) = match outcome {
        Outcome::Allowed { remaining, reset_after } => (remaining.into(), reset_after),
        Outcome::Limited { reset_after, .. } => (0, reset_after),
    };
    let quota = u64::from(limit.rate.count);
    let standing = Standing { policy: &limit.name, quota, remaining, reset, window: limit.rate.per };
    limits::set_standings(fields, &[standing]);
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use http::Request;

    use super::*;
    use crate::verdict::Fault;

    fn said(because: impl Into<Because>, method: &Method, speaks: Speaks) -> Reply {
        let request_id = RequestId::made_from(7);
        Reply::because(because.into(), None, Listener { method, speaks, request_id: &request_id })
    }

    #[test]
    fn a_refusal_is_a_problem_document() {
        let reply = said(Denial::TokenExpired, &Method::GET, Speaks::Http);
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        assert_eq!(reply.headers["content-length"], reply.body.len().to_string());
        assert_eq!(reply.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
        let body = String::from_utf8(reply.body).unwrap();
        assert!(body.contains("\"slug\":\"token-expired\""), "{body}");
        assert!(body.contains(reply.headers["x-request-id"].to_str().unwrap()), "{body}");
    }

    #[test]
    fn head_gets_the_fields_and_no_body() {
        let reply = said(Denial::NoRoute, &Method::HEAD, Speaks::Http);
        assert_ne!(reply.headers["content-length"], "0");
        assert!(reply.body.is_empty());
    }

    #[test]
    fn a_grpc_caller_gets_a_grpc_status() {
        let reply = said(Fault::NoEndpoint, &Method::POST, Speaks::Grpc);
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
        assert_eq!(reply.headers["grpc-status"], "14");
        assert!(!reply.headers.contains_key("content-length"));
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        let rows = [
            ("application/grpc", Speaks::Grpc),
            ("application/grpc+proto", Speaks::Grpc),
            ("application/grpc-web", Speaks::Http),
            ("application/json", Speaks::Http),
        ];
        for (typed, expected) in rows {
            let (head, ()) = Request::builder().header("content-type", typed).body(()).unwrap().into_parts();
            assert_eq!(Speaks::of(&head, None), expected, "{typed}");
        }
    }

    #[test]
    fn a_204_has_no_length() {
        let (method, request_id) = (Method::GET, RequestId::made_from(7));
        let to = Listener { method: &method, speaks: Speaks::Http, request_id: &request_id };
        let answer = FixedAnswer { status: StatusCode::NO_CONTENT, headers: vec![], body: "x".into() };
        let reply = Reply::fixed(&answer, to);
        assert!(!reply.headers.contains_key("content-length") && reply.body.is_empty());
    }
}
