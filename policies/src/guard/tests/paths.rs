//! One spelling for each path.

use proptest::prelude::*;

use super::*;
use crate::guard::path::normalise;

fn check_paths(rules: PathRules, rows: &[(&str, Option<&str>)]) {
    for (raw, expected) in rows {
        assert_eq!(normalise(raw, &rules).ok().as_deref(), *expected, "{raw}");
    }
}

#[test]
fn a_path_has_one_spelling() {
    check_paths(
        PathRules::default(),
        &[
            ("", Some("/")),
            ("/", Some("/")),
            ("/a/b/", Some("/a/b/")),
            ("/%61%2D%7e", Some("/a-~")),
            ("/%c3%a9", Some("/%C3%A9")),
            ("/%C3%A9", Some("/%C3%A9")),
            ("/a%20b%3f", Some("/a%20b%3F")),
            ("/%25%32%66", Some("/%252f")),
            ("/a/./b", Some("/a/b")),
            ("/a/../b", Some("/b")),
            ("/a/%2e%2E/b", Some("/b")),
            ("/a/.%2e", Some("/")),
            ("/a/b/..", Some("/a/")),
            ("/a/.", Some("/a/")),
            ("/.a/..b/...", Some("/.a/..b/...")),
            ("//", Some("/")),
            ("//host/path", Some("/host/path")),
            ("/a///b//", Some("/a/b/")),
            ("/a//../b", Some("/b")),
            ("/cart;jsessionid=1/x;y", Some("/cart;jsessionid=1/x;y")),
            ("/;jsessionid=1", Some("/;jsessionid=1")),
            ("/a:b@c!$&'()*+,=", Some("/a:b@c!$&'()*+,=")),
            ("/{id}|[x]^", Some("/{id}|[x]^")),
        ],
    );
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let refused = [
        "a",
        "*",
        "/..",
        "/../a",
        "/a/../..",
        "/a/../../b",
        "/%2e%2e/a",
        "//..",
        "/a/..//..", // above the root
        "/%",
        "/%2",
        "/%zz",
        "/%2g",
        "/a%", // broken escapes
        "/%00",
        "/a%0d%0a",
        "/%1f",
        "/%7f", // control bytes
        "/%2f",
        "/%2F",
        "/a%5cb",
        "/a\\b", // separators
        "/..;/a",
        "/..;x=1/a",
        "/a/.;x",
        "/%2e%2e;/a",
        "/..%3b/a",
        "/;/a",
        "/;x/a",
        "/%3b/a", // parameters
        "/%ff",
        "/%c0%af",
        "/%e0%80%af",
        "/%c3",
        "/%c3a",
        "/%c3/%a9",
        "/%ed%a0%80",
        "/%f5%80%80%80",
        "/%a9", // UTF-8
        "/a?b",
        "/a#b",
        "/a b",
        "/\"",
        "/<",
        "/>",
        "/`",
        "/é",
        "/\0", // bytes
    ];
    check_paths(PathRules::default(), &refused.map(|raw| (raw, None)));
}

#[test]
fn the_document_may_choose() {
    let slashes = |slashes| PathRules { slashes, ..PathRules::default() };
    check_paths(
        slashes(Slashes::Keep),
        &[
            ("//a//b", Some("//a//b")),
            ("/a//../b", Some("/a/b")),
            ("/a/..//b", Some("//b")),
            ("//..", Some("/")),
        ],
    );
    check_paths(
        slashes(Slashes::Refuse),
        &[("//a", None), ("/a//", None), ("/a/", Some("/a/")), ("//", None)],
    );
    let kept = PathRules { separators: Separators::Keep, ..PathRules::default() };
    check_paths(
        kept,
        &[
            ("/a%2fb", Some("/a%2Fb")),
            ("/a%5cb\\c", Some("/a%5Cb\\c")),
            ("/a/..%2fb", None),
            ("/a/x%2f..", None),
            ("/a/..\\b", None),
            ("/a/x%5c.;y", None),
            ("/a/x%2f%2e%2e%2fy", None),
        ],
    );
    let bare = PathRules { parameters: Permission::Refuse, ..PathRules::default() };
    check_paths(bare, &[("/a;b", None), ("/a%3bb", None), ("/a", Some("/a"))]);
}

#[test]
fn a_normal_path_costs_no_allocation() {
    for raw in ["/", "/orders/42", "/a;b/c.d", "/%C3%A9/%20", "/a/"] {
        assert!(matches!(normalise(raw, &PathRules::default()), Ok(Cow::Borrowed(_))), "{raw}");
    }
}

/// Paths made of what attackers make paths of.
pub(super) fn nasty_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "/",
        ".",
        "..",
        ";",
        ";x",
        "a",
        "b.",
        "~",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "\\",
        "%41",
        "%7e",
        "%c3%a9",
        "%C3%A9",
        "%e2%82%ac",
        "%3b",
        "%25",
        "%20",
        "%",
        "%0",
        "%00",
        "%ff",
        "%c0%ae",
        "é",
        "#",
        "?",
        " ",
        ":",
        "@",
        "[",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn any_rules() -> impl Strategy<Value = PathRules> {
    let parameters = prop::sample::select(vec![Permission::Allow, Permission::Refuse]);
    let separators = prop::sample::select(vec![Separators::Keep, Separators::Refuse]);
    let slashes = prop::sample::select(vec![Slashes::Keep, Slashes::Merge, Slashes::Refuse]);
    (parameters, separators, slashes).prop_map(|(parameters, separators, slashes)| PathRules {
        parameters,
        separators,
        slashes,
    })
}

/// The segments a careless server sees: everything decoded, every separator taken, parameters dropped.
fn careless(path: &str) -> Vec<String> {
    let decoded = path
        .replace("%2F", "/")
        .replace("%5C", "/")
        .replace('\\', "/")
        .replace("%3B", ";")
        .replace("%2E", ".");
    decoded.split('/').map(|segment| segment.split(';').next().unwrap().to_owned()).collect()
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(raw in nasty_path(), rules in any_rules()) {
        if let Ok(once) = normalise(&raw, &rules) {
            let twice = normalise(&once, &rules);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
        }
    }

    #[test]
    fn a_normal_path_is_plain(raw in nasty_path()) {
        if let Ok(path) = normalise(&raw, &PathRules::default()) {
            prop_assert!(path.starts_with('/') && path.len() <= raw.len());
            for walk in ["//", "/./", "/../", "%2F", "%5C", "\\", "%00"] {
                prop_assert!(!path.contains(walk), "{}", path);
            }
            prop_assert!(!path.ends_with("/.") && !path.ends_with("/.."));
        }
    }

    #[test]
    fn even_a_careless_server_finds_nothing_to_walk(raw in nasty_path(), rules in any_rules()) {
        if let Ok(path) = normalise(&raw, &rules) {
            let segments = careless(&path);
            prop_assert!(!segments.iter().any(|segment| segment == "." || segment == ".."), "{}", path);
        }
    }

    #[test]
    fn the_http_library_carries_it_unchanged(raw in nasty_path(), rules in any_rules()) {
        if let Ok(path) = normalise(&raw, &rules) {
            let carried: http::uri::PathAndQuery = path.parse().unwrap();
            prop_assert_eq!(carried.path(), &*path);
        }
    }

    #[test]
    fn a_clean_request_is_clean_again(
        path in nasty_path(),
        query in "(\\?[a-z=&%/.]{0,8})?",
        host in "[a-zA-Z.]{1,6}|\\[[0-9a-f:]{2,8}\\]",
        port in prop::option::of(1..=u16::MAX),
    ) {
        let host = format!("{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
        let sent = Sent::new(&format!("GET {path}{query} HTTP/1.1\nHost: {host}"));
        if let Ok(once) = inspect(&sent.incoming(), Wire::default(), &Rules::default(), &mut Silent) {
            let port = once.port.map(|port| format!(":{port}")).unwrap_or_default();
            let again = Sent::new(&format!("GET {} HTTP/1.1\nHost: {}{port}", once.target(), once.host));
            let twice = inspect(&again.incoming(), Wire::default(), &Rules::default(), &mut Silent).unwrap();
            prop_assert_eq!((&once.host, once.port, &once.path, once.query), (&twice.host, twice.port, &twice.path, twice.query));
            prop_assert_eq!(once.target(), twice.target());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(target in prop::collection::vec(any::<u8>(), 0..40)) {
        let sent = Sent { target, ..Sent::new("GET / HTTP/1.1\nHost: a") };
        let _ = inspect(&sent.incoming(), Wire::default(), &Rules::default(), &mut Silent);
    }
}
