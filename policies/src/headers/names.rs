//! Which header names mean what: the only place where families of names are listed.

use http::header::{self, HeaderName};

pub(super) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// How a call of gRPC ended.
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(super) const X_BANYAN_ATTEMPT: HeaderName = HeaderName::from_static("x-banyan-attempt");
pub(super) const X_BANYAN_DEADLINE: HeaderName = HeaderName::from_static("x-banyan-deadline");
pub(super) const X_BANYAN_PEER: HeaderName = HeaderName::from_static("x-banyan-peer");
pub(super) const X_BANYAN_PRIORITY: HeaderName = HeaderName::from_static("x-banyan-priority");
pub(super) const X_BANYAN_SHADOW: HeaderName = HeaderName::from_static("x-banyan-shadow");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Names a request, and its answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// About one connection and nobody beyond it: RFC 9110 §7.6.1, and two that browsers and old proxies send.
/// Transfer-Encoding is not among them, it has rules of its own; `Trailer` announces what goes end to end.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    // By text, which the compiler tells apart by length first: asked of every field of every message.
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "upgrade"
    )
}

/// Other names some services believe about where a request came from or what it asked for.
static HEARSAY: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-rewrite-url"),
];

/// What a client may not have removed by naming it in Connection: what routing, framing, policies and our own
/// promises rest on.
static PROTECTED: [HeaderName; 14] = [
    header::AUTHORIZATION,
    BAGGAGE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    GRPC_TIMEOUT,
    header::HOST,
    IDEMPOTENCY_KEY,
    header::ORIGIN,
    TRACEPARENT,
    TRACESTATE,
    header::TRANSFER_ENCODING,
];

/// `x-banyan-*`, in either spelling.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    begins_with(name, "x-banyan-")
}

/// What only a trusted proxy may tell us about the client.
pub(super) fn is_hearsay(name: &HeaderName) -> bool {
    begins_with(name, "x-forwarded-") || HEARSAY.contains(name)
}

/// May a message ask for this field to be removed?
pub(super) fn is_protected(name: &HeaderName) -> bool {
    is_ours(name) || is_hearsay(name) || *name == X_REQUEST_ID || PROTECTED.contains(name)
}

/// Are they one name to a server that takes hyphens and underscores for the same?
pub(super) fn is_alias(one: &HeaderName, other: &HeaderName) -> bool {
    let (one, other) = (one.as_str().bytes().map(hyphened), other.as_str().bytes().map(hyphened));
    one.eq(other)
}

fn begins_with(name: &HeaderName, prefix: &str) -> bool {
    let start = name.as_str().bytes().take(prefix.len()).map(hyphened);
    start.eq(prefix.bytes())
}

fn hyphened(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}
