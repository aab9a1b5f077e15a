//! The reader's promises: every problem in one run, at its place, within bounds. What each setting means is in
//! `policies/tests/golden/`.

use super::*;

/// Line and column of each problem with its message, in order.
fn problems(text: &str) -> Vec<String> {
    let told = |error: &DocumentError| {
        let line = |p: &Problem| format!("{}:{} {}", p.at.line, p.at.column, p.message);
        error.problems().iter().map(line).collect()
    };
    Document::load(&[Source::new("shop.yaml", text)]).map_or_else(|error| told(&error), |_| Vec::new())
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn all_problems_are_told_at_once_each_at_its_place() {
    check(
        "version: 1
targets:
  shop: { url: http://shop:8080, bulkhead: { max: many, wait: 5 } }
  other: { urll: http://other }
routes:
  - name: all
    to: shoop
    deadline: 3
    colour: red
  - name: all
    path: /x
    to: shop
",
        &[
            "3:51 expected a whole number, found `many`",
            "3:63 `5` has no unit: expected a duration such as 200ms, 3s, 10m or 1h",
            "4:3 this target does not say where it is",
            "4:12 `urll` is not a key here",
            "7:9 there is no target named `shoop`",
            "8:15 `3` has no unit: expected a duration such as 200ms, 3s, 10m or 1h",
            "9:5 `colour` is not a key here",
            "10:11 another route is named `all`",
        ],
    );
}

#[test]
fn a_problem_is_shown_in_its_line_with_what_was_meant() {
    let source = Source::new("shop.yaml", "version: 1\nroutes:\n  - { name: a, answr: { status: 204 } }\n");
    let shown = Document::load(&[source]).unwrap_err().to_string();
    for expected in
        ["`answr` is not a key here", "shop.yaml:3:16", "^^^^^", "did you mean `answer`?", "2 problems"]
    {
        assert!(shown.contains(expected), "{expected} in:\n{shown}");
    }
}

#[test]
fn what_could_not_be_read_raises_no_second_complaint() {
    check(
        "version: 1
targets:
  shop: { url: nowhere }
routes:
  - { name: a, to: shop }
",
        &[
            "3:16 `nowhere` is not an address such as http://orders:8080 or https://10.0.0.5:8443, without a path",
        ],
    );
    check(
        "version: 1\nroutes:\n  - { name: a, fault: { delay: soon }, answer: {} }\n",
        &["3:32 `soon` is not a duration such as 200ms, 3s, 10m or 1h"],
    );
}

#[test]
fn a_key_that_stands_twice_is_an_error_that_names_the_first() {
    check(
        "version: 1\ntargets:\n  a: { url: http://a }\n  a: { url: http://b }\n",
        &["4:3 `a` stands twice; first on line 3"],
    );
}

#[test]
fn the_version_is_written_and_known() {
    check("routes: []\n", &["1:1 `version` is missing"]);
    check("version: 2\n", &["1:10 this version of the language is not known; there is 1"]);
}

#[test]
fn what_is_not_yaml_is_told_where_it_stops_being_yaml() {
    assert_eq!(problems("version: 1\ntargets: [\n").len(), 1);
    assert_eq!(problems("version: 1\n\ttargets: {}\n").len(), 1);
    check("", &["1:1 the file is empty"]);
    check("# only a remark\n", &["1:1 the file is empty"]);
    check("just words\n", &["1:1 a document is a block of keys: version, targets, routes ..."]);
    check("version: 1\n---\nversion: 1\n", &["4:1 a file holds one document; `---` starts a second one"]);
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut bomb = String::from("version: 1\na: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (to, from) in "bcdefghij".chars().zip("abcdefghi".chars()) {
        bomb += &format!(
            "{to}: &{to} [*{from}, *{from}, *{from}, *{from}, *{from}, *{from}, *{from}, *{from}, *{from}]\n"
        );
    }
    let found = problems(&bomb);
    assert!(found[0].contains("aliases expand to more than 10000 nodes"), "{found:?}");
}

#[test]
fn an_honest_alias_is_followed() {
    check(
        "version: 1
targets:
  a: &shape { url: http://a, bulkhead: { max: 5 } }
  b: *shape
routes: [{ name: all, to: b }]
",
        &[],
    );
}

#[test]
fn depth_is_a_limit_and_not_a_stack_overflow() {
    for (bomb, expected) in [
        (
            format!("version: 1\nroutes: {}x{}\n", "[".repeat(40), "]".repeat(40)),
            "nested more than 32 levels deep",
        ),
        (format!("version: 1\nroutes: {}\n", "[".repeat(200_000)), "recursion limit exceeded"),
        ("- ".repeat(200_000), "nested more than 32 levels deep"),
    ] {
        let found = problems(&bomb);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let found = problems(&format!("version: 1\n# {}\n", "x".repeat(10 << 20)));
    assert_eq!(found, ["1:1 the file is larger than 8 MiB"]);
}

#[test]
fn the_list_of_problems_has_an_end() {
    let mut text = String::from("version: 1\nroutes:\n");
    for n in 0..20_000 {
        text += &format!("  - {{ name: r{n}, wrong: 1, deadline: x, to: nowhere }}\n");
    }
    let error = Document::load(&[Source::new("shop.yaml", text)]).unwrap_err();
    assert_eq!(error.problems().len(), 100);
    assert!(error.to_string().contains(" more\n"));
}

#[test]
fn a_directory_is_one_document() {
    let files = [
        Source::new("targets.yaml", "version: 1\ntargets:\n  shop: { url: http://shop }\n"),
        Source::new("routes/all.yaml", "version: 1\nroutes:\n  - { name: all, to: shop }\n"),
        Source::new(
            "routes/orders.yaml",
            "version: 1\nroutes:\n  - { name: orders, path: /orders/**, to: shop }\n",
        ),
    ];
    let document = Document::load(&files).unwrap();
    assert_eq!((document.targets.0.len(), document.routes.0.len()), (1, 2));
}

#[test]
fn a_directory_is_loaded_whole_or_not_at_all_and_every_file_is_read() {
    let files = [
        Source::new("a.yaml", "version: 1\ntargets:\n  shop: { url: http://shop }\n"),
        Source::new("b.yaml", "version: 1\ntargets:\n  shop: { url: http://other }\n"),
        Source::new("c.yaml", "version: [\n"),
        Source::new("d.yaml", "version: 1\nroutes: [{ name: r, to: shop, retry: { attempts: 0 } }]\n"),
    ];
    let error = Document::load(&files).unwrap_err();
    let told: Vec<_> = error.problems().iter().map(|p| (error.file(p), p.message.as_str())).collect();
    assert_eq!(told[0], ("b.yaml", "`shop` is already defined in another file"));
    assert_eq!(told[1].0, "c.yaml");
    assert_eq!(told[2], ("d.yaml", "expected 1 to 10 attempts, the first included"));
    assert_eq!(told.len(), 3);
}

#[test]
fn yes_and_no_are_words_and_not_truths() {
    check("version: 1\ntargets: { a: { url: http://a, dry_runs: yes } }\n", &["2:42 expected true or false"]);
}

#[test]
fn a_secret_never_stands_in_the_document() {
    let found = problems(
        "version: 1\nidentities:\n  shop: { secret: hunter2, issuer: a, audience: b }\n  keys: { api_keys: { acme: { secret: s3 } } }\n",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|told| told.contains("secrets do not stand in documents")), "{found:?}");
    assert!(!found.iter().any(|told| told.contains("hunter2")), "{found:?}");
}

#[test]
fn the_schema_knows_every_setting_the_reader_knows() {
    let settings = manual::settings();
    for setting in
        ["document.routes", "route.limit", "limit.rate", "target.bulkhead", "profile.retry", "call.listen"]
    {
        assert!(settings.iter().any(|known| known == setting), "{setting} in {settings:?}");
    }
}

mod never {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_panics(text in "\\PC{0,200}") {
            let _ = Document::load(&[Source::new("x", text)]);
        }

        #[test]
        fn any_damage_to_a_good_document_panics(at in 0_usize..1500, cut in 0_usize..40, put in "[\\PC\\n]{0,8}") {
            let good = include_str!("../../examples/strangler.yaml");
            let floor = |n: usize| (0..=n.min(good.len())).rev().find(|n| good.is_char_boundary(*n)).unwrap_or(0);
            let text = [&good[..floor(at)], &put, &good[floor(at + cut)..]].concat();
            if let Err(error) = Document::load(&[Source::new("x", text)]) {
                prop_assert!(!error.problems().is_empty());
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// One item that is left out must not make the way to each of the others a walk from the first: with a problem of the
/// text among 10,000 routes, this took twenty seconds.
#[test]
fn problems_among_many_routes_are_each_found_at_their_place() {
    let routes: String =
        (0..10_000).map(|n| format!("  - {{ name: r{n}, path: /p{n}, to: shop }}\n")).collect();
    let text = format!(
        "version: 1\ntargets: {{ shop: {{ url: http://shop }} }}\nroutes:\n  - {{ name: bad, path: nope, to: shop }}\n{routes}  - {{ name: last, to: nowhere }}\n"
    );
    let error = Document::load(&[Source::new("many.yaml", text)]).unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|problem| problem.at.line).collect();
    assert_eq!(lines, [4, 10_005], "{error}");
}
