//! Hop-by-hop fields, nominations, and the attacks on both.

use proptest::prelude::*;

use super::*;
use crate::headers::hop::{self, Framing, Next, Onward, Upgrade};
use crate::verdict::Denial;

const PLAIN: Onward = Onward { framing: Framing::ByItself, next: Next::Http1, upgrade: None };

fn check_request(onward: Onward, rows: &[(&str, Result<&str, Denial>)]) {
    for (before, expected) in rows {
        let mut headers = block(before);
        let outcome = hop::request(&mut headers, onward).map(|()| text(&headers));
        assert_eq!(outcome, expected.map(sorted), "{before}");
    }
}

#[test]
fn what_is_about_the_connection_goes_no_further() {
    check_request(
        PLAIN,
        &[
            ("host: a\naccept: b", Ok("host: a\naccept: b")),
            ("host: a\nconnection: close", Ok("host: a")),
            ("connection: keep-alive, X-Secret\nkeep-alive: 5\nx-secret: 1\nx-other: 2", Ok("x-other: 2")),
            ("connection: a\nconnection: b,, C\na: 1\nb: 2\nc: 3\nd: 4", Ok("d: 4")),
            ("te: trailers\ntransfer-encoding: chunked\ntrailer: x", Ok("trailer: x")),
            ("proxy-authorization: a\nproxy-authenticate: b\nproxy-connection: c", Ok("")),
            ("connection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAA", Ok("")),
            ("connection: a\na: 1\na: 2", Ok("")),
        ],
    );
}

#[test]
fn nominations_that_are_no_names_are_refused() {
    check_request(
        PLAIN,
        &[
            ("connection: a b", Err(Denial::BadHeader)),
            ("connection: é", Err(Denial::BadHeader)),
            ("connection: \"a\"", Err(Denial::BadHeader)),
            ("connection: close;q=1", Err(Denial::BadHeader)),
        ],
    );
    let names = |count: usize| (0..count).map(|index| format!("x-{index}")).collect::<Vec<_>>().join(",");
    check_request(PLAIN, &[(&format!("connection: {}", names(16)), Ok(""))]);
    check_request(PLAIN, &[(&format!("connection: {}", names(17)), Err(Denial::BadHeader))]);
}

#[test]
fn cve_2022_31813_nobody_strips_what_is_not_theirs() {
    for name in [
        "host",
        "Content-Length",
        "transfer-encoding",
        "authorization",
        "cookie",
        "X-Forwarded-For",
        "x-forwarded-user",
        "forwarded",
        "x-real-ip",
        "x-banyan-priority",
        "x_banyan_priority",
        "x-request-id",
        "traceparent",
        "tracestate",
        "baggage",
        "origin",
        "idempotency-key",
    ] {
        check_request(PLAIN, &[(&format!("connection: close, {name}"), Err(Denial::BadHeader))]);
    }
}

#[test]
fn cve_2024_45410_our_own_fields_are_set_after_stripping() {
    let mut headers = block("connection: x-tenant\nx-tenant: forged");
    hop::request(&mut headers, PLAIN).unwrap();
    headers.set(HeaderName::from_static("x-tenant"), HeaderValue::from_static("ours"));
    assert_eq!(text(&headers), "x-tenant: ours");
}

#[test]
fn the_next_connection_gets_its_own_words() {
    let tunnel = Onward { upgrade: Some(Upgrade::WebSocket), ..PLAIN };
    let handshake = "connection: keep-alive, Upgrade\nupgrade: WebSocket\nsec-websocket-key: x";
    check_request(
        tunnel,
        &[(handshake, Ok("connection: upgrade\nupgrade: websocket\nsec-websocket-key: x"))],
    );
    check_request(PLAIN, &[(handshake, Ok("sec-websocket-key: x"))]);
    let to_http2 = Onward { framing: Framing::ByField, next: Next::Http2, upgrade: Some(Upgrade::WebSocket) };
    check_request(
        to_http2,
        &[
            ("te: trailers", Ok("te: trailers")),
            ("connection: te\nte: gzip, Trailers", Ok("te: trailers")),
            ("te: gzip", Ok("")),
            ("transfer-encoding: chunked\nconnection: upgrade", Ok("")),
        ],
    );
    let by_field = Onward { framing: Framing::ByField, ..PLAIN };
    check_request(by_field, &[("transfer-encoding: chunked", Ok("transfer-encoding: chunked"))]);
}

#[test]
fn answers_are_stripped_and_never_refused() {
    for (before, after) in [
        ("connection: close, x-a\nx-a: 1\nserver: b", "server: b"),
        ("connection: a b, x-a\nx-a: 1", ""),
        (
            "connection: content-length, set-cookie\ncontent-length: 5\nset-cookie: a",
            "content-length: 5\nset-cookie: a",
        ),
        ("upgrade: h2,h2c\nkeep-alive: 1\nproxy-authenticate: x", ""),
    ] {
        let mut headers = block(before);
        hop::answer(&mut headers, PLAIN);
        assert_eq!(text(&headers), sorted(after), "{before}");
    }
    let mut headers = block("connection: Upgrade\nupgrade: WebSocket\nsec-websocket-accept: x");
    hop::answer(&mut headers, Onward { upgrade: Some(Upgrade::WebSocket), ..PLAIN });
    assert_eq!(text(&headers), "connection: upgrade\nsec-websocket-accept: x\nupgrade: websocket");
}

proptest! {
    #[test]
    fn no_nominated_field_is_left(
        nominated in prop::collection::vec("[A-Za-z][a-z-]{0,3}", 0..6),
        present in prop::collection::vec("[a-z][a-z-]{0,3}", 0..12),
    ) {
        let fields: String = present.iter().map(|name| format!("{name}: 1\n")).collect();
        let mut headers = block(&format!("connection: {}\n{fields}", nominated.join(" , ")));
        let mut answered = headers.clone();
        if hop::request(&mut headers, PLAIN).is_ok() {
            prop_assert!(!nominated.iter().any(|name| headers.contains_key(name.as_str())));
            prop_assert!(!headers.contains_key("connection"));
        }
        hop::answer(&mut answered, PLAIN);
        prop_assert!(!nominated.iter().any(|name| answered.contains_key(name.as_str())));
    }
}
