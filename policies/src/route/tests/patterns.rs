//! Which texts are patterns, where the others go wrong, and what a single pattern matches.

use super::*;

fn path_error(text: &str) -> String {
    Path::parse(text).map(|path| format!("fine: {path}")).unwrap_or_else(|error| error.to_string())
}

fn host_error(text: &str) -> String {
    Host::parse(text).map(|host| format!("fine: {host}")).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_bad_path_is_pointed_at() {
    for (text, expected) in [
        ("", "expected a path that begins with `/` at byte 0, found the end"),
        ("orders", "expected a path that begins with `/` at byte 0, found `o`"),
        ("/a//b", "expected a segment between two slashes at byte 3, found `/`"),
        ("/a/../b", "expected a segment other than `.` and `..` at byte 3, found `.`"),
        ("/a/%2E%2e", "expected a segment other than `.` and `..` at byte 3, found `%`"),
        ("/a/**/b", "expected the end of the path after `**` or `{...}` at byte 5, found `/`"),
        ("/a/{rest...}/", "expected the end of the path after `**` or `{...}` at byte 12, found `/`"),
        ("/v*", "expected `*` or `**` only as a whole segment at byte 2, found `*`"),
        ("/v{id}", "expected a parameter only as a whole segment at byte 2, found `{`"),
        ("/{id}.json", "expected `/` or the end: a parameter fills a whole segment at byte 5, found `.`"),
        ("/{id", "expected `}` or `...}` at byte 4, found the end"),
        ("/{}", "expected a parameter name (a letter or `_` first) at byte 2, found `}`"),
        ("/{1st}", "expected a parameter name (a letter or `_` first) at byte 2, found `1`"),
        ("/{a}/{b}/{a}", "expected a parameter name not used before in this path at byte 10, found `a`"),
        ("/{a}/{a...}", "expected a parameter name not used before in this path at byte 6, found `a`"),
        (
            "/{a}/{ab}/{a}/{abc}",
            "expected a parameter name not used before in this path at byte 11, found `a`",
        ),
        ("/a?b", "expected a path alone: the query has matchers of its own at byte 2, found `?`"),
        ("/a b", "expected a character that can stand in a path at byte 2, found ` `"),
        ("/a\n", "expected a character that can stand in a path at byte 2, found `\\n`"),
        ("/a%2", "expected two hexadecimal digits after `%` at byte 2, found `%`"),
        ("/a%+1", "expected two hexadecimal digits after `%` at byte 2, found `%`"),
        ("/a%é", "expected two hexadecimal digits after `%` at byte 2, found `%`"),
    ] {
        assert_eq!(path_error(text), expected, "{text}");
    }
    assert!(
        path_error(&"/a".repeat(65)).starts_with("expected the end: a path pattern has at most 64 segments")
    );
    assert!(path_error(&format!("/{}", "é".repeat(2000))).contains("at most 2048 bytes"));
}

#[test]
fn a_good_path_is_written_the_way_requests_are_normalised() {
    for (text, expected) in [
        ("/", "/"),
        ("/orders/", "/orders/"),
        ("/**", "/**"),
        ("/a/*/{id}/{rest...}", "/a/*/{id}/{rest...}"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/café", "/caf%C3%A9"),
        ("/%41%7e%2f", "/A~%2F"),
        ("/a;v=1,2:3@4!$&'()+", "/a;v=1,2:3@4!$&'()+"),
    ] {
        assert_eq!(path_error(text), format!("fine: {expected}"), "{text}");
    }
}

#[test]
fn a_bad_host_is_pointed_at() {
    for (text, expected) in [
        ("", "expected a host label at byte 0, found the end"),
        ("*.", "expected a host label at byte 2, found the end"),
        ("shop.example.", "expected a host label at byte 13, found the end"),
        ("shop..example", "expected a host label at byte 5, found `.`"),
        ("shop.example:80", "expected a host without a port at byte 12, found `:`"),
        ("[::1]:80", "expected an IPv6 address and `]`, with nothing after it at byte 1, found `:`"),
        ("shop.*", "expected `*` only as the whole first label at byte 5, found `*`"),
        ("*shop.example", "expected `*` only as the whole first label at byte 0, found `*`"),
        ("*.*.example", "expected `*` only as the whole first label at byte 2, found `*`"),
        ("bücher.example", "expected the `xn--` form of this name at byte 1, found `ü`"),
        ("shop example", "expected a letter, a digit, `-`, `_` or `.` at byte 4, found ` `"),
    ] {
        assert_eq!(host_error(text), expected, "{text}");
    }
    assert!(host_error(&"a".repeat(64)).contains("at byte 63"), "a label is too long");
    assert_eq!(host_error(&"a".repeat(63)), format!("fine: {}", "a".repeat(63)));
    assert!(host_error(&"abcdefg.".repeat(40)).contains("at byte 253"), "a name is too long");
    for (text, expected) in [
        ("*", "*"),
        ("*.Shop.EXAMPLE", "*.shop.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("[0:0:0:0:0:0:0:1]", "[::1]"),
        ("_dmarc.shop-1.example", "_dmarc.shop-1.example"),
    ] {
        assert_eq!(host_error(text), format!("fine: {expected}"), "{text}");
    }
}

#[test]
fn a_bad_or_huge_regex_is_a_clear_error() {
    for (text, expected) in [
        ("/a(", "not a regular expression: unclosed group"),
        ("/a)(b", "not a regular expression: unopened group"),
        (r"/(a)\1", "not a regular expression: backreferences are not supported"),
        (
            "/a(?=b)",
            "not a regular expression: look-around, including look-ahead and look-behind, is not supported",
        ),
        ("(?x)/a # why", "not a regular expression: a `(?x)` comment may not be the end of it"),
        (r"(\w{100}){100}", "this regular expression needs more than the 1048576 bytes a route may use"),
    ] {
        assert_eq!(Path::regex(text).unwrap_err().to_string(), expected, "{text}");
    }
    assert_eq!(
        Path::regex(&"a".repeat(5000)).unwrap_err(),
        BadPattern::RegexTooLarge { bytes_max: 4096 },
        "a text nobody wrote"
    );
}

#[test]
fn regexes_of_one_host_are_refused_when_too_large_together() {
    let large = |n: u32| Pattern {
        paths: vec![Path::regex(&format!(r"/{n}/\w{{20}}")).unwrap()],
        ..Pattern::default()
    };
    assert!(Table::build((0..3).map(large).collect()).is_ok());
    let conflicts = Table::build((0..50).map(large).collect()).unwrap_err();
    assert_eq!(conflicts, [Conflict::RegexesTooLarge { host: "*".to_owned() }]);
}

#[test]
fn each_form_of_path_matches_what_it_says() {
    for (path, matches, not) in [
        ("/", &["/"][..], &["/a", "//"][..]),
        ("/orders", &["/orders"], &["/orders/", "/order", "/orders1", "/ORDERS", "/orders/1", "/"]),
        ("/orders/", &["/orders/"], &["/orders", "/orders//"]),
        ("/orders/*", &["/orders/1", "/orders/%2F"], &["/orders", "/orders/", "/orders/1/", "/orders/1/2"]),
        ("/{a}/x", &["/1/x"], &["//x", "/x", "/1/x/"]),
        ("/orders/**", &["/orders", "/orders/", "/orders/1", "/orders/1/2/"], &["/ordersx", "/", "/order"]),
        ("/**", &["/", "/a", "/a//b"], &[]),
        ("~/o/\\d+", &["/o/1", "/o/123"], &["/o/1x", "/x/o/1", "/o/", "/o/1/"]),
        ("~/a|/ab", &["/a", "/ab"], &["/abc", "/a/"]),
        ("~/a.*", &["/a", "/abc", "/a/b"], &["/b/a"]),
    ] {
        for request in matches {
            assert_ne!(find(&[&format!("- {path}")], &format!("GET h{request}")), "404", "{path} {request}");
        }
        for request in not {
            assert_eq!(find(&[&format!("- {path}")], &format!("GET h{request}")), "404", "{path} {request}");
        }
    }
}

#[test]
fn parameters_are_slices_of_the_path() {
    for (pattern, request, expected) in [
        ("- /{a}", "GET h/1", " a=1"),
        ("- /x/{a}/y/{b}", "GET h/x/1/y/%20", " a=1 b=%20"),
        ("- /f/{rest...}", "GET h/f/a/b/", " rest=a/b/"),
        ("- /f/{rest...}", "GET h/f/", " rest="),
        ("- /f/{rest...}", "GET h/f", " rest="),
        ("- /{rest...}", "GET h/a", " rest=a"),
        ("- /{a}/*/{c}/{d...}", "GET h/1/2/3/4/5", " a=1 c=3 d=4/5"),
        ("- /{a}/{b}/{c}/{d}/{e}/{f}", "GET h/1/2/3/4/5/6", " a=1 b=2 c=3 d=4 e=5 f=6"),
    ] {
        assert_eq!(find(&[pattern], request), format!("{pattern}{expected}"));
    }
    let table = table(&["- /{a}/{b}"]);
    let request = Request::new("GET h/1/2");
    let Found::Route { params, .. } = table.find(&request.ask(), &mut Silent) else { panic!("no route") };
    assert_eq!((params.value("b"), params.value("c"), params.len()), (Some("2"), None, 2));
}

#[test]
fn a_wildcard_host_takes_one_or_more_labels() {
    for (host, matches, not) in [
        (
            "shop.example",
            &["shop.example", "Shop.Example", "shop.example."][..],
            &["x.shop.example", "shop"][..],
        ),
        (
            "*.shop.example",
            &["a.shop.example", "a.b.SHOP.example."],
            &["shop.example", ".shop.example", "ashop.example"],
        ),
        ("*", &["shop.example", "x", "10.0.0.1"], &[]),
        ("[::1]", &["[::1]"], &["[::2]"]),
    ] {
        let pattern = format!("- {host}/a");
        for request in matches {
            assert_eq!(find(&[&pattern], &format!("GET {request}/a")), pattern, "{host} {request}");
        }
        for request in not {
            assert_eq!(find(&[&pattern], &format!("GET {request}/a")), "404", "{host} {request}");
        }
    }
}

#[test]
fn header_conditions_look_at_every_line() {
    for (condition, matches, not) in [
        ("x-a:1", &["x-a:1", "X-A:1", "x-a:2 x-a:1"][..], &["", " x-a:11", " x-b:1"][..]),
        ("x-a~[0-9]+", &["x-a:12", "x-a:b x-a:3"], &["", " x-a:1b", " x-a:b1"]),
        ("x-a", &["x-a:", "x-a:1"], &["", " x-b:1"]),
        ("!x-a", &["x-b:1"], &[" x-a:", " x-a:1"]),
    ] {
        let pattern = format!("- /a {condition}");
        for fields in matches {
            assert_eq!(find(&[&pattern], &format!("GET h/a {fields}")), pattern, "{condition} {fields}");
        }
        for fields in not {
            assert_eq!(find(&[&pattern], &format!("GET h/a{fields}")), "404", "{condition} {fields}");
        }
    }
}

#[test]
fn query_conditions_see_what_the_service_will_see() {
    for (condition, matches, not) in [
        (
            "?v=2",
            &["v=2", "a=1&v=2", "v=1&v=2", "%76=%32", "&&v=2&"][..],
            &["", "?v=22", "?v", "?av=2", "?v=%2"][..],
        ),
        ("?v", &["v", "v=", "v=1", "a&v"], &["", "?", "?w", "?vv=1"]),
        ("?v=", &["v", "v=", "v=1&v"], &["", "?v=1"]),
        ("?v~a.b", &["v=a+b", "v=a%20b", "v=acb"], &["?v=ab", "?v=xa%20b"]),
        ("?v=100%", &["v=100%", "v=100%25"], &["?v=100"]),
    ] {
        let pattern = format!("- /a {condition}");
        for query in matches {
            assert_eq!(find(&[&pattern], &format!("GET h/a?{query}")), pattern, "{condition} {query}");
        }
        for query in not {
            assert_eq!(find(&[&pattern], &format!("GET h/a{query}")), "404", "{condition} {query}");
        }
    }
}

#[test]
fn an_escape_that_a_service_would_undo_leads_past_no_route() {
    check(
        &["- /orders:purge", "- /a@b/{id}", "- ~/files/[^/:]+:raw", "- /x%2Ay/%7Bid%7D", "- /**"],
        &[
            ("GET h/orders:purge", "- /orders:purge"),
            ("GET h/orders%3Apurge", "- /orders:purge"),
            ("GET h/a%40b/c%2Cd", "- /a@b/{id} id=c%2Cd"),
            ("GET h/files/1%3Araw", "- ~/files/[^/:]+:raw"),
            ("GET h/x*y/{id}", "- /x%2Ay/%7Bid%7D"),
            ("GET h/x%2Ay/%7Bid%7D", "- /x%2Ay/%7Bid%7D"),
            // What is not the same stays apart.
            ("GET h/orders%253Apurge", "- /**"),
            ("GET h/a@b%2Fc", "- /**"),
        ],
    );
}

#[test]
fn two_spellings_of_one_path_are_one_pattern() {
    let patterns = ["- /a:b", "- /a%3Ab"].map(pattern).to_vec();
    assert!(matches!(Table::build(patterns).unwrap_err()[..], [Conflict::SameRequests { .. }]));
}
