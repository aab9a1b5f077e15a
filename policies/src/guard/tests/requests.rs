//! The framing, target, Host, method and header cases, one row each.

use super::*;
use Denial::{BadFraming, BadHeader, BadHost, BadMethod, BadPath, BadTarget, BadVersion, UpgradeRefused};

fn rules() -> Rules {
    Rules::default()
}

#[test]
fn an_ordinary_request_passes() {
    check(
        &rules(),
        &[
            ("GET / HTTP/1.1\nHost: shop.example", Ok("shop.example / None")),
            ("GET /a?b=c HTTP/1.1\nHost: Shop.Example:8080", Ok("shop.example:8080 /a?b=c None")),
            ("GET /a? HTTP/1.1\nHost: shop.example.", Ok("shop.example /a? None")),
            ("POST /a HTTP/1.1\nHost: a\nContent-Length: 2", Ok("a /a Length(2)")),
            ("POST /a HTTP/1.1\nHost: a\nContent-Length: 0", Ok("a /a Length(0)")),
            ("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", Ok("a /a Chunked")),
            ("POST /a HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked", Ok("a /a Chunked")),
            ("GET / HTTP/1.0", Ok(" / None")),
            ("GET / HTTP/1.0\nHost: a", Ok("a / None")),
            ("GET / HTTP/1.1\nHost: [0:0::1]:80", Ok("[::1]:80 / None")),
            ("GET / HTTP/1.1\nHost: [::1]", Ok("[::1] / None")),
            ("GET / HTTP/1.1\nHost: shop_legacy", Ok("shop_legacy / None")),
            ("OPTIONS * HTTP/1.1\nHost: a", Ok("a * None")),
            ("OPTIONS /a HTTP/1.1\nHost: a", Ok("a /a None")),
            ("GET / HTTP/1.1\nHost: a\nUser-Agent: Müller", Ok("a / None")),
        ],
    );
}

#[test]
fn the_end_of_a_body_is_told_in_one_way_only() {
    let post = |fields: &str| outcome(&format!("POST / HTTP/1.1\nHost: a\n{fields}"), &rules());
    for fields in [
        "Content-Length: 2\nTransfer-Encoding: chunked",
        "Content-Length: 2\nContent-Length: 2",
        "Content-Length: 2\nContent-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: 2 3",
        "Content-Length: 1_0",
        "Content-Length:",
        "Content-Length: 18446744073709551616",
        "Content-Length: é",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding:",
    ] {
        assert_eq!(post(fields), Err(BadFraming), "{fields}");
    }
    assert_eq!(
        post("Content-Length: 18446744073709551615"),
        Ok("a / Length(18446744073709551615)".to_owned())
    );
    check(
        &rules(),
        &[
            ("POST / HTTP/1.0\nTransfer-Encoding: chunked", Err(BadFraming)),
            ("POST / HTTP/2\n:authority: a\nTransfer-Encoding: chunked", Err(BadFraming)),
        ],
    );
}

#[test]
fn the_shell_can_tell_what_the_library_repaired() {
    let sent = Sent::new("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked");
    let wire = Wire { framing: Framings::Both, ..Wire::default() };
    assert_eq!(inspect(&sent.incoming(), wire, &rules(), &mut Silent).unwrap_err(), BadFraming);
}

#[test]
fn http2_knows_whether_a_body_follows() {
    let body = |text: &str, end| {
        let sent = Sent::new(text);
        inspect(&sent.incoming(), Wire { end, ..Wire::default() }, &rules(), &mut Silent)
            .map(|clean| clean.body)
    };
    let (bare, five, zero) = (
        "POST / HTTP/2\n:authority: a",
        "POST / HTTP/2\n:authority: a\ncontent-length: 5",
        "POST / HTTP/2\n:authority: a\ncontent-length: 0",
    );
    assert_eq!(body(bare, End::Later), Ok(Body::Stream));
    assert_eq!(body(bare, End::WithHead), Ok(Body::None));
    assert_eq!(body(five, End::Later), Ok(Body::Length(5)));
    assert_eq!(body(five, End::WithHead), Err(Denial::BadBody));
    assert_eq!(body(zero, End::WithHead), Ok(Body::Length(0)));
}

#[test]
fn there_is_one_valid_host() {
    check(
        &rules(),
        &[
            ("GET / HTTP/1.1", Err(BadHost)),
            ("GET / HTTP/1.1\nHost:", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a\nHost: a", Err(BadHost)),
            ("GET / HTTP/1.0\nHost: a\nHost: b", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a, b", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a/../b", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: user@a", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a b", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a%2eb", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: é", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: .", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a..b", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a:", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a:0", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a:+80", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a:65536", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: a:80:80", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: [::1", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: [::1]x", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: [::1]80", Err(BadHost)),
            ("GET / HTTP/1.1\nHost: [a]", Err(BadHost)),
            ("GET / HTTP/2", Err(BadHost)),
        ],
    );
    let long = format!("GET / HTTP/1.1\nHost: {}", "a".repeat(254));
    assert_eq!(outcome(&long, &rules()), Err(BadHost));
}

#[test]
fn target_and_host_agree() {
    check(
        &rules(),
        &[
            ("GET http://a/x?y HTTP/1.1\nHost: a", Ok("a /x?y None")),
            ("GET HTTP://A:80 HTTP/1.1\nHost: a", Ok("a:80 / None")),
            ("GET http://a?x HTTP/1.1\nHost: a", Ok("a /?x None")),
            ("GET http://a/x HTTP/1.0", Ok("a /x None")),
            ("GET http://a/ HTTP/1.1\nHost: b", Err(BadHost)),
            ("GET http://a:81/ HTTP/1.1\nHost: a", Err(BadHost)),
            ("GET https://a:80/ HTTP/1.1\nHost: a", Err(BadHost)),
            ("GET http://a/ HTTP/1.1", Err(BadHost)),
            ("GET http://user@a/ HTTP/1.1\nHost: a", Err(BadHost)),
            ("GET http://a:pw@a/ HTTP/1.1\nHost: a", Err(BadHost)),
            ("GET http:///x HTTP/1.1\nHost: a", Err(BadHost)),
            ("GET ftp://a/ HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET a HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET http:/x HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /x HTTP/2\n:authority: A", Ok("a /x Stream")),
            ("GET /x HTTP/2\nhost: a", Ok("a /x Stream")),
            ("GET /x HTTP/2\n:authority: a\nhost: a", Ok("a /x Stream")),
            ("GET /x HTTP/2\n:authority: a\nhost: a:443", Ok("a /x Stream")),
            ("GET /x HTTP/2\n:authority: a\nhost: b", Err(BadHost)),
            ("GET /x HTTP/2\n:authority: u@a\nhost: a", Err(BadHost)),
        ],
    );
}

#[test]
fn methods_are_a_closed_set() {
    check(
        &rules(),
        &[
            ("TRACE / HTTP/1.1\nHost: a", Err(BadMethod)),
            ("CONNECT a:443 HTTP/1.1\nHost: a:443", Err(BadMethod)),
            ("GE%T / HTTP/1.1\nHost: a", Err(BadMethod)),
            ("get / HTTP/1.1\nHost: a", Err(BadMethod)),
            ("PURGE / HTTP/1.1\nHost: a", Err(BadMethod)),
            ("GET * HTTP/1.1\nHost: a", Err(BadTarget)),
            ("OPTIONS *?x HTTP/1.1\nHost: a", Err(BadTarget)),
        ],
    );
    let long = format!("{} / HTTP/1.1\nHost: a", "A".repeat(10_000));
    assert_eq!(outcome(&long, &rules()), Err(BadMethod));
    let trace = http::Method::TRACE;
    let more = Rules { extra_methods: vec!["PURGE".parse().unwrap(), trace], ..rules() };
    check(
        &more,
        &[("PURGE / HTTP/1.1\nHost: a", Ok("a / None")), ("TRACE / HTTP/1.1\nHost: a", Err(BadMethod))],
    );
}

#[test]
fn connect_if_allowed_names_a_host_and_a_port() {
    let rules = Rules { connect: Permission::Allow, ..rules() };
    check(
        &rules,
        &[
            ("CONNECT a:443 HTTP/1.1\nHost: a:443", Ok("a:443 / None")),
            ("CONNECT a: HTTP/2\n:authority: a:443", Ok("a:443 / Stream")),
            ("CONNECT a:443 HTTP/1.1\nHost: b:443", Err(BadHost)),
            ("CONNECT a HTTP/1.1\nHost: a", Err(BadTarget)),
            ("CONNECT /x HTTP/1.1\nHost: a", Err(BadTarget)),
            ("CONNECT a:443 HTTP/1.1\nHost: a:443\nContent-Length: 1", Err(BadFraming)),
        ],
    );
}

#[test]
fn targets_are_visible_ascii_without_a_fragment() {
    check(
        &rules(),
        &[
            ("GET /a#b HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /a?b#c HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /a b HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /a\tb HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /é HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /?é HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /\0 HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /\x7f HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /?\"a\" HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /?q=<b> HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET  HTTP/1.1\nHost: a", Err(BadTarget)),
            ("GET /?a=/../%2e&b={}|\\^` HTTP/1.1\nHost: a", Ok("a /?a=/../%2e&b={}|\\^` None")),
            ("GET /%zz HTTP/1.1\nHost: a", Err(BadPath)),
        ],
    );
    let long = |bytes: usize| format!("GET /{} HTTP/1.1\nHost: a", "a".repeat(bytes - 1));
    assert!(outcome(&long(8192), &rules()).is_ok());
    assert_eq!(outcome(&long(8193), &rules()), Err(Denial::TargetTooLong));
}

#[test]
fn only_spoken_versions_pass() {
    check(&rules(), &[("GET / HTTP/0.9\nHost: a", Err(BadVersion))]);
}

#[test]
fn what_policies_read_once_is_there_once() {
    check(
        &rules(),
        &[
            ("GET / HTTP/1.1\nHost: a\nAuthorization: Bearer a\nAuthorization: Bearer b", Err(BadHeader)),
            ("GET / HTTP/1.1\nHost: a\nContent-Type: a/b\nX: y\ncontent-type: a/b", Err(BadHeader)),
            ("GET / HTTP/1.1\nHost: a\nOrigin: https://a\nOrigin: https://b", Err(BadHeader)),
            ("GET / HTTP/1.1\nHost: a\nCookie: a=b\nCookie: c=d\nX: y\nX: y", Ok("a / None")),
        ],
    );
}

#[test]
fn http2_has_no_fields_about_the_connection() {
    check(
        &rules(),
        &[
            ("GET / HTTP/2\n:authority: a\nconnection: close", Err(BadHeader)),
            ("GET / HTTP/2\n:authority: a\nkeep-alive: 1", Err(BadHeader)),
            ("GET / HTTP/2\n:authority: a\nproxy-connection: close", Err(BadHeader)),
            ("GET / HTTP/2\n:authority: a\nupgrade: websocket", Err(BadHeader)),
            ("GET / HTTP/2\n:authority: a\nte: gzip", Err(BadHeader)),
            ("GET / HTTP/2\n:authority: a\nte: trailers", Ok("a / Stream")),
        ],
    );
}

#[test]
fn only_a_proper_websocket_handshake_opens_a_tunnel() {
    let handshake = "GET /ws HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket";
    let (h2c, bodied, posted) = (
        "GET / HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c",
        "GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket\nContent-Length: 3",
        "POST / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket",
    );
    check(
        &rules(),
        &[
            (handshake, Ok("a /ws None websocket")),
            (h2c, Ok("a / None")),
            (bodied, Err(UpgradeRefused)),
            (posted, Err(UpgradeRefused)),
            ("GET / HTTP/1.1\nHost: a\nUpgrade: websocket", Ok("a / None")),
            ("GET / HTTP/1.0\nHost: a\nConnection: upgrade\nUpgrade: websocket", Ok("a / None")),
            ("GET / HTTP/1.1\nHost: a\nConnection: upgrade\nUpgrade: websocket, h2c", Ok("a / None")),
        ],
    );
    check(&Rules { websocket: Permission::Refuse, ..rules() }, &[(handshake, Err(UpgradeRefused))]);
    check(&Rules { other_upgrades: Unoffered::Refuse, ..rules() }, &[(h2c, Err(UpgradeRefused))]);
}

#[test]
fn heads_are_bounded() {
    let fields = |count: usize| {
        let lines: String = (1..count).map(|index| format!("x-{index}: y\n")).collect();
        outcome(&format!("GET / HTTP/1.1\nHost: a\n{lines}"), &rules())
    };
    assert!(fields(100).is_ok());
    assert_eq!(fields(101), Err(Denial::HeadersTooLarge));
    // "Host: a" and "x: " cost 9 and 5 bytes.
    let bytes =
        |count: usize| outcome(&format!("GET / HTTP/1.1\nHost: a\nx: {}", "y".repeat(count)), &rules());
    assert!(bytes(64 * 1024 - 14).is_ok());
    assert_eq!(bytes(64 * 1024 - 13), Err(Denial::HeadersTooLarge));
}

#[test]
fn values_hold_no_control_bytes() {
    for byte in 0..=u8::MAX {
        let verdict = |obs_text| fields::check_value(&[b'a', byte, b'b'], obs_text).is_ok();
        let control = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
        assert_eq!(verdict(Permission::Allow), !control, "{byte}");
        assert_eq!(verdict(Permission::Refuse), !control && byte < 0x80, "{byte}");
    }
}

/// The guard leaves these to the type that holds names; if the library ever grew lax, this would tell.
#[test]
fn names_are_tokens_by_their_type() {
    for name in ["", " ", "a b", "a:", "a\0", "é", "a\r", "(a)", ":path"] {
        assert!(HeaderName::from_bytes(name.as_bytes()).is_err(), "{name:?}");
    }
    for method in ["", "GET ", "G T", "G\r", "G/T"] {
        assert!(http::Method::from_bytes(method.as_bytes()).is_err(), "{method:?}");
    }
}
