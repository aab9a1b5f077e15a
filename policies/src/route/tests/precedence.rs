//! The most specific route wins; a route that does not fit hands over to the next; what nobody can choose between
//! is a conflict.

use super::*;

#[test]
fn the_most_specific_host_wins() {
    check(
        &["- shop.example/**", "- *.shop.example/**", "- *.b.shop.example/**", "- /**", "- *.example/**"],
        &[
            ("GET shop.example/x", "- shop.example/**"),
            ("GET a.shop.example/x", "- *.shop.example/**"),
            ("GET a.b.shop.example/x", "- *.b.shop.example/**"),
            ("GET b.shop.example/x", "- *.shop.example/**"),
            ("GET c.a.b.shop.example/x", "- *.b.shop.example/**"),
            ("GET other.example/x", "- *.example/**"),
            ("GET example/x", "- /**"),
        ],
    );
}

#[test]
fn host_goes_before_path() {
    check(
        &["- shop.example/**", "- /orders/1", "- *.example/orders/1"],
        &[
            ("GET shop.example/orders/1", "- shop.example/**"),
            ("GET a.example/orders/1", "- *.example/orders/1"),
            ("GET a.example/orders/2", "404"),
            ("GET other/orders/1", "- /orders/1"),
        ],
    );
}

#[test]
fn longer_path_wins() {
    check(
        &["- /**", "- /orders/**", "- /orders/{id}", "- /orders/new", "- /orders/{id}/items", "- /orders"],
        &[
            ("GET h/", "- /**"),
            ("GET h/ordersx", "- /**"),
            ("GET h/orders", "- /orders"),
            ("GET h/orders/", "- /orders/**"),
            ("GET h/orders/new", "- /orders/new"),
            ("GET h/orders/7", "- /orders/{id} id=7"),
            ("GET h/orders/new/items", "- /orders/{id}/items id=new"),
            ("GET h/orders/7/refunds", "- /orders/**"),
        ],
    );
}

#[test]
fn segments_are_compared_from_the_left() {
    check(
        &["- /a/{y}/c", "- /{x}/b/c", "- /a/{y}/{z}", "- /{x}/b/{z}"],
        &[
            ("GET h/a/b/c", "- /a/{y}/c y=b"),
            ("GET h/a/b/d", "- /a/{y}/{z} y=b z=d"),
            ("GET h/z/b/c", "- /{x}/b/c x=z"),
            ("GET h/z/b/d", "- /{x}/b/{z} x=z z=d"),
        ],
    );
}

#[test]
fn the_search_comes_back_from_a_literal_that_leads_nowhere() {
    check(
        &["- /a/b/c", "- /a/{y}/d", "- /{x}/b/e", "- /{x}/{y}/{z...}"],
        &[
            ("GET h/a/b/c", "- /a/b/c"),
            ("GET h/a/b/d", "- /a/{y}/d y=b"),
            ("GET h/a/b/e", "- /{x}/b/e x=a"),
            ("GET h/a/b/f", "- /{x}/{y}/{z...} x=a y=b z=f"),
            ("GET h/a", "404"),
        ],
    );
}

#[test]
fn a_path_of_known_length_goes_before_regex_and_regex_before_an_open_end() {
    check(
        &["- /a/{x}", "- ~/a/.*", "- /a/b/**", "- /{x}/{y}/{z}", "- ~/a/b.*c"],
        &[
            ("GET h/a/b", "- /a/{x} x=b"),
            ("GET h/a/b/c", "- /{x}/{y}/{z} x=a y=b z=c"),
            ("GET h/a/b/c/d", "- ~/a/.*"),
            ("GET h/a/b/x/c", "- ~/a/b.*c"),
            ("GET h/a/", "- ~/a/.*"),
            ("GET h/b/", "404"),
        ],
    );
}

#[test]
fn among_open_ends_the_longer_literal_beginning_wins() {
    check(
        &["- /**", "- /a/**", "- /a/b/**", "- /{x}/b/c/**", "- /a/{y}/c/**", "- /{rest}/**"],
        &[
            ("GET h/a/b/c/d", "- /a/b/**"),
            ("GET h/a/z/c/d", "- /a/{y}/c/** y=z"),
            ("GET h/a/z/d", "- /a/**"),
            ("GET h/z/b/c", "- /{x}/b/c/** x=z"),
            ("GET h/z/y", "- /{rest}/** rest=z"),
            ("GET h/", "- /**"),
        ],
    );
}

#[test]
fn a_named_method_goes_before_any_and_path_before_method() {
    check(
        &["GET /a/**", "- /a/**", "- /a/b", "POST,PUT /a/**", "- /**"],
        &[
            ("GET h/a/x", "GET /a/**"),
            ("PUT h/a/x", "POST,PUT /a/**"),
            ("DELETE h/a/x", "- /a/**"),
            ("PURGE h/a/x", "- /a/**"),
            ("GET h/a/b", "- /a/b"),
        ],
    );
}

#[test]
fn get_answers_head_unless_head_is_named() {
    check(
        &["GET /a", "- /a", "HEAD /b", "GET /b x-a:1", "- /b", "GET /c", "HEAD /**"],
        &[
            ("HEAD h/a", "GET /a"),
            ("HEAD h/b x-a:1", "HEAD /b"),
            ("GET h/b x-a:1", "GET /b x-a:1"),
            ("GET h/b", "- /b"),
            ("HEAD h/c", "GET /c"),
            ("HEAD h/d", "HEAD /**"),
            ("GET h/d", "405 HEAD"),
        ],
    );
}

#[test]
fn more_conditions_win_headers_before_query() {
    check(
        &["- /a", "- /a x-a:1", "- /a x-a:1 x-b:1", "- /a ?v=1 ?w=1 ?z", "- /a x-a:1 ?v=1", "POST /a"],
        &[
            ("GET h/a", "- /a"),
            ("GET h/a x-a:1", "- /a x-a:1"),
            ("GET h/a?v=1 x-a:1", "- /a x-a:1 ?v=1"),
            ("GET h/a?v=1&w=1&z x-a:1", "- /a x-a:1 ?v=1"),
            ("GET h/a?v=1 x-a:1 x-b:1", "- /a x-a:1 x-b:1"),
            ("GET h/a?z&w=1&v=1", "- /a ?v=1 ?w=1 ?z"),
            ("POST h/a x-a:1", "POST /a"),
        ],
    );
}

#[test]
fn equal_counts_are_settled_by_what_the_conditions_say() {
    check(
        &["- /a x-b:1", "- /a x-a", "- /a x-a~[0-9]", "- /a x-c:1", "- /a !x-d"],
        &[
            ("GET h/a x-a:1 x-b:1 x-c:1", "- /a x-b:1"),
            ("GET h/a x-a:1 x-c:1", "- /a x-c:1"),
            ("GET h/a x-a:1", "- /a x-a~[0-9]"),
            ("GET h/a x-a:z", "- /a x-a"),
            ("GET h/a", "- /a !x-d"),
            ("GET h/a x-d:1", "404"),
        ],
    );
}

#[test]
fn what_does_not_fit_falls_back_even_to_less_specific_hosts() {
    check(
        &["GET shop.example/a x-a:1", "POST *.example/a", "- *.example/a/**", "PUT /{x}", "DELETE /**"],
        &[
            ("GET shop.example/a x-a:1", "GET shop.example/a x-a:1"),
            ("GET shop.example/a", "- *.example/a/**"),
            ("POST shop.example/a", "POST *.example/a"),
            ("PUT shop.example/b", "PUT /{x} x=b"),
            ("DELETE shop.example/b", "DELETE /**"),
            ("PATCH shop.example/b", "405 PUT, DELETE"),
        ],
    );
}

#[test]
fn method_not_allowed_only_where_everything_else_matches() {
    check(
        &["GET,POST /a", "PUT /a x-a:1", "DELETE /{x} ?v", "PURGE,BAN,GET /b", "~ /c"]
            .map(|p| if p == "~ /c" { "OPTIONS ~/c+" } else { p }),
        &[
            ("PATCH h/a", "405 GET, HEAD, POST"),
            ("PATCH h/a x-a:1", "405 GET, HEAD, POST, PUT"),
            ("PATCH h/a?v", "405 GET, HEAD, POST, DELETE"),
            ("POST h/b", "405 GET, HEAD, PURGE, BAN"),
            ("BAN h/b", "PURGE,BAN,GET /b"),
            ("QUERY h/b", "405 GET, HEAD, PURGE, BAN"),
            ("NOPE h/b", "405 GET, HEAD, PURGE, BAN"),
            ("GET h/cc", "405 OPTIONS"),
            ("GET h/z", "404"),
        ],
    );
}

#[test]
fn the_allow_list_is_bounded() {
    let many: Vec<String> = (0..50).map(|n| format!("M{n}")).collect();
    let pattern = format!("{} /a", many.join(","));
    assert_eq!(find(&[&pattern], "GET h/a"), "405 M0, M1, M2, M3, M4, M5, M6, M7");
    assert_eq!(find(&[&pattern], "M49 h/a"), pattern);
}

#[test]
fn a_target_that_is_no_path_matches_nothing() {
    let request = Request::new("OPTIONS h/");
    for path in ["*", "", "a", "shop.example:443"] {
        assert_eq!(
            table(&["- /**"]).find(&Ask { path, ..request.ask() }, &mut Silent),
            Found::Nothing,
            "{path}"
        );
    }
}

#[test]
fn a_route_without_host_and_path_takes_everything() {
    let table = Table::build(vec![Pattern::default()]).unwrap();
    let request = Request::new("GET h/a/b");
    assert_eq!(table.find(&request.ask(), &mut Silent), Found::Route { index: 0, params: Params::default() });
    assert_eq!(Table::build(vec![]).unwrap().find(&request.ask(), &mut Silent), Found::Nothing);
}

#[test]
fn a_route_may_list_several_hosts_and_paths() {
    let several = Pattern {
        hosts: ["a.example", "b.example"].map(|host| Host::parse(host).unwrap()).to_vec(),
        paths: ["/x", "/y/{id}", "/x"].map(|path| Path::parse(path).unwrap()).to_vec(),
        ..Pattern::default()
    };
    let table = Table::build(vec![several]).unwrap();
    for (request, found) in [
        ("GET a.example/x", true),
        ("GET b.example/y/1", true),
        ("GET b.example/y", false),
        ("GET c.example/x", false),
    ] {
        let hit = table.find(&Request::new(request).ask(), &mut Silent) != Found::Nothing;
        assert_eq!(hit, found, "{request}");
    }
}

#[test]
fn routes_that_nothing_tells_apart_are_conflicts() {
    for (one, two, conflict) in [
        ("- /a", "- /a", Some("any method for host *, path /a")),
        ("- /{a}", "- /{b}", Some("any method for host *, path /{b}")),
        ("- /*/x", "- /{b}/x", Some("any method for host *, path /{b}/x")),
        ("- /a/**", "- /a/{rest...}", Some("any method for host *, path /a/{rest...}")),
        ("- ~/a+", "- ~/a+", Some("any method for host *, path ~ /a+")),
        ("GET,PUT /a", "PUT,POST /a", Some("PUT for host *, path /a")),
        ("- H.example/a", "- h.example/a", Some("any method for host h.example, path /a")),
        ("- /a x-a:1 x-b", "- /a x-b x-a:1", Some("any method for host *, path /a")),
        ("PURGE /a", "PURGE /a", Some("PURGE for host *, path /a")),
        ("GET /a", "POST /a", None),
        ("GET /a", "- /a", None),
        ("GET /a", "HEAD /a", None),
        ("- /a", "- /a/", None),
        ("- /a", "- /a/**", None),
        ("- /a x-a:1", "- /a x-a:2", None),
        ("- /a ?a=1", "- /a x-a:1", None),
        ("- h.example/a", "- *.example/a", None),
    ] {
        let built = Table::build(vec![pattern("- /zzz"), pattern(one), pattern(two)]);
        let expected = conflict.map(|what| {
            vec![format!("routes 1 `{one}` and 2 `{two}` both answer {what}: give one of them a condition that the other has not")]
        });
        let said = built.err().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(said, expected, "{one} | {two}");
    }
}

#[test]
fn all_conflicts_are_reported_each_pair_once() {
    let both = |methods: &str| Pattern {
        paths: ["/a", "/b"].map(|path| Path::parse(path).unwrap()).to_vec(),
        ..pattern(methods)
    };
    let patterns =
        vec![both("GET,POST /z"), both("GET,POST /z"), pattern("- /c"), pattern("- /c"), pattern("- /c")];
    let pairs: Vec<_> = Table::build(patterns)
        .unwrap_err()
        .into_iter()
        .map(|conflict| match conflict {
            Conflict::SameRequests { first, second, .. } => (first, second),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(pairs, [(0, 1), (2, 3), (2, 4)]);
}

#[test]
fn a_table_has_a_largest_size() {
    let wide = Pattern {
        hosts: (0..1025).map(|n| Host::parse(&format!("h{n}")).unwrap()).collect(),
        paths: (0..1025).map(|n| Path::parse(&format!("/{n}")).unwrap()).collect(),
        ..Pattern::default()
    };
    assert_eq!(Table::build(vec![wide]).unwrap_err(), [Conflict::TooManyPlaces { most: 1 << 20 }]);
}

#[test]
fn the_published_order_reads_from_most_to_least_specific() {
    let table = table(&[
        "- /**",
        "GET /orders/{id}",
        "- /orders/new",
        "- ~/o.*",
        "- shop.example/**",
        "- *.example/a x-a:1 ?v",
        "GET /orders/{id} x-a",
    ]);
    let order: Vec<_> = table.order().into_iter().map(|place| (place.route, place.reason)).collect();
    let expected = [
        (4, "exact host, 0 literal segment(s), open end, any method"),
        (
            5,
            "wildcard host of 1 labels, 1 literal segment(s), any method, 1 header condition(s), 1 query condition(s)",
        ),
        (2, "any host, 2 literal segment(s), any method"),
        (6, "any host, 1 literal and 1 free segment(s), GET, 1 header condition(s)"),
        (1, "any host, 1 literal and 1 free segment(s), GET"),
        (3, "any host, regular expression, any method"),
        (0, "any host, 0 literal segment(s), open end, any method"),
    ];
    assert_eq!(order, expected.map(|(route, reason)| (route, reason.to_owned())));
}

#[test]
fn the_witness_hears_why_each_candidate_lost() {
    assert_eq!(
        notes(&["GET /a x-a:1", "GET /a ?v=1", "POST /a", "- /{x} !x-z", "- /**"], "GET h/a x-z:1"),
        [
            "`GET /a x-a:1` loses: not true that header x-a is `1`",
            "`GET /a ?v=1` loses: not true that query v is `1`",
            "`POST /a` loses: it does not answer GET",
            "`- /{x} !x-z` loses: not true that header x-z is absent",
            "`- /**` wins",
        ]
    );
    assert_eq!(notes(&["- /a"], "GET h/b"), [""; 0]);
}

#[test]
fn no_candidate_is_asked_twice_on_the_way_to_a_less_specific_host() {
    assert_eq!(
        notes(&["POST shop.example/**", "PUT *.example/a/**", "- /**"], "GET shop.example/a"),
        [
            "`POST shop.example/**` loses: it does not answer GET",
            "`PUT *.example/a/**` loses: it does not answer GET",
            "`- /**` wins",
        ]
    );
}
