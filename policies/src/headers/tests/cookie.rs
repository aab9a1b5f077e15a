//! Finding, joining and making cookies.

use std::time::Duration;

use super::*;
use crate::headers::cookie::{CookieError, Sticky, find, join_crumbs};

#[test]
fn a_cookie_is_found_wherever_it_is() {
    for (headers, expected) in [
        ("cookie: side=new", Some("new")),
        ("cookie: a=b; side=new; c=d", Some("new")),
        ("cookie: a=b;side=new", Some("new")),
        ("cookie: a=b\ncookie: side=new", Some("new")),
        ("cookie: side=new; side=old", Some("new")),
        ("cookie: a=é; side=new", Some("new")),
        ("cookie: side=a=b", Some("a=b")),
        ("cookie: side=", Some("")),
        ("cookie: side=\"new\"", Some("\"new\"")),
        ("cookie: inside=new; Side=new; sides=new; side", None),
        ("", None),
    ] {
        assert_eq!(find(&block(headers), "side"), expected, "{headers}");
    }
}

#[test]
fn crumbs_become_one_field() {
    for (before, after) in [
        ("cookie: a=b\ncookie: c=d\ncookie: e=é", "cookie: a=b; c=d; e=é"),
        ("cookie: a=b; c=d", "cookie: a=b; c=d"),
        ("accept: a", "accept: a"),
    ] {
        let mut headers = block(before);
        join_crumbs(&mut headers);
        assert_eq!(text(&headers), after);
    }
}

#[test]
fn sticky_cookies_are_for_servers_only() {
    let sticky =
        Sticky { max_age: Duration::from_secs(60), name: "side", secure: Secure::Plain, value: "a.b" };
    assert_eq!(sticky.value().unwrap(), "side=a.b; Path=/; HttpOnly; SameSite=Lax; Max-Age=60");
    let secure = Sticky { secure: Secure::Tls, ..sticky };
    assert_eq!(secure.value().unwrap(), "side=a.b; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure");
    for name in ["", "a b", "a=b", "a;b", "é"] {
        assert_eq!(Sticky { name, ..sticky }.value(), Err(CookieError::Name), "{name}");
    }
    for value in ["a b", "a;b", "a,b", "\"a\"", "a\\b", "é", "a\r\n"] {
        assert_eq!(Sticky { value, ..sticky }.value(), Err(CookieError::Value), "{value}");
    }
}
