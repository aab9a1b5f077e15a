//! Nobody but us says who the caller is.

use super::*;
use crate::verdict::Denial;

fn names() -> IdentityNames {
    IdentityNames::new(["remote-user", "x-forwarded-groups"].map(HeaderName::from_static)).unwrap()
}

#[test]
fn cve_2026_30851_inbound_copies_go_even_if_nothing_replaces_them() {
    let mut headers = block("remote-user: admin\nremote-user: root\nx-forwarded-groups: all\naccept: a");
    names().strip(&mut headers);
    assert_eq!(text(&headers), "accept: a");
}

#[test]
fn cve_2026_52845_aliases_go_too() {
    let mut headers =
        block("remote_user: admin\nX_Forwarded_Groups: a\nx-forwarded_groups: b\nremote-users: c");
    names().strip(&mut headers);
    assert_eq!(text(&headers), "remote-users: c");
}

#[test]
fn values_arrive_as_they_were() {
    let name = HeaderName::from_static("remote-user");
    let set = |value: &str| {
        let mut headers = HeaderMap::new();
        names().set(&mut headers, &name, value).map(|()| text(&headers))
    };
    assert_eq!(set("user-7").as_deref(), Ok("remote-user: user-7"));
    assert_eq!(set("José").as_deref(), Ok("remote-user: José"));
    for bad in ["a\r\nx-admin: 1", "a\0", "a\x7f", " a", "a ", "\ta", &"a".repeat(4097)] {
        assert_eq!(set(bad), Err(Denial::BadHeader), "{bad:?}");
    }
}

#[test]
fn only_names_that_were_stripped_are_set() {
    let mut headers = HeaderMap::new();
    let other = HeaderName::from_static("x-other");
    assert_eq!(names().set(&mut headers, &other, "a"), Err(Denial::BadHeader));
    assert!(headers.is_empty());
}

#[test]
fn names_with_a_meaning_are_refused() {
    for name in [
        "host",
        "connection",
        "authorization",
        "x-forwarded-for",
        "x-banyan-user",
        "content-length",
        "cookie",
    ] {
        let error = IdentityNames::new([HeaderName::from_static(name)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the header `{name}` has a meaning of its own and cannot carry an identity")
        );
    }
}
