//! The client's address, and telling it on.

use proptest::prelude::*;

use super::*;
use crate::headers::forwarded::{self, client_secure};

const RFC: Forwarding = Forwarding { hops_max: 16, reads: Dialect::Forwarded, writes: Writes::Forwarded };
const ASKED: AskedFor<'_> = AskedFor { host: "shop.example", port: None };

fn client(from: &str, headers: &str, forwarding: &Forwarding) -> String {
    client_address(&peer(from), &block(headers), &trust(), forwarding).to_string()
}

fn check_clients(forwarding: &Forwarding, rows: &[(&str, &str, &str)]) {
    for (from, headers, expected) in rows {
        assert_eq!(client(from, headers, forwarding), *expected, "{from} {headers}");
    }
}

#[test]
fn the_client_is_the_nearest_address_we_do_not_trust() {
    check_clients(
        &Forwarding::default(),
        &[
            ("192.0.2.7", "", "192.0.2.7"),
            ("192.0.2.7", "x-forwarded-for: 1.1.1.1", "192.0.2.7"),
            ("::ffff:192.0.2.7", "", "192.0.2.7"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "x-forwarded-for: 1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "x-forwarded-for: 6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
            ("10.0.0.1", "x-forwarded-for: 6.6.6.6\nx-forwarded-for: 1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "x-forwarded-for: 10.0.0.3,10.0.0.2", "10.0.0.3"),
            ("10.0.0.1", "x-forwarded-for: 1.1.1.1:4711", "1.1.1.1"),
            ("10.0.0.1", "x-forwarded-for: [2001:db8::1]:4711, fd00::2", "2001:db8::1"),
            ("10.0.0.1", "x-forwarded-for: ::ffff:1.1.1.1", "1.1.1.1"),
            // What makes no sense ends the walk: whoever wrote it is the last one known.
            ("10.0.0.1", "x-forwarded-for: 1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "x-forwarded-for: 1.1.1.1, x", "10.0.0.1"),
            ("10.0.0.1", "x-forwarded-for: é", "10.0.0.1"),
            // The other dialect is whatever the client sent.
            ("10.0.0.1", "forwarded: for=1.1.1.1", "10.0.0.1"),
        ],
    );
    let short = Forwarding { hops_max: 2, ..Forwarding::default() };
    check_clients(&short, &[("10.0.0.1", "x-forwarded-for: 1.1.1.1, 10.0.0.3, 10.0.0.2", "10.0.0.3")]);
}

#[test]
fn forwarded_is_read_by_its_own_grammar() {
    check_clients(
        &RFC,
        &[
            ("10.0.0.1", "forwarded: for=1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "forwarded: For=\"1.1.1.1:80\";proto=http;by=_x", "1.1.1.1"),
            ("10.0.0.1", "forwarded: for=\"[2001:db8::1]:4711\", for=10.0.0.2", "2001:db8::1"),
            ("10.0.0.1", "forwarded: for=6.6.6.6\nforwarded: for=1.1.1.1, for=10.0.0.2", "1.1.1.1"),
            ("10.0.0.1", "forwarded: host=\"a,b;c\";for=1.1.1.1", "1.1.1.1"),
            ("10.0.0.1", "forwarded: for=unknown, for=10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "forwarded: for=_hidden", "10.0.0.1"),
            ("10.0.0.1", "forwarded: proto=https", "10.0.0.1"),
            ("10.0.0.1", "forwarded: for=6.6.6.6;for=1.1.1.1", "10.0.0.1"),
            // An open quote swallows what the proxy added; then nothing is believed.
            ("10.0.0.1", "forwarded: for=\"6.6.6.6, for=1.1.1.1", "10.0.0.1"),
            ("10.0.0.1", "forwarded: for=\"6.6.6.6\\\", for=1.1.1.1", "10.0.0.1"),
            // Neither may a quote hide in a name: what is added behind it would be swallowed one hop later.
            ("10.0.0.1", "forwarded: for=1.1.1.1;\"for=\"a\"", "10.0.0.1"),
            ("10.0.0.1", "x-forwarded-for: 1.1.1.1", "10.0.0.1"),
            ("192.0.2.7", "forwarded: for=1.1.1.1", "192.0.2.7"),
        ],
    );
    let short = Forwarding { hops_max: 1, ..RFC };
    check_clients(&short, &[("10.0.0.1", "forwarded: for=1.1.1.1, for=10.0.0.2", "10.0.0.2")]);
}

fn written(from: &str, headers: &str, forwarding: &Forwarding) -> String {
    let mut headers = block(headers);
    forwarded::write(&mut headers, &peer(from), ASKED, &trust(), forwarding);
    text(&headers)
}

#[test]
fn what_a_stranger_says_is_replaced() {
    let forged = "accept: a\nx-forwarded-for: 6.6.6.6\nx-forwarded-for: x\nforwarded: for=6.6.6.6\nx-forwarded-host: evil\n\
                  x-forwarded-port: 1\nx-forwarded-proto: https\nx-forwarded-prefix: /admin\nx-real-ip: 6.6.6.6\n\
                  x-original-url: /admin\nx-rewrite-url: /admin\nx_forwarded_for: 6.6.6.6";
    let expected = "accept: a\nx-forwarded-for: 192.0.2.7\nx-forwarded-host: shop.example\nx-forwarded-port: 80\n\
                    x-forwarded-proto: http";
    assert_eq!(written("192.0.2.7", forged, &Forwarding::default()), sorted(expected));
    let expected = "accept: a\nforwarded: for=192.0.2.7;host=\"shop.example\";proto=http";
    assert_eq!(written("192.0.2.7", forged, &RFC), sorted(expected));
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let told = "x-forwarded-for: 1.1.1.1, 10.0.0.9\nx-forwarded-host: www.example:8443\nx-forwarded-proto: https\n\
                x-forwarded-prefix: /shop";
    let expected = "x-forwarded-for: 1.1.1.1, 10.0.0.9, 10.0.0.1\nx-forwarded-host: www.example:8443\nx-forwarded-port: 443\n\
                    x-forwarded-proto: https\nx-forwarded-prefix: /shop";
    assert_eq!(written("10.0.0.1", told, &Forwarding::default()), sorted(expected));
    let told = "forwarded: for=1.1.1.1;proto=https;host=a\nforwarded: for=\"[fd00::9]\"";
    let expected = "forwarded: for=1.1.1.1;proto=https;host=a, for=\"[fd00::9]\", for=\"[fd00::1]\";host=\"shop.example\";proto=http";
    assert_eq!(written("fd00::1", told, &RFC), sorted(expected));
}

#[test]
fn what_makes_no_sense_is_dropped() {
    let told = "x-forwarded-for: junk, 1.1.1.1\nx-forwarded-host: a/b\nx-forwarded-port: 0\nx-forwarded-proto: gopher";
    let expected = "x-forwarded-for: 1.1.1.1, 10.0.0.1\nx-forwarded-host: shop.example\nx-forwarded-port: 80\n\
                    x-forwarded-proto: http";
    assert_eq!(written("10.0.0.1", told, &Forwarding::default()), sorted(expected));
    let expected = "forwarded: for=1.1.1.1, for=10.0.0.1;host=\"shop.example\";proto=http";
    assert_eq!(written("10.0.0.1", "forwarded: for=x, for=1.1.1.1;by=y", &RFC), sorted(expected));
    let twice =
        written("10.0.0.1", "x-forwarded-proto: https\nx-forwarded-proto: https", &Forwarding::default());
    assert!(twice.ends_with("\nx-forwarded-proto: http"), "{twice}");
}

#[test]
fn lists_stay_short() {
    let many = vec!["10.0.0.2"; 1000];
    let lists = written("10.0.0.1", &format!("x-forwarded-for: {}", many.join(",")), &Forwarding::default());
    assert_eq!(lists.matches("10.0.0.2").count(), 16);
    let lists = written("10.0.0.1", &format!("forwarded: for={}", many.join(",for=")), &RFC);
    assert_eq!(lists.matches("10.0.0.2").count(), 16);
    let padded = format!("forwarded: for=1.1.1.1;by=\"{}\"", "x".repeat(5000));
    assert!(written("10.0.0.1", &padded, &RFC).starts_with("forwarded: for=1.1.1.1, for=10.0.0.1;"));
}

#[test]
fn a_dialect_that_is_not_read_starts_anew() {
    let both = Forwarding { writes: Writes::Both, ..Forwarding::default() };
    let expected = "x-forwarded-for: 1.1.1.1, 10.0.0.1\nx-forwarded-host: shop.example\nx-forwarded-port: 80\n\
                    x-forwarded-proto: http\nforwarded: for=10.0.0.1;host=\"shop.example\";proto=http";
    assert_eq!(
        written("10.0.0.1", "x-forwarded-for: 1.1.1.1\nforwarded: for=6.6.6.6", &both),
        sorted(expected)
    );
}

#[test]
fn a_named_port_and_tls_are_passed_on() {
    let mut headers = HeaderMap::new();
    let tls = Peer { secure: Secure::Tls, ..peer("192.0.2.7") };
    let both = Forwarding { writes: Writes::Both, ..Forwarding::default() };
    forwarded::write(&mut headers, &tls, AskedFor { host: "a", port: Some(8443) }, &trust(), &both);
    let expected = "forwarded: for=192.0.2.7;host=\"a:8443\";proto=https\nx-forwarded-for: 192.0.2.7\nx-forwarded-host: a\n\
                    x-forwarded-port: 8443\nx-forwarded-proto: https";
    assert_eq!(text(&headers), sorted(expected));
    let mut headers = HeaderMap::new();
    forwarded::write(&mut headers, &tls, AskedFor { host: "", port: None }, &trust(), &both);
    assert!(!headers.contains_key("x-forwarded-host"));
    assert_eq!(headers["forwarded"], "for=192.0.2.7;proto=https");
}

#[test]
fn only_a_trusted_proxy_can_say_that_the_client_used_tls() {
    for (from, headers, forwarding, expected) in [
        ("192.0.2.7", "x-forwarded-proto: https", Forwarding::default(), Secure::Plain),
        ("10.0.0.1", "x-forwarded-proto: https", Forwarding::default(), Secure::Tls),
        ("10.0.0.1", "x-forwarded-proto: https", RFC, Secure::Plain),
        ("10.0.0.1", "forwarded: for=1.1.1.1;proto=https, for=10.0.0.2;proto=http", RFC, Secure::Tls),
        ("10.0.0.1", "forwarded: for=x;proto=https, for=10.0.0.2", RFC, Secure::Plain),
    ] {
        assert_eq!(client_secure(&peer(from), &block(headers), &trust(), &forwarding), expected, "{headers}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_before_what_a_trusted_proxy_wrote_changes_nothing(forged in "[ -~]{0,30}") {
        let list = format!("x-forwarded-for: {forged}, 1.1.1.1");
        prop_assert_eq!(client("10.0.0.1", &list, &Forwarding::default()), "1.1.1.1");
    }

    #[test]
    fn a_forged_forwarded_is_never_the_client(forged in "[ -~]{0,30}") {
        let list = format!("forwarded: {forged}, for=1.1.1.1");
        let client = client("10.0.0.1", &list, &RFC);
        prop_assert!(client == "1.1.1.1" || client == "10.0.0.1", "{}", client);
    }

    #[test]
    fn what_is_written_can_be_read(
        list in "([0-9.:a-f, \\[\\]]|10\\.0\\.0\\.2|, |;|\"|for=){0,12}",
        v6 in any::<u128>(),
    ) {
        for (forwarding, name) in [(Forwarding::default(), "x-forwarded-for"), (RFC, "forwarded")] {
            let mut headers = block(&format!("{name}: {list}"));
            let before = client_address(&peer("10.0.0.1"), &headers, &trust(), &forwarding);
            forwarded::write(&mut headers, &peer("10.0.0.1"), ASKED, &trust(), &forwarding);
            prop_assert_eq!(client_address(&peer("10.0.0.9"), &headers, &trust(), &forwarding), before);
            let stranger = Peer { address: std::net::Ipv6Addr::from(v6).into(), ..peer("10.0.0.1") };
            let mut headers = HeaderMap::new();
            forwarded::write(&mut headers, &stranger, ASKED, &trust(), &forwarding);
            prop_assert_eq!(client_address(&peer("10.0.0.9"), &headers, &trust(), &forwarding), stranger.address.to_canonical());
        }
    }
}
