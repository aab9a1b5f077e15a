//! Decision tables of scopes, claims, addresses and peers.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::spiffe::SpiffeId;
use crate::verdict::Denial;
use crate::why::{Notes, Silent};

// Scopes.

fn scope(rule: &str, held: &str) -> Result<(), Denial> {
    let held: Scopes = held.split_whitespace().collect();
    ScopeRule::parse(rule).unwrap().check(&held, &mut Silent)
}

#[test]
fn scope_rules_are_and_or_and_brackets() {
    let check = |rule, held, expected| assert_eq!(scope(rule, held), expected, "{rule} against {held:?}");
    let missing = Err(Denial::ScopeMissing);

    check("orders:read", "orders:read", Ok(()));
    check("orders:read", "", missing);
    check("orders:read", "orders:read:all orders", missing);
    check("orders:read", "ORDERS:READ", missing);
    check("orders:read | orders:write", "orders:write", Ok(()));
    check("orders:read|orders:write", "orders:write", Ok(()));
    check("a & b", "a", missing);
    check("a & b", "b a", Ok(()));
    check("a | b & c", "a", Ok(()));
    check("a | b & c", "b", missing);
    check("(a | b) & c", "a", missing);
    check("(a | b) & c", "a c", Ok(()));
    check("((a))", "a", Ok(()));
    check(" a & b & (c | d | e) ", "a b e", Ok(()));
    check("https://shop.example/orders.read", "https://shop.example/orders.read", Ok(()));
}

#[test]
fn scope_rule_errors_point_at_the_place() {
    let check = |rule: &str, expected: &str| {
        assert_eq!(ScopeRule::parse(rule).unwrap_err().to_string(), expected, "{rule}");
    };
    check("", "at offset 0: expected a scope or `(`, found the end of the rule");
    check("a |", "at offset 3: expected a scope or `(`, found the end of the rule");
    check("a | | b", "at offset 4: expected a scope or `(`, found '|'");
    check("& a", "at offset 0: expected a scope or `(`, found '&'");
    check("a b", "at offset 2: expected `|`, `&` or the end, found 'b'");
    check("a)", "at offset 1: expected `|`, `&` or the end, found ')'");
    check("(a | b", "at offset 6: expected `)`, `|` or `&`, found the end of the rule");
    check("(a b)", "at offset 3: expected `)`, `|` or `&`, found 'b'");
    check("()", "at offset 1: expected a scope or `(`, found ')'");
    check("a | b\u{e4}r", "at offset 5: expected `|`, `&` or the end, found 'ä'");
    check("a | \"b\"", "at offset 4: expected a scope or `(`, found '\"'");
    check(
        &"(".repeat(17),
        "at offset 17: expected at most 16 brackets in each other, found the end of the rule",
    );
    check(&"a".repeat(1025), "at offset 1024: expected at most 1024 bytes, found 'a'");
}

#[test]
fn scope_rules_say_what_is_missing() {
    let mut notes = Notes::default();
    let rule = ScopeRule::parse("a & ( b|c )").unwrap();
    rule.check(&["a", "x"].into_iter().collect(), &mut notes).unwrap_err();
    rule.check(&Scopes::default(), &mut notes).unwrap_err();
    let words: Vec<_> = notes.0.iter().map(|note| note.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "needs `a & (b | c)`, and the caller has only `a x`",
            "needs `a & (b | c)`, and the caller has no scope",
        ]
    );
}

fn need() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(String::from);
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::collection::vec(inner, 1..4), prop::sample::select(vec![" & ", " | "]))
            .prop_map(|(parts, sign)| format!("({})", parts.join(sign)))
    })
}

fn held() -> impl Strategy<Value = String> {
    prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_map(|scopes| scopes.join(" "))
}

proptest! {
    #[test]
    fn a_scope_rule_survives_being_written_and_read(rule in need()) {
        let rule = ScopeRule::parse(&rule).unwrap();
        let again = ScopeRule::parse(&rule.to_string()).unwrap();
        prop_assert_eq!(again.to_string(), rule.to_string());
    }

    #[test]
    fn removing_an_alternative_never_lets_more_callers_in(
        (parts, at) in prop::collection::vec(need(), 2..5).prop_flat_map(|p| (0..p.len()).prop_map(move |i| (p.clone(), i))),
        held in held(),
    ) {
        let mut fewer = parts.clone();
        fewer.remove(at);
        prop_assert!(scope(&parts.join(" | "), &held).is_ok() || scope(&fewer.join(" | "), &held).is_err());
    }

    #[test]
    fn having_more_scopes_never_hurts(rule in need(), held in held(), more in "[a-d]") {
        let richer = format!("{held} {more}");
        prop_assert!(scope(&rule, &held).is_err() || scope(&rule, &richer).is_ok());
    }

    #[test]
    fn reading_a_scope_rule_never_panics(text in "[ab|&() \u{e4}]{0,40}") {
        if let Err(error) = ScopeRule::parse(&text) {
            prop_assert!(text.is_char_boundary(error.offset));
        }
    }
}

// Claims.

fn claim(path: &str, any_of: Value) -> Result<(), Denial> {
    let claims = json!({
        "tenant": "shop", "level": 3, "staff": true, "a.b": "flat", "nothing": null,
        "groups": ["buyers", "admins"], "https://shop.example/roles": ["cook"],
        "realm_access": { "roles": ["clerk"], "deep": { "er": "x" } },
    });
    let any_of = match any_of {
        Value::Array(values) => values,
        one => vec![one],
    };
    let rule = ClaimRule::new(ClaimPath::parse(path).unwrap(), any_of).unwrap();
    rule.check(claims.as_object().unwrap(), &mut Silent)
}

#[test]
fn claims_equal_or_contain_one_of_the_values() {
    let check =
        |path, any_of: Value, expected| assert_eq!(claim(path, any_of.clone()), expected, "{path} {any_of}");
    let mismatch = Err(Denial::ClaimMismatch);

    check("tenant", json!("shop"), Ok(()));
    check("tenant", json!("Shop"), mismatch);
    check("tenant", json!(["other", "shop"]), Ok(()));
    check("tenant", json!("sho"), mismatch);
    check("level", json!(3), Ok(()));
    check("level", json!("3"), mismatch);
    check("staff", json!(true), Ok(()));
    check("staff", json!("true"), mismatch);
    check("groups", json!("admins"), Ok(()));
    check("groups", json!(["x", "y"]), mismatch);
    check("realm_access.roles", json!("clerk"), Ok(()));
    check("realm_access.deep.er", json!("x"), Ok(()));
    check("realm_access", json!("clerk"), mismatch);
    check("https://shop.example/roles", json!("cook"), Ok(()));
    check("missing", json!("x"), mismatch);
    check("tenant.deeper", json!("shop"), mismatch);
    check("groups.0", json!("buyers"), mismatch);
    check("nothing", json!("x"), mismatch);
    check("a.b", json!("flat"), mismatch);
}

#[test]
fn a_claim_path_can_be_given_by_its_names() {
    let claims = json!({ "a.b": { "c/d": 1 } });
    let path = ClaimPath::of(["a.b", "c/d"]).unwrap();
    assert_eq!(path.find(claims.as_object().unwrap()), Some(&json!(1)));
}

#[test]
fn claim_rules_that_cannot_be_are_refused() {
    assert_eq!(ClaimPath::parse(""), Err(ClaimRuleError::PathEmpty));
    assert_eq!(ClaimPath::parse("a..b"), Err(ClaimRuleError::PathEmpty));
    assert_eq!(ClaimPath::parse(".a"), Err(ClaimRuleError::PathEmpty));
    assert_eq!(ClaimPath::parse("a.b.c.d.e.f.g.h.i"), Err(ClaimRuleError::PathTooDeep));
    assert_eq!(ClaimRule::new(ClaimPath::parse("a").unwrap(), vec![]), Err(ClaimRuleError::NoValue));
}

#[test]
fn a_mismatch_does_not_tell_what_the_token_says() {
    let mut notes = Notes::default();
    let rule = ClaimRule::new(ClaimPath::parse("email").unwrap(), vec![json!("a@shop.example")]).unwrap();
    let claims = json!({ "email": "private@home.example" });
    rule.check(claims.as_object().unwrap(), &mut notes).unwrap_err();
    assert_eq!(notes.0[0].words, "`email` must be \"a@shop.example\", and it is something else");
}

// Addresses.

fn nets(text: &str) -> Vec<IpNet> {
    text.split_whitespace().map(|net| net.parse().unwrap()).collect()
}

fn rules(allow: Option<&str>, deny: &str) -> AddressRules {
    AddressRules::compile(&AddressSettings { allow: allow.map(nets), deny: nets(deny) })
}

#[test]
fn the_most_specific_network_speaks_and_deny_wins_a_tie() {
    let check = |allow, deny, address: &str, passes: bool| {
        let outcome = rules(allow, deny).check(address.parse().unwrap(), &mut Silent);
        let expected = if passes { Ok(()) } else { Err(Denial::AddressDenied) };
        assert_eq!(outcome, expected, "{address} with allow {allow:?} deny {deny}");
    };
    check(None, "", "192.0.2.1", true);
    check(None, "", "2001:db8::1", true);
    check(None, "192.0.2.0/24", "192.0.2.255", false);
    check(None, "192.0.2.0/24", "192.0.3.0", true);
    check(Some("10.0.0.0/8"), "", "10.255.255.255", true);
    check(Some("10.0.0.0/8"), "", "11.0.0.0", false);
    check(Some("10.0.0.0/8"), "", "9.255.255.255", false);
    check(Some("10.0.0.0/8"), "10.1.0.0/16", "10.1.2.3", false);
    check(Some("10.0.0.0/8"), "10.1.0.0/16", "10.2.0.0", true);
    check(Some("10.0.0.0/8 10.1.2.3/32"), "10.1.0.0/16", "10.1.2.3", true);
    check(Some("10.0.0.0/8 10.1.2.3/32"), "10.1.0.0/16", "10.1.2.4", false);
    check(Some("10.1.2.3/32"), "10.0.0.0/8", "10.1.2.3", true);
    check(Some("10.0.0.0/8"), "10.0.0.0/8", "10.1.2.3", false);
    check(Some("10.9.9.9/8"), "", "10.0.0.1", true);
    check(Some("0.0.0.0/0"), "255.255.255.255/32", "255.255.255.255", false);
    check(Some("0.0.0.0/0"), "0.0.0.0/32", "0.0.0.1", true);
    check(Some("2001:db8::/32"), "2001:db8:bad::/48", "2001:db8:bad::1", false);
    check(Some("2001:db8::/32"), "2001:db8:bad::/48", "2001:db8:bae::1", true);
    check(Some("::/0"), "", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true);
    check(Some("::/0"), "", "10.0.0.1", false);
}

#[test]
fn an_empty_allow_list_lets_nobody_in() {
    assert!(rules(Some(""), "").check("10.0.0.1".parse().unwrap(), &mut Silent).is_err());
}

#[test]
fn ipv4_written_as_ipv6_is_ipv4() {
    let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
    assert!(rules(None, "10.0.0.0/8").check(mapped, &mut Silent).is_err());
    assert!(rules(Some("10.0.0.0/8"), "").check(mapped, &mut Silent).is_ok());
    assert!(rules(None, "::ffff:10.0.0.0/104").check("10.1.2.3".parse().unwrap(), &mut Silent).is_err());
    assert!(rules(Some("::/0"), "10.0.0.0/8").check(mapped, &mut Silent).is_err());
}

#[test]
fn address_rules_name_the_network_that_spoke() {
    let mut notes = Notes::default();
    rules(Some("10.0.0.0/8"), "10.1.0.0/16").check("10.1.2.3".parse().unwrap(), &mut notes).unwrap_err();
    assert_eq!(notes.0[0].words, "10.1.2.3 is denied by 10.1.0.0/16");
}

/// Networks in a corner of the address space, so that they nest and touch.
fn some_nets() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (0u32..64, 24u8..=32)
        .prop_map(|(host, len)| IpNet::new(IpAddr::V4((0x0a00_0000 + host * 4).into()), len).unwrap());
    let v6 = (0u128..16, 120u8..=128)
        .prop_map(|(host, len)| IpNet::new(IpAddr::V6((u128::MAX - host * 16).into()), len).unwrap());
    prop::collection::vec(prop_oneof![v4, v6], 0..8)
}

fn some_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u32..300).prop_map(|host| IpAddr::V4((0x0a00_0000 + host).into())),
        (0u128..300).prop_map(|host| IpAddr::V6((u128::MAX - host).into())),
    ]
}

/// The definition, word by word: of the networks that hold the address the longest, and deny before allow.
fn by_definition(settings: &AddressSettings, address: IpAddr) -> bool {
    let longest = |nets: &[IpNet]| nets.iter().filter(|n| n.contains(&address)).map(IpNet::prefix_len).max();
    let denied = longest(&settings.deny);
    match longest(settings.allow.as_deref().unwrap_or_default()) {
        Some(allowed) => denied.is_none_or(|denied| allowed > denied),
        None => denied.is_none() && settings.allow.is_none(),
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_definition(
        allow in prop::option::of(some_nets()), deny in some_nets(), address in some_address(),
    ) {
        let settings = AddressSettings { allow, deny };
        let passes = AddressRules::compile(&settings).check(address, &mut Silent).is_ok();
        prop_assert_eq!(passes, by_definition(&settings, address));
    }

    #[test]
    fn removing_an_allowed_network_never_lets_more_callers_in(
        allow in some_nets(), at in 0usize..8, deny in some_nets(), address in some_address(),
    ) {
        let passes = |allow: &[IpNet]| {
            let settings = AddressSettings { allow: Some(allow.to_vec()), deny: deny.clone() };
            AddressRules::compile(&settings).check(address, &mut Silent).is_ok()
        };
        let mut fewer = allow.clone();
        if at < fewer.len() {
            fewer.remove(at);
        }
        prop_assert!(passes(&allow) || !passes(&fewer));
    }
}

// Peers.

fn peer(patterns: &[&str], id: &str) -> Result<(), Denial> {
    let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    PeerRules::compile(&patterns, Some("td")).unwrap().check(Some(&SpiffeId::parse(id).unwrap()), &mut Silent)
}

#[test]
fn peer_patterns_fit_whole_segments() {
    let check = |pattern: &str, id: &str, passes: bool| {
        let expected = if passes { Ok(()) } else { Err(Denial::PeerDenied) };
        assert_eq!(peer(&[pattern], id), expected, "{pattern} against {id}");
    };
    check("spiffe://td/ns/shop/sa/orders", "spiffe://td/ns/shop/sa/orders", true);
    check("spiffe://td/ns/shop/sa/orders", "spiffe://td/ns/shop/sa/orders2", false);
    check("spiffe://td/ns/shop/sa/orders", "spiffe://td2/ns/shop/sa/orders", false);
    check("spiffe://td/ns/shop/sa/orders", "spiffe://td/ns/shop/sa/orders/more", false);
    check("spiffe://td/ns/shop/sa/orders", "spiffe://td/ns/shop/sa", false);
    check("ns/shop/sa/orders", "spiffe://td/ns/shop/sa/orders", true);
    check("ns/shop/sa/orders", "spiffe://other/ns/shop/sa/orders", false);
    check("spiffe://td/ns/shop/*", "spiffe://td/ns/shop/sa/orders", true);
    check("spiffe://td/ns/shop/*", "spiffe://td/ns/shop/x", true);
    check("spiffe://td/ns/shop/*", "spiffe://td/ns/shop", false);
    check("spiffe://td/ns/shop/*", "spiffe://td/ns/shop2/sa/orders", false);
    check("spiffe://td/ns/*/sa/orders", "spiffe://td/ns/shop/sa/orders", true);
    check("spiffe://td/ns/*/sa/orders", "spiffe://td/ns/shop/sa/stock", false);
    check("spiffe://td/ns/*/sa/orders", "spiffe://td/ns/a/b/sa/orders", false);
    check("spiffe://td/ns/*/sa/orders", "spiffe://td/ns/shop/sa/orders/more", false);
    check("spiffe://td/ns/*/sa/orders", "spiffe://td/ns/shop/sa", false);
    check("ns/*/sa/*", "spiffe://td/ns/shop/sa/stock", true);
    check("spiffe://td/*", "spiffe://td/anything", true);
    check("spiffe://td/*", "spiffe://td", false);
    check("spiffe://td/*", "spiffe://td.evil/anything", false);
}

#[test]
fn a_caller_without_identity_is_unknown_and_an_empty_list_lets_nobody_in() {
    let nobody = PeerRules::compile(&[], None).unwrap();
    assert_eq!(nobody.check(None, &mut Silent), Err(Denial::PeerUnknown));
    let orders = SpiffeId::parse("spiffe://td/ns/shop/sa/orders").unwrap();
    assert_eq!(nobody.check(Some(&orders), &mut Silent), Err(Denial::PeerDenied));
}

#[test]
fn peer_patterns_that_cannot_be_are_refused() {
    let check = |pattern: &str, expected: &str| {
        let error = PeerRules::compile(&[pattern.to_owned()], None).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let star = |pattern| {
        format!("in `{pattern}` a `*` stands for a whole path segment, or at the end for all that follow")
    };
    check("spiffe://td/ns/sh*", &star("spiffe://td/ns/sh*"));
    check("spiffe://td/**", &star("spiffe://td/**"));
    check("spiffe://*/ns/shop", &star("spiffe://*/ns/shop"));
    check("*", "`*` is not a SPIFFE ID or the start of one: a SPIFFE ID begins with spiffe://");
    check(
        "ns/shop/sa/orders",
        "`ns/shop/sa/orders` leaves the trust domain out, and this proxy has none of its own; write spiffe://...",
    );
    check(
        "spiffe://td/ns/../x",
        "`spiffe://td/ns/../x` is not a SPIFFE ID or the start of one: \
         a SPIFFE path has no empty, `.` or `..` segment and no trailing slash",
    );
}

proptest! {
    #[test]
    fn removing_a_pattern_never_lets_more_peers_in(
        patterns in prop::collection::vec("spiffe://td(/(a|b|\\*)){1,3}", 1..5), at in 0usize..5, id in "spiffe://td(/(a|b)){1,4}",
    ) {
        let all: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let mut fewer = all.clone();
        fewer.remove(at % all.len());
        prop_assert!(peer(&all, &id).is_ok() || peer(&fewer, &id).is_err());
    }
}
