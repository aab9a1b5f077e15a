//! The whole decision, as tables: a document, requests, and what becomes of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use proptest::prelude::*;

use super::*;
use crate::document::{Document, Secret, Source};
use crate::guard::{self, Wire};
use crate::headers::Trusted;
use crate::plan::Materials;
use crate::request::{Peer, Secure};
use crate::spiffe::SpiffeId;
use crate::state::{Living, Room};
use crate::time::Tick;
use crate::why::{Notes, Silent};

mod shared;

const SECRET: &str = "a secret of more than thirty-two bytes, for tests";

/// A plan in force, with a clock that a test sets.
struct World {
    plan: Plan,
    now: Now,
    /// What a trusted caller said of the importance of its request.
    carried: Option<Priority>,
}

/// One request.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    from: IpAddr,
    peer: Option<&'static str>,
    roll: u64,
}

fn get(url: &str) -> Call {
    Call {
        method: "GET",
        url: url.into(),
        headers: vec![],
        from: [203, 0, 113, 9].into(),
        peer: None,
        roll: 1,
    }
}

impl Call {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }
}

fn living() -> Arc<Living> {
    Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])))
}

fn document(text: &str) -> Document {
    Document::load(&[Source::new("shop.yaml", text)]).unwrap_or_else(|error| panic!("{error}"))
}

fn materials() -> Materials {
    let mut materials = Materials::default();
    materials.add(Secret::Env("SECRET".into()), SECRET);
    materials.add(Secret::Env("ACME".into()), "acme-key-acme-key\n");
    materials
}

impl World {
    fn new(text: &str) -> Self {
        Self::after(text, &living(), 1)
    }

    fn after(text: &str, living: &Arc<Living>, generation: u64) -> Self {
        let plan = Plan::compile(&document(text), &materials(), living, generation);
        let now = Now { tick: Tick::from_nanos(1_000_000_000), unix_secs: 1_700_000_000 };
        Self { plan: plan.unwrap_or_else(|error| panic!("{error}")), now, carried: None }
    }

    fn verdict(&self, call: &Call, why: &mut impl Witness) -> Verdict {
        let mut request = Request::builder().method(call.method).uri(&call.url);
        if !call.headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "shop.example");
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let identity = call.peer.map(|id| SpiffeId::parse(id).unwrap());
        let peer = Peer { address: call.from, secure: Secure::Plain, identity };
        let incoming = Incoming { head: &head, target: call.url.as_bytes(), peer: &peer };
        let clean = match guard::inspect(&incoming, Wire::default(), &self.plan.guard, why) {
            Ok(clean) => clean,
            Err(denial) => return Verdict::Refuse(Box::new(Refusal::unrouted(denial.into()))),
        };
        let carried = Carried { priority: self.carried, ..Carried::read(&head.headers, Trusted::No, 7) };
        let ask = Ask {
            incoming: &incoming,
            clean: &clean,
            carried: &carried,
            client: call.from,
            now: self.now,
            roll: call.roll,
            asked: Asked::NotYet,
            last: None,
        };
        admit(&self.plan, &self.plan.edge, &ask, why)
    }

    /// The verdict in a few words: where it goes, or the slug, or the status of a local answer.
    fn says(&self, call: &Call) -> String {
        match self.verdict(call, &mut Silent) {
            Verdict::Permit(permit) => format!("-> {}", permit.side().unwrap().target.name),
            Verdict::Refuse(refusal) => refusal.because.slug().into(),
            Verdict::Answer(answer) => answer.status.as_u16().to_string(),
            Verdict::AskKeys { tokens, .. } => format!("keys of {}?", tokens.issuer.name()),
        }
    }

    fn check(&self, rows: &[(Call, &str)]) {
        for (call, expected) in rows {
            assert_eq!(self.says(call), *expected, "{call:?}");
        }
    }
}

fn token(claims: &serde_json::Value) -> String {
    crate::identity::install_provider();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

fn user(name: &str, scope: &str) -> String {
    token(&serde_json::json!({
        "iss": "https://id.shop.example", "aud": "shop-api", "sub": name, "scope": scope,
        "exp": 1_700_000_600, "department": "support",
    }))
}

const SHOP: &str = r#"version: 1
targets:
  shop: { url: http://shop:8080 }
  orders: { url: http://orders:8080 }
identities:
  customers: { secret: { env: SECRET }, issuer: https://id.shop.example, audience: shop-api, claims_to_headers: { x-user-id: sub } }
  remote: { jwks: https://id.shop.example/jwks.json, issuer: https://id.shop.example, audience: shop-api }
  partners: { api_keys: { acme: { secret: { env: ACME }, scopes: [orders:read] } } }
routes:
  - { name: rest, to: shop }
  - { name: orders, path: /orders/**, require: { jwt: customers, scope: "orders:read | orders:write" }, to: orders }
  - { name: refunds, path: "/orders/{id}/refund", method: POST, require: { jwt: customers, claims: { department: [support, finance] }, scope: refunds }, to: orders }
  - { name: remote, path: /remote, require: { jwt: remote }, to: orders }
  - { name: partners, path: /partners/**, require: { api_key: partners, scope: orders:read, addresses: { deny: [198.51.100.0/24] } }, to: orders }
  - { name: mesh, path: /mesh, require: { peers: spiffe://shop.example/ns/shop/sa/order }, to: orders }
  - { name: closed, path: /closed, answer: { status: 503, body: later } }
  - { name: old, path: "/news/{id}", redirect: { scheme: https, path: "/archive/{id}" } }
  - { name: upload, path: /upload, method: PUT, body_limit: 10B, to: shop }
  - { name: pages, path: /pages, method: GET, cors: { origins: [https://shop.example] }, to: shop }
"#;

#[test]
fn a_request_meets_its_route_and_every_policy_of_it() {
    let world = World::new(SHOP);
    let reader = user("u1", "orders:read");
    let refunder = user("u2", "refunds");
    let mut refund = get("/orders/42/refund").bearer(&refunder);
    refund.method = "POST";
    let mut upload = get("/upload").with("content-length", "11");
    upload.method = "PUT";
    let mut wrong_method = get("/pages");
    wrong_method.method = "DELETE";
    let mut blocked = get("/partners/a").with("x-api-key", "acme-key-acme-key");
    blocked.from = [198, 51, 100, 7].into();
    let mut workload = get("/mesh");
    workload.peer = Some("spiffe://shop.example/ns/shop/sa/order");
    let mut stranger = get("/mesh");
    stranger.peer = Some("spiffe://shop.example/ns/shop/sa/search");
    world.check(&[
        (get("/"), "-> shop"),
        (get("/orders/42"), "token-missing"),
        (get("/orders/42").bearer("rubbish"), "token-malformed"),
        (get("/orders/42").bearer(&reader), "-> orders"),
        (get("/orders/42").bearer(&refunder), "scope-missing"),
        (get("/./orders//42").bearer(&reader), "-> orders"),
        (get("/x/../orders/42"), "token-missing"),
        (get("/orders%2f42"), "bad-path"),
        (refund, "-> orders"),
        (get("/remote").bearer(&reader), "keys of remote?"),
        (get("/partners/a"), "api-key-missing"),
        (get("/partners/a").with("x-api-key", "nobody-has-this-key"), "api-key-unknown"),
        (get("/partners/a").with("x-api-key", "acme-key-acme-key"), "-> orders"),
        (blocked, "address-denied"),
        (get("/mesh"), "peer-unknown"),
        (stranger, "peer-denied"),
        (workload, "-> orders"),
        (get("/closed"), "503"),
        (get("/news/7"), "308"),
        (upload, "body-too-large"),
        (wrong_method, "-> shop"),
    ]);
}

#[test]
fn a_redirect_keeps_what_it_does_not_change() {
    let world = World::new(SHOP);
    match world.verdict(&get("/news/7?page=2"), &mut Silent) {
        Verdict::Answer(answer) => {
            assert_eq!(answer.headers["location"], "https://shop.example/archive/7?page=2");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_verified_claim_goes_on_in_its_header() {
    let world = World::new(SHOP);
    match world.verdict(&get("/orders/1").bearer(&user("u1", "orders:read")), &mut Silent) {
        Verdict::Permit(permit) => {
            let forwarded: Vec<_> = permit.caller().forwarded().collect();
            assert_eq!(forwarded, [("x-user-id".parse().unwrap(), "u1".parse().unwrap())]);
            assert_eq!(permit.generation(), 1);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_preflight_is_answered_here() {
    let world = World::new(SHOP);
    let mut preflight =
        get("/pages").with("origin", "https://shop.example").with("access-control-request-method", "GET");
    preflight.method = "OPTIONS";
    world.check(&[(preflight.clone(), "204")]);
    preflight.headers[0].1 = "https://evil.example".into();
    world.check(&[(preflight, "cors-denied")]);
}

/// A preflight must not borrow the policies of another method's route.
#[test]
fn an_options_that_looks_like_a_preflight_meets_its_own_route() {
    let world = World::new(
        r#"version: 1
targets: { shop: { url: http://shop } }
identities: { partners: { api_keys: { acme: { secret: { env: ACME } } } } }
routes:
  - { name: open, path: /a, method: GET, to: shop }
  - { name: closed, path: /a, method: OPTIONS, require: { api_key: partners }, to: shop }
"#,
    );
    let mut call =
        get("/a").with("origin", "https://evil.example").with("access-control-request-method", "GET");
    call.method = "OPTIONS";
    world.check(&[(call, "api-key-missing")]);
}

#[test]
fn the_priority_of_a_trusted_caller_travels_and_never_lifts_a_route() {
    let priority = |written: &str, carried: Option<Priority>| {
        let text = format!(
            "version: 1\ntargets: {{ shop: {{ url: http://shop }} }}\nroutes: [{{ name: all, to: shop{written} }}]\n"
        );
        let world = World { carried, ..World::new(&text) };
        match world.verdict(&get("/"), &mut Silent) {
            Verdict::Permit(permit) => permit.priority(),
            other => panic!("{other:?}"),
        }
    };
    for (written, carried, expected) in [
        ("", None, Priority::Normal),
        ("", Some(Priority::Critical), Priority::Critical),
        ("", Some(Priority::Sheddable), Priority::Sheddable),
        (", priority: critical", None, Priority::Critical),
        (", priority: critical", Some(Priority::Sheddable), Priority::Sheddable),
        (", priority: sheddable", Some(Priority::Critical), Priority::Sheddable),
    ] {
        assert_eq!(priority(written, carried), expected, "{written} {carried:?}");
    }
}

#[test]
fn an_unknown_path_and_a_wrong_method_are_told_apart() {
    let world = World::new(
        "version: 1\ntargets: { shop: { url: http://shop } }\nroutes: [{ name: a, path: /a, method: [GET, POST], to: shop }]\n",
    );
    let mut delete = get("/a");
    delete.method = "DELETE";
    world.check(&[(get("/b"), "no-route"), (delete.clone(), "method-not-allowed")]);
    match world.verdict(&delete, &mut Silent) {
        Verdict::Refuse(refusal) => assert_eq!(refusal.allow.unwrap(), "GET, HEAD, POST"),
        other => panic!("{other:?}"),
    }
}

const LIMITED: &str = "version: 1
targets: { shop: { url: http://shop } }
routes:
  - name: all
    to: shop
    limit: [{ per: address, rate: 1/s, burst: 3 }, { per: route, rate: 100/s }]
";

#[test]
fn a_limit_counts_each_caller_and_says_when_to_come_back() {
    let mut world = World::new(LIMITED);
    let mut other = get("/");
    other.from = [203, 0, 113, 10].into();
    let verdicts: Vec<_> = (0..5).map(|_| world.says(&get("/"))).collect();
    assert_eq!(verdicts, ["-> shop", "-> shop", "-> shop", "rate-limited", "rate-limited"]);
    world.check(&[(other, "-> shop")]);
    match world.verdict(&get("/"), &mut Silent) {
        Verdict::Refuse(refusal) => {
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
            assert_eq!(refusal.standing().unwrap().0.rate.to_string(), "1/s");
        }
        other => panic!("{other:?}"),
    }
    world.now.tick = world.now.tick.after(Duration::from_secs(1));
    world.check(&[(get("/"), "-> shop"), (get("/"), "rate-limited")]);
}

#[test]
fn a_network_of_one_subscriber_is_one_caller() {
    let world = World::new(LIMITED);
    for n in 0..3 {
        let mut call = get("/");
        call.from = format!("2001:db8:1:2::{n}").parse().unwrap();
        assert_eq!(world.says(&call), "-> shop");
    }
    let mut call = get("/");
    call.from = "2001:db8:1:2:ffff::1".parse().unwrap();
    assert_eq!(world.says(&call), "rate-limited");
}

#[test]
fn the_same_document_again_changes_no_state() {
    let living = living();
    let before = World::after(LIMITED, &living, 1);
    (0..3).for_each(|_| drop(before.verdict(&get("/"), &mut Silent)));
    let after = World::after(LIMITED, &living, 2);
    assert_eq!(after.says(&get("/")), "rate-limited");
    // A limit that changed begins anew.
    let changed = World::after(&LIMITED.replace("burst: 3", "burst: 4"), &living, 3);
    assert_eq!(changed.says(&get("/")), "-> shop");
}

#[test]
fn the_side_of_a_migration_is_sticky_and_nested() {
    let at = |share: &str| {
        World::new(&format!(
            "version: 1
targets: {{ old: {{ url: http://old }}, new: {{ url: http://new }} }}
routes:
  - {{ name: all, migrate: {{ from: old, to: new, share: {share}, stick_to: header:x-user }} }}
"
        ))
    };
    let (five, quarter) = (at("5%"), at("25%"));
    let mut moved = 0;
    for n in 0..2000 {
        let call = get("/").with("x-user", n.to_string());
        let here = five.says(&call);
        assert_eq!(five.says(&Call { roll: n, ..call.clone() }), here, "the same user, the same side");
        if here == "-> new" {
            moved += 1;
            assert_eq!(quarter.says(&call), "-> new", "who moved at 5 % stays moved at 25 %");
        }
    }
    assert!((60..=140).contains(&moved), "{moved} of 2000 are not 5 %");
}

#[test]
fn a_caller_nobody_knows_gets_a_cookie_and_stays_where_it_was() {
    let world = World::new(
        "version: 1
targets: { old: { url: http://old }, new: { url: http://new } }
routes: [{ name: all, migrate: { from: old, to: new, share: 50% } }]
",
    );
    for roll in [3, u64::MAX / 3, u64::MAX / 3 * 2, u64::MAX] {
        let first = Call { roll, ..get("/") };
        let Verdict::Permit(permit) = world.verdict(&first, &mut Silent) else { panic!("no permit") };
        let Some(Moved::ToNew(Stick::SetCookie(value)) | Moved::StaysOld(Stick::SetCookie(value))) =
            permit.moved()
        else {
            panic!("{:?}", permit.moved())
        };
        let again = get("/").with("cookie", format!("{}={value:016x}", side::COOKIE));
        assert_eq!(world.says(&again), world.says(&first));
    }
}

#[test]
fn a_fault_is_injected_into_its_share_only() {
    let world = World::new(
        "version: 1
targets: { shop: { url: http://shop } }
routes: [{ name: all, to: shop, fault: { share: 50%, abort: 503 } }]
",
    );
    let refused =
        (0..1000_u64).filter(|n| world.says(&Call { roll: n << 40, ..get("/") }) == "injected-abort").count();
    assert!(refused > 0 && refused < 1000, "{refused}");
}

#[test]
fn a_request_is_held_back_before_it_is_aborted_too() {
    let delay = |fault: &str| {
        let world = World::new(&format!(
            "version: 1
targets: {{ shop: {{ url: http://shop }} }}
routes: [{{ name: all, to: shop, deadline: 2s, fault: {fault} }}]
"
        ));
        match world.verdict(&get("/"), &mut Silent) {
            Verdict::Permit(permit) => (permit.delay(), None),
            Verdict::Refuse(refusal) => (refusal.delay, Some(refusal.because.row().status.as_u16())),
            other => panic!("{other:?}"),
        }
    };
    let secs = |secs| Some(Duration::from_secs(secs));
    assert_eq!(delay("{ share: 100%, delay: 1s }"), (secs(1), None));
    assert_eq!(delay("{ share: 100%, delay: 1s, abort: 418 }"), (secs(1), Some(418)));
    assert_eq!(
        delay("{ share: 100%, delay: 5s, abort: 418 }"),
        (secs(2), Some(418)),
        "no longer than its time"
    );
    assert_eq!(delay("{ share: 100%, abort: 418 }"), (None, Some(418)));
}

#[test]
fn explaining_is_the_decision_itself() {
    let world = World::new(SHOP);
    let mut notes = Notes::default();
    drop(world.verdict(&get("/orders/42"), &mut notes));
    assert!(notes.0.iter().any(|note| note.about == "route"), "{notes:?}");
    let mut notes = Notes::default();
    drop(world.verdict(&get("/orders/42").bearer(&user("u1", "nothing")), &mut notes));
    assert!(
        notes.0.iter().any(|note| note.about == "scope" || note.words.contains("orders:read")),
        "{notes:?}"
    );
}

/// Requests of all kinds, to hold two worlds against each other.
fn calls() -> impl Strategy<Value = Call> {
    let paths = prop::sample::select(vec![
        "/",
        "/orders/1",
        "/orders/1/refund",
        "/partners/a",
        "/mesh",
        "/upload",
        "/a/b",
        "/remote",
    ]);
    let methods = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]);
    let tokens = prop::sample::select(vec![
        None,
        Some("rubbish".to_owned()),
        Some(user("u", "orders:read")),
        Some(user("v", "refunds")),
    ]);
    (paths, methods, tokens, any::<u8>(), any::<u64>()).prop_map(|(path, method, token, host, roll)| {
        let call = Call { method, from: [198, 51, 100, host].into(), roll, ..get(path) };
        token.map_or(call.clone(), |token| call.bearer(&token))
    })
}

fn says_of_routing(world: &World, call: &Call) -> bool {
    matches!(world.verdict(call, &mut Silent), Verdict::Refuse(refusal) if refusal.route.is_none())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn observing_never_refuses_what_has_a_route(calls in prop::collection::vec(calls(), 1..20)) {
        let observed = SHOP.replace("- { name:", "- { mode: observe, name:").replace("burst: 3", "burst: 1");
        let world = World::new(&observed);
        for call in &calls {
            let verdict = world.verdict(call, &mut Silent);
            prop_assert!(
                matches!(verdict, Verdict::Permit(_) | Verdict::Answer(_)) || says_of_routing(&world, call),
                "{:?} {:?}", call, verdict
            );
        }
    }

    #[test]
    fn a_reload_of_the_same_document_in_the_middle_changes_no_decision(
        before in prop::collection::vec(calls(), 1..20),
        after in prop::collection::vec(calls(), 1..20),
    ) {
        let limited = SHOP.replace("- { name:", "- { limit: { per: address, rate: 1/s, burst: 2 }, name:");
        let (steady, changing) = (living(), living());
        let (steady, first) = (World::after(&limited, &steady, 1), World::after(&limited, &changing, 1));
        for call in &before {
            prop_assert_eq!(steady.says(call), first.says(call));
        }
        let second = World::after(&limited, &changing, 2);
        drop(first);
        for call in &after {
            prop_assert_eq!(steady.says(call), second.says(call));
        }
    }

    #[test]
    fn explaining_never_changes_a_verdict(calls in prop::collection::vec(calls(), 1..20)) {
        let (told, silent) = (World::new(SHOP), World::new(SHOP));
        for call in &calls {
            let words = |verdict| match verdict {
                Verdict::Permit(permit) => format!("{:?}", permit.side().map(|side| side.target.name.clone())),
                Verdict::Refuse(refusal) => refusal.because.slug().to_owned(),
                Verdict::Answer(answer) => answer.status.to_string(),
                Verdict::AskKeys { .. } => "keys?".to_owned(),
            };
            prop_assert_eq!(words(told.verdict(call, &mut Notes::default())), words(silent.verdict(call, &mut Silent)));
        }
    }
}

/// "Cannot know" must not be told as "no good", nor the other way round, whatever the order of the issuers.
#[test]
fn of_several_issuers_the_one_that_knows_most_of_the_token_is_heard() {
    let old = token(&serde_json::json!({ "iss": "https://id.shop.example", "aud": "shop-api", "exp": 1 }));
    let genuine = user("u", "");
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    for issuers in ["[customers, remote]", "[remote, customers]"] {
        let either = SHOP.replace("require: { jwt: remote }", &format!("require: {{ jwt: {issuers} }}"));
        World::new(&either).check(&[
            (get("/remote"), "token-missing"),
            (get("/remote").bearer(&genuine), "-> orders"),
            (get("/remote").bearer(&old), "token-expired"),
            (get("/remote").bearer(&forged), "keys of remote?"),
        ]);
    }
}

#[test]
fn a_route_that_observes_refuses_no_preflight_and_sets_no_cookie() {
    let world = World::new(
        "version: 1
targets: { a: { url: http://a }, b: { url: http://b } }
routes:
  - { name: all, mode: observe, cors: { origins: [https://shop.example] }, migrate: { from: a, to: b, share: 100% } }
",
    );
    let preflight =
        get("/").with("origin", "https://evil.example").with("access-control-request-method", "GET");
    world.check(&[(Call { method: "OPTIONS", ..preflight }, "-> a")]);
    match world.verdict(&get("/"), &mut Silent) {
        Verdict::Permit(permit) => assert_eq!(permit.moved(), Some(Moved::StaysOld(Stick::Known))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_keeps_the_scheme_the_client_used_before_a_trusted_proxy() {
    let text = "version: 1
trust: { networks: [10.0.0.0/8] }
routes: [{ name: all, redirect: { path: /new } }]
";
    let leads_to = |from: [u8; 4]| {
        let call = Call { from: from.into(), ..get("/").with("x-forwarded-proto", "https") };
        match World::new(text).verdict(&call, &mut Silent) {
            Verdict::Answer(answer) => answer.headers["location"].to_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(leads_to([10, 0, 0, 1]), "https://shop.example/new");
    assert_eq!(leads_to([203, 0, 113, 9]), "http://shop.example/new", "a stranger's word is not taken");
}

#[test]
fn what_is_shed_is_refused_unless_the_fallback_answers_it() {
    let world = World::new(
        "version: 1
targets: { a: { url: http://a, overload: { min: 1, start: 1, max: 1 } } }
routes:
  - { name: bare, path: /bare, to: a }
  - { name: kept, path: /kept, to: a, fallback: { answer: { body: later } } }
  - { name: other, path: /other, to: a, fallback: { when: timeout, answer: { body: later } } }
  - { name: seen, path: /seen, to: a, mode: observe, fallback: { answer: { body: later } } }
",
    );
    let entry = |path: &str| match world.verdict(&get(path), &mut Silent) {
        Verdict::Permit(mut permit) => permit.take_entry(),
        verdict => panic!("{path}: {verdict:?}"),
    };
    let inside = entry("/kept");
    assert!(matches!(inside, Entry::Inside(_)), "{inside:?}");
    world.check(&[(get("/bare"), "overloaded"), (get("/other"), "overloaded")]);
    assert!(matches!(entry("/kept"), Entry::Shed(wait) if !wait.is_zero()));
    assert!(matches!(entry("/seen"), Entry::Free));
}
