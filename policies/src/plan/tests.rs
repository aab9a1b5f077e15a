//! What a plan keeps of the one before, and what it refuses.

use std::sync::Arc;

use super::*;
use crate::document::{Secret, Source};
use crate::request::{Peer, Secure};
use crate::spiffe::SpiffeId;
use crate::state::Room;
use crate::verdict::Denial;
use crate::why::Silent;

fn document(text: &str) -> Document {
    Document::load(&[Source::new("shop.yaml", text)]).unwrap_or_else(|error| panic!("{error}"))
}

fn compile(text: &str, living: &Arc<Living>) -> Plan {
    Plan::compile(&document(text), &Materials::default(), living, 1).unwrap_or_else(|error| panic!("{error}"))
}

const SHOP: &str = "version: 1
targets:
  shop: { url: http://shop, bulkhead: { max: 5 }, breaker: { open_at: 50% of 20 in 10s } }
routes:
  - { name: all, to: shop, retry: { attempts: 3 } }
";

fn breaker(plan: &Plan) -> &Arc<crate::resilience::breaker::Breaker> {
    match &plan.edge.routes[0].action {
        Action::Forward(side) => &side.breaker.as_ref().unwrap().0,
        _ => panic!("the route forwards"),
    }
}

#[test]
fn an_unchanged_policy_keeps_its_state_and_a_changed_one_begins_anew() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let before = compile(SHOP, &living);
    let same = compile(SHOP, &living);
    let changed = compile(&SHOP.replace("50%", "60%"), &living);
    assert!(Arc::ptr_eq(breaker(&before), breaker(&same)));
    assert!(!Arc::ptr_eq(breaker(&before), breaker(&changed)));
    let bulkhead = |plan: &Plan| plan.targets[0].bulkhead.as_ref().unwrap().0.clone();
    assert!(Arc::ptr_eq(&bulkhead(&before), &bulkhead(&changed)), "only the breaker changed");
}

#[test]
fn what_no_plan_uses_any_more_is_freed() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let plan = compile(SHOP, &living);
    assert_eq!(living.sweep(), 3, "a bulkhead, a breaker, a budget");
    drop(plan);
    assert_eq!(living.sweep(), 0);
}

#[test]
fn what_a_document_refers_to_and_nobody_has_is_told_together() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let text = "version: 1
identities:
  a: { secret: { env: NOT_SET }, issuer: a, audience: b }
  b: { keys: /nowhere.pem, issuer: a, audience: b }
";
    let wanted = wanted(&document(text));
    assert_eq!(wanted, [Secret::File("/nowhere.pem".into()), Secret::Env("NOT_SET".into())]);
    let error = Plan::compile(&document(text), &Materials::default(), &living, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "identities/a: environment variable NOT_SET cannot be read\nidentities/b: file /nowhere.pem cannot be read"
    );
}

#[test]
fn a_sidecar_has_a_door_on_each_side() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let plan = compile(include_str!("../../examples/sidecar.yaml"), &living);
    let names = |door: &Door| door.routes.iter().map(|route| route.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&plan.inbound), ["admin", "promotions", "order"]);
    assert_eq!(names(&plan.outbound), ["stock", "inventory", "ledger", "payment"]);
    assert_eq!(names(&plan.edge), Vec::<String>::new());
    let listens: Vec<_> =
        plan.calls.iter().filter_map(|call| Some(format!("{} {}", call.listen?, call.target.name))).collect();
    assert_eq!(listens, ["127.0.0.1:15012 ledger", "127.0.0.1:15010 payment"]);
}

/// The defaults that the manual states are the defaults that the code uses.
#[test]
fn the_manual_tells_the_defaults_that_hold() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let text = "version: 1
targets:
  shop: { url: http://shop, health: { every: 5s }, bulkhead: { max: 1 }, overload: { min: 4 }, timeouts: { idle: 30s }, pool: { idle: 128 }, breaker: { open_at: 50% of 20 in 10s }, outlier: { failures: 5 } }
routes:
  - { name: all, to: shop, retry: { budget: 20% } }
";
    let plan = compile(text, &living);
    let told = crate::describe::effective(&document(text));
    let told = |subject: &str, key: &str| {
        told.iter()
            .find(|s| s.subject == subject && s.key == key)
            .map_or("not told", |setting| setting.value.as_str())
    };
    let wait = |duration| crate::units::Wait(duration).to_string();
    let (target, route) = (&plan.targets[0], &plan.edge.routes[0]);
    let health = target.health.as_ref().unwrap();
    let retry = &route.retry.as_ref().unwrap().settings;
    for (subject, key, holds) in [
        ("target shop", "health.timeout", wait(health.timeout)),
        ("target shop", "health.fail_after", health.fail_after.to_string()),
        ("target shop", "health.pass_after", health.pass_after.to_string()),
        ("target shop", "timeouts.connect", wait(target.timeouts.connect)),
        ("target shop", "pool.idle_for", wait(target.pool.idle_for)),
        ("target shop", "pool.age", wait(target.pool.age)),
        ("target shop", "bulkhead.queue", target.bulkhead.as_ref().unwrap().0.settings().queue.to_string()),
        ("target shop", "bulkhead.wait", wait(target.bulkhead.as_ref().unwrap().0.settings().wait)),
        ("target shop", "outlier.out_for", wait(target.outlier.0.eject_for)),
        ("target shop", "outlier.out_for_max", wait(target.outlier.0.eject_max)),
        ("target shop", "slow_start", wait(target.balance.slow_start)),
        ("route all", "deadline", wait(route.deadline)),
        ("route all", "priority", route.priority.unwrap_or_default().to_string()),
        ("route all", "retry.attempts", retry.attempts.to_string()),
        ("route all", "retry.backoff", wait(retry.backoff_base)),
        ("route all", "retry.backoff_max", wait(retry.backoff_max)),
        ("route all", "retry.body_max", crate::units::Bytes(retry.replay_body_max).to_string()),
    ] {
        assert_eq!(told(subject, key), holds, "{subject}: {key}");
    }
}

/// Two calls may have routes of one name: what is counted for one must not be counted for the other.
#[test]
fn routes_of_two_calls_share_no_state_for_having_one_name() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let call = "{ routes: [{ name: read, path: /r, limit: { per: route, rate: 1/s }, retry: {} }] }";
    let text = format!(
        "version: 1
targets: {{ a: {{ url: http://a }}, b: {{ url: http://b }} }}
service: {{ name: read, url: http://127.0.0.1:1 }}
inbound: {{ limit: {{ per: route, rate: 1/s }}, routes: [{{ name: read, path: /r, limit: {{ per: route, rate: 1/s }} }}] }}
calls: {{ a: {call}, b: {call} }}
"
    );
    let plan = compile(&text, &living);
    let limited = plan.outbound.routes.iter().chain(&plan.inbound.routes).flat_map(|route| &route.limits);
    let ids: std::collections::BTreeSet<_> = limited.map(|limit| limit.id).collect();
    assert_eq!(ids.len(), 4);
    let budgets: Vec<_> = plan.outbound.routes.iter().filter_map(|route| route.retry.as_ref()).collect();
    assert!(!Arc::ptr_eq(&budgets[0].budget, &budgets[1].budget));
}

#[test]
fn a_route_that_observes_observes_in_all_its_policies() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let text = "version: 1
targets: { a: { url: http://a }, b: { url: http://b } }
routes:
  - { name: moving, mode: observe, breaker: { open_at: 50% of 20 in 10s }, migrate: { from: a, to: b, share: 100% } }
";
    match &compile(text, &living).edge.routes[0].action {
        Action::Migrate(migration) => {
            assert_eq!(migration.mode, Mode::Observe);
            assert_eq!(migration.from.breaker.as_ref().unwrap().1, Mode::Observe);
        }
        other => panic!("{other:?}"),
    }
}

/// Beside an app: who may connect, and where its calls may go.
#[test]
fn a_sidecar_knows_who_may_connect_and_where_calls_may_go() {
    let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
    let peer = |identity: Option<&str>| Peer {
        address: [10, 0, 0, 7].into(),
        secure: if identity.is_some() { Secure::Tls } else { Secure::Plain },
        identity: identity.map(|id| SpiffeId::parse(id).unwrap()),
    };
    let ours = "spiffe://shop.example/ns/shop/sa/web";
    let check = |inbound: &str, expected: [Result<(), Denial>; 3]| {
        let text = format!(
            "version: 1\ntrust: {{ domain: shop.example }}\nservice: {{ name: order, url: \"http://127.0.0.1:8080\" }}\n{inbound}"
        );
        let mesh = compile(&text, &living).mesh;
        let peers = [None, Some(ours), Some("spiffe://other.example/ns/shop/sa/web")];
        let found = peers.map(|identity| mesh.admits(&peer(identity), &mut Silent));
        assert_eq!(found, expected, "{inbound}");
    };
    use Denial::{PeerDenied, PeerUnknown};
    check("", [Err(PeerUnknown), Ok(()), Err(PeerDenied)]);
    check("inbound: { mtls: strict }", [Err(PeerUnknown), Ok(()), Err(PeerDenied)]);
    check("inbound: { mtls: permissive }", [Ok(()), Ok(()), Err(PeerDenied)]);
    check("inbound: { allow: ns/edge/* }", [Err(PeerUnknown), Err(PeerDenied), Err(PeerDenied)]);
    check("inbound: { mtls: permissive, allow: ns/shop/* }", [Ok(()), Ok(()), Err(PeerDenied)]);

    let plan = compile(include_str!("../../examples/sidecar.yaml"), &living);
    let refused = Destination::Refused(Denial::DestinationDenied);
    for (host, expected) in
        [("payment", Destination::Declared), ("PAYMENT.", Destination::Declared), ("evil.example", refused)]
    {
        assert_eq!(plan.destination(host), expected, "{host}");
    }
    let app = plan.app.as_ref().unwrap();
    assert_eq!(app.name, "service/order");
    assert_eq!(plan.called().count(), 4);
    let open = compile("version: 1\nservice: { name: order, url: \"http://127.0.0.1:8080\" }", &living);
    assert_eq!(open.destination("evil.example"), Destination::Passes);
}
