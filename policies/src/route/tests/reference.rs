//! The trie against a reference that reads every pattern of every route, and requests made to hurt.

use proptest::prelude::*;

use super::*;
use crate::route::host::Kind;
use crate::route::path::{End, Segment, Shape};

/// Does the path match, segment by segment? Written the slow and obvious way.
fn path_matches(pattern: &Path, path: &str) -> bool {
    let (segments, end) = match &pattern.0 {
        Shape::Regex(expression) => {
            return regex::Regex::new(&format!("^(?:{})$", expression.text())).unwrap().is_match(path);
        }
        Shape::Segments { segments, end } => (segments, end),
    };
    let parts: Vec<&str> = path[1..].split('/').collect();
    let length_fits = match end {
        End::Closed => parts.len() == segments.len(),
        End::Open(_) => parts.len() >= segments.len(),
    };
    // `/` has one empty part, and `/**` no segment.
    length_fits
        && segments.iter().zip(&parts).all(|(segment, part)| match segment {
            Segment::Free(_) => !part.is_empty(),
            Segment::Literal(literal) => **literal == **part,
        })
}

fn host_matches(pattern: &Host, host: &str) -> bool {
    match &pattern.0 {
        Kind::Exact(name) => **name == *host,
        Kind::Under(name) => {
            host.strip_suffix(&**name).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
        }
        Kind::Any => true,
    }
}

/// The greater, the more specific: a score of its own making, not the one the table sorts by.
fn score(pattern: &Pattern, request: &Request) -> Option<(usize, i32, Vec<usize>, i32, usize)> {
    let host = &pattern.hosts[0];
    let path = &pattern.paths[0];
    let matches = host_matches(host, &request.host)
        && path_matches(path, &request.path)
        && pattern.headers.iter().all(|field| field.holds(&request.headers));
    if !matches {
        return None;
    }
    let host_score = match &host.0 {
        Kind::Exact(_) => 100,
        Kind::Under(name) => name.split('.').count(),
        Kind::Any => 0,
    };
    let (kind, shape) = match &path.0 {
        Shape::Segments { segments, end } => {
            let letters =
                segments.iter().map(|segment| if matches!(segment, Segment::Literal(_)) { 2 } else { 1 });
            (if *end == End::Closed { 3 } else { 1 }, letters.collect())
        }
        Shape::Regex(expression) => (2, vec![expression.text().len()]),
    };
    let names = |method: &Method| pattern.methods.contains(method);
    let method_score = match () {
        () if names(&request.method) => 3,
        () if request.method == Method::HEAD && names(&Method::GET) => 2,
        () if pattern.methods.is_empty() => 1,
        () => 0,
    };
    Some((host_score, kind, shape, method_score, pattern.headers.len()))
}

fn naive<'p>(patterns: &'p [Pattern], request: &Request) -> Result<&'p Pattern, bool> {
    let scored = patterns.iter().filter_map(|pattern| score(pattern, request).map(|score| (score, pattern)));
    let (takers, refused): (Vec<_>, Vec<_>) = scored.partition(|(score, _)| score.3 > 0);
    let best = takers.into_iter().max_by(|(one, _), (two, _)| one.cmp(two));
    best.map(|(_, pattern)| pattern).ok_or(!refused.is_empty())
}

fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let host = prop::sample::select(vec!["a.b", "b", "*.b", "*.a.b", "*"]);
    let segment = prop::sample::select(vec!["/a", "/b", "/*", "/{x}", "/"]);
    let segments = prop::collection::vec(segment, 0..4).prop_map(|segments| segments.concat());
    let path =
        (segments, prop::sample::select(vec!["", "", "/**"])).prop_map(|(segments, end)| segments + end);
    let regex = prop::sample::select(vec!["~/a.*", "~/[ab]/b", "~.*b"]).prop_map(str::to_owned);
    let path = prop_oneof![5 => path, 1 => regex];
    let methods = prop::sample::select(vec!["-", "GET", "HEAD", "POST", "GET,POST", "BAN", "POST,BAN"]);
    let header = prop::sample::select(vec!["", "", " x-a:1", " x-a:1 x-b"]);
    let one = (host, path, methods, header).prop_filter_map("no pattern", |(host, path, methods, header)| {
        let text = path.strip_prefix('~').map_or_else(|| Path::parse(&path), Path::regex);
        let fits = text.is_ok() && path.matches("{x}").count() < 2;
        fits.then(|| pattern(&format!("{methods} {host}{path}{header}")))
    });
    prop::collection::vec(one, 1..24).prop_map(without_conflicts)
}

fn without_conflicts(mut patterns: Vec<Pattern>) -> Vec<Pattern> {
    while let Err(conflicts) = Table::build(patterns.clone()) {
        let Conflict::SameRequests { second, .. } = conflicts[0] else { panic!("{conflicts:?}") };
        patterns.remove(second);
    }
    patterns
}

fn requests() -> impl Strategy<Value = Request> {
    let host = prop::sample::select(vec!["a.b", "b", "c.b", "c.a.b", "z"]);
    let segments = prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/c", "/"]), 1..5);
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "BAN"]);
    let header = prop::sample::select(vec!["", " x-a:1", " x-a:1 x-b:2", " x-b:1"]);
    (host, segments, method, header).prop_map(|(host, segments, method, header)| {
        Request::new(&format!("{method} {host}{}{header}", segments.concat()))
    })
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{} {:?}", self.method, self.host, self.path, self.headers)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_trie_agrees_with_reading_every_pattern(
        patterns in patterns(),
        requests in prop::collection::vec(requests(), 24),
    ) {
        let table = Table::build(patterns.clone()).unwrap();
        for request in requests {
            let expected = naive(&patterns, &request).map(|pattern| pattern.name.as_str());
            let found = match table.find(&request.ask(), &mut Silent) {
                Found::Route { index, .. } => Ok(patterns[index].name.as_str()),
                Found::MethodNotAllowed { .. } => Err(true),
                Found::Nothing => Err(false),
            };
            prop_assert_eq!(found, expected, "{:?}", request);
        }
    }

    /// Except for HEAD, which prefers routes that name it.
    #[test]
    fn the_first_that_matches_in_the_published_order_is_the_one_found(
        patterns in patterns(),
        requests in prop::collection::vec(requests(), 24),
    ) {
        let table = Table::build(patterns.clone()).unwrap();
        let order = table.order();
        for request in requests.into_iter().filter(|request| request.method != Method::HEAD) {
            let takes = |index: usize| score(&patterns[index], &request).is_some_and(|score| score.3 > 0);
            let expected = order.iter().map(|place| place.route).find(|index| takes(*index));
            let found = match table.find(&request.ask(), &mut Silent) {
                Found::Route { index, .. } => Some(index),
                Found::MethodNotAllowed { .. } | Found::Nothing => None,
            };
            prop_assert_eq!(found, expected, "{:?}", request);
        }
    }

    #[test]
    fn no_text_makes_the_compiler_of_patterns_panic(text in "\\PC{0,40}", path in "/[a{}*/.%\\-é]{0,24}") {
        let _ = (Host::parse(&text), Path::parse(&text), Path::parse(&path), Expression::parse(&text));
    }

    #[test]
    fn no_request_makes_the_lookup_panic(host in "\\PC{0,40}", path in "\\PC{0,40}", query in "\\PC{0,40}") {
        let table = table(&["- *.b/a/{x}/** ?v~.*", "GET /{x}/{y...} ?v=1", "- ~/.*é"]);
        let (headers, method) = (HeaderMap::new(), Method::GET);
        let path = format!("/{path}");
        let ask = Ask { host: &host, path: &path, query: Some(&query), method: &method, headers: &headers };
        table.find(&ask, &mut Silent);
    }
}

/// A pattern that parses prints a text that parses to the same.
#[test]
fn what_a_pattern_prints_is_what_it_was_read_from() {
    for text in ["/", "/a", "/a/", "/a/*/{b}/{c...}", "/**", "/%2F", "/%2A", "/%7Bid%7D", "/caf%C3%A9:1"] {
        assert_eq!(Path::parse(text).unwrap().to_string(), text);
    }
}

/// All 2^10 combinations of literal and free over ten segments, none of which ends as the request does: each node
/// is entered once, so the search ends; a search that took a path twice would take 2^n steps.
#[test]
fn backtracking_is_bounded_by_the_nodes_of_the_trie() {
    let depth = 10;
    let combination = |bits: u32| {
        let segments = (0..depth).map(|at| if bits >> at & 1 == 0 { "/a" } else { "/*" });
        pattern(&format!("POST {}/end", segments.collect::<String>()))
    };
    let table = Table::build((0..1 << depth).map(combination).collect()).unwrap();
    let path = "/a".repeat(4096);
    assert_eq!(path.len(), 8192);
    let request = Request::new("GET h/");
    assert_eq!(table.find(&Ask { path: &path, ..request.ask() }, &mut Silent), Found::Nothing);
    let mut notes = Notes::default();
    let end = "/a".repeat(depth) + "/end";
    let found = table.find(&Ask { path: &end, ..request.ask() }, &mut notes);
    assert!(matches!(found, Found::MethodNotAllowed { .. }));
    assert_eq!(notes.0.len(), 1 << depth, "each candidate was asked exactly once");
}

#[test]
fn deep_stacks_of_open_ends_are_asked_in_order() {
    let deep: Vec<String> =
        (0..64).map(|depth| format!("- {}/** x-depth:{depth}", "/a".repeat(depth))).collect();
    let texts: Vec<&str> = deep.iter().map(String::as_str).collect();
    let table = table(&texts);
    let path = "/a".repeat(4096);
    for depth in [0, 17, 63] {
        let request = Request::new(&format!("GET h/ x-depth:{depth}"));
        let found = table.find(&Ask { path: &path, ..request.ask() }, &mut Silent);
        assert_eq!(found, Found::Route { index: depth, params: Params::default() });
    }
}

#[test]
fn a_host_of_a_thousand_labels_is_only_a_host_that_is_not_known() {
    let host = "a.".repeat(5000) + "example";
    let request = Request::new("GET h/a");
    let table = table(&["- *.shop.example/a", "- *.example/b"]);
    assert_eq!(table.find(&Ask { host: &host, ..request.ask() }, &mut Silent), Found::Nothing);
}

/// Reliability §2 row 46: a route's regular expression on a long path must cost neither stack nor more than
/// linear time. A backtracking engine would not come back from this one.
#[test]
fn a_regex_on_a_long_path_is_linear() {
    let path = format!("/{}", "a".repeat(8191));
    let request = Request::new("GET h/");
    for pattern in ["- ~/(a+)+b", "- ~/(a|a)*b", "- ~/(.*)*x"] {
        let table = table(&[pattern]);
        let found = table.find(&Ask { path: &path, ..request.ask() }, &mut Silent);
        assert_eq!(found, Found::Nothing, "{pattern}");
    }
}
