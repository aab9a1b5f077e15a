//! Where a request carries its token, and what is taken for one.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::forge::settings;
use crate::identity::*;
use crate::verdict::Denial;

#[track_caller]
fn check(place: &TokenPlace, headers: &[(&str, &[u8])], expected: Result<&str, Denial>) {
    let issuer = Issuer::compile(&IssuerSettings { found_in: place.clone(), ..settings() }).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    assert_eq!(issuer.find(&map), expected);
}

#[test]
fn a_bearer_token_stands_alone() {
    let check = |headers: &[(&str, &[u8])], expected| check(&TokenPlace::Bearer, headers, expected);
    check(&[("authorization", b"Bearer a.b.c")], Ok("a.b.c"));
    check(&[("authorization", b"bEARER   a.b.c ")], Ok("a.b.c"));
    check(&[], Err(Denial::TokenMissing));
    check(&[("authorization", b"")], Err(Denial::TokenMissing));
    check(&[("authorization", b"Bearer")], Err(Denial::TokenMissing));
    check(&[("authorization", b"Bearer ")], Err(Denial::TokenMissing));
    check(&[("authorization", b"Basic YTpi")], Err(Denial::TokenMissing));
    check(&[("authorization", b"Bearera.b.c")], Err(Denial::TokenMissing));
    check(&[("authorization", b"Bearer \xff")], Err(Denial::TokenMalformed));
    // CVE-2025-64527 and every reader that takes the other one.
    check(
        &[("authorization", b"Bearer a.b.c"), ("authorization", b"Bearer a.b.c")],
        Err(Denial::TokenMalformed),
    );
    check(
        &[("authorization", b"Basic YTpi"), ("authorization", b"Bearer a.b.c")],
        Err(Denial::TokenMalformed),
    );
}

#[test]
fn two_tokens_in_one_field_are_not_a_token() {
    let token = "Bearer a.b.c, Bearer d.e.f";
    check(&TokenPlace::Bearer, &[("authorization", token.as_bytes())], Ok("a.b.c, Bearer d.e.f"));
    super::forge::p256_desk().expect("a.b.c, Bearer d.e.f", Err(Denial::TokenMalformed));
}

#[test]
fn a_named_header_holds_the_bare_token() {
    let place = TokenPlace::Header(HeaderName::from_static("x-shop-token"));
    check(&place, &[("x-shop-token", b" a.b.c "), ("authorization", b"Bearer d.e.f")], Ok("a.b.c"));
    check(&place, &[("authorization", b"Bearer d.e.f")], Err(Denial::TokenMissing));
    check(&place, &[("x-shop-token", b"a.b.c"), ("x-shop-token", b"d.e.f")], Err(Denial::TokenMalformed));
}

#[test]
fn a_cookie_is_found_by_its_whole_name() {
    let place = TokenPlace::Cookie("token".into());
    let check = |headers: &[(&str, &[u8])], expected| check(&place, headers, expected);
    check(&[("cookie", b"token=a.b.c")], Ok("a.b.c"));
    check(&[("cookie", b"x=1; token=a.b.c; y=2")], Ok("a.b.c"));
    check(&[("cookie", b"x=1"), ("cookie", b"token=a.b.c")], Ok("a.b.c"));
    check(&[("cookie", b"x=\xff; token=a.b.c")], Ok("a.b.c"));
    check(&[("cookie", b"my-token=a.b.c; Token=a.b.c; token2=x")], Err(Denial::TokenMissing));
    check(&[("cookie", b"token=")], Err(Denial::TokenMissing));
    check(&[("cookie", b"token=a.b.c; token=d.e.f")], Err(Denial::TokenMalformed));
    check(&[("cookie", b"token=a.b.c"), ("cookie", b"y=\xff;token=d.e.f")], Err(Denial::TokenMalformed));
    check(&[("cookie", b"token=\xff")], Err(Denial::TokenMalformed));
    check(&[], Err(Denial::TokenMissing));
}

#[test]
fn whoever_forwards_knows_which_header_to_drop() {
    let header =
        |found_in| Issuer::compile(&IssuerSettings { found_in, ..settings() }).unwrap().header().clone();
    assert_eq!(header(TokenPlace::Bearer), "authorization");
    assert_eq!(header(TokenPlace::Cookie("x".into())), "cookie");
    assert_eq!(header(TokenPlace::Header(HeaderName::from_static("x-t"))), "x-t");
}
