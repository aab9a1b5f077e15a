//! Two sidecars face to face: who may call is proved by certificates, which change while connections go on.

use crate::world::{Authority, Client, World, eventually, identity, service, world_with};

pub const ORDER: &str = "spiffe://shop.example/ns/shop/sa/order";
pub const WEB: &str = "spiffe://shop.example/ns/shop/sa/web";

/// Beside the app that is called.
fn callee(app: &str, inbound: &str, of: &Authority, id: &str, believes: &str) -> World {
    callee_speaking(app, "http1", inbound, of, id, believes)
}

/// The same, beside an app that speaks something else than HTTP/1.
pub fn callee_speaking(
    app: &str,
    protocol: &str,
    inbound: &str,
    of: &Authority,
    id: &str,
    believes: &str,
) -> World {
    let document = format!(
        "version: 1\ntrust: {{ domain: shop.example }}\n\
         service: {{ name: order, url: {app}, protocol: {protocol} }}\ninbound: {inbound}\n"
    );
    world_with(&document, |settings, folder| identity(settings, folder, of, id, believes))
}

/// Beside the app that calls.
pub fn caller(to: &World, protocol: &str, expects: &str, of: &Authority, id: &str, believes: &str) -> World {
    let document = format!(
        "version: 1\ntrust: {{ domain: shop.example }}\nservice: {{ name: web, url: \"http://127.0.0.1:1\" }}\n\
         targets: {{ order: {{ url: \"https://{}\", protocol: {protocol}, tls: {{ spiffe: {expects} }} }} }}\n\
         calls: {{ order: {{ listen: 127.0.0.1:0 }} }}\n",
        to.inbound
    );
    world_with(&document, |settings, folder| identity(settings, folder, of, id, believes))
}

#[test]
fn a_call_goes_through_two_sidecars_and_each_proves_who_it_is() {
    let (app, authority) = (service("app"), Authority::new());
    let callee =
        callee(&app.url(), "{ mtls: strict, allow: ns/shop/sa/web }", &authority, ORDER, &authority.pem());
    for protocol in ["http1", "http2"] {
        let caller = caller(&callee, protocol, ORDER, &authority, WEB, &authority.pem());
        let mut client = caller.to("order");
        for _ in 0..3 {
            let answer = client.send("POST /echo HTTP/1.1\r\nHost: order\r\nContent-Length: 5\r\nx-banyan-peer: spiffe://shop.example/ns/shop/sa/king\r\n\r\nhello");
            assert!(answer.status == 200 && answer.body.starts_with("app got 5"), "{protocol}: {answer:?}");
            let head = app.last_head();
            assert!(head.contains(&format!("x-banyan-peer: {WEB}\r\n")) && !head.contains("king"), "{head}");
        }
    }
}

#[test]
fn a_caller_that_cannot_prove_who_it_is_gets_nowhere() {
    let (app, authority, strangers) = (service("app"), Authority::new(), Authority::new());
    let callee =
        callee(&app.url(), "{ mtls: strict, allow: ns/shop/sa/web }", &authority, ORDER, &authority.pem());
    let plain = callee.enter("/echo");
    assert_eq!((plain.status, plain.slug().as_str()), (401, "peer-unknown"), "{plain:?}");
    let other = "spiffe://shop.example/ns/shop/sa/other";
    let not_allowed = caller(&callee, "http1", ORDER, &authority, other, &authority.pem());
    let answer = not_allowed.call("order", "/echo");
    assert_eq!((answer.status, answer.slug().as_str()), (403, "peer-denied"), "{answer:?}");
    let stranger = caller(&callee, "http1", ORDER, &strangers, WEB, &authority.pem());
    let answer = stranger.call("order", "/echo");
    assert_eq!(answer.status, 502, "its certificate is nobody's: {answer:?}");
    assert_eq!(app.hits(), 0);
}

#[test]
fn a_callee_that_is_somebody_else_is_not_called() {
    let (app, authority, strangers) = (service("app"), Authority::new(), Authority::new());
    let callee = callee(&app.url(), "{ mtls: strict }", &authority, ORDER, &authority.pem());
    let expects_other = caller(
        &callee,
        "http1",
        "spiffe://shop.example/ns/shop/sa/payment",
        &authority,
        WEB,
        &authority.pem(),
    );
    let answer = expects_other.call("order", "/echo");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "tls-failed"), "{answer:?}");
    let believes_others = caller(&callee, "http1", ORDER, &authority, WEB, &strangers.pem());
    let answer = believes_others.call("order", "/echo");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "tls-failed"), "{answer:?}");
    assert_eq!(app.hits(), 0);
}

#[test]
fn plain_text_is_taken_while_a_service_moves_in() {
    let (app, authority) = (service("app"), Authority::new());
    let callee = callee(&app.url(), "{ mtls: permissive }", &authority, ORDER, &authority.pem());
    assert_eq!(callee.enter("/echo").status, 200);
    let caller = caller(&callee, "http1", ORDER, &authority, WEB, &authority.pem());
    assert_eq!(caller.call("order", "/echo").status, 200);
}

#[test]
fn an_authority_is_changed_without_a_gap() {
    let (app, old, new) = (service("app"), Authority::new(), Authority::new());
    let both = format!("{}{}", old.pem(), new.pem());
    let callee = callee(&app.url(), "{ mtls: strict }", &old, ORDER, &both);
    let caller = caller(&callee, "http1", ORDER, &old, WEB, &both);
    let mut open = caller.to("order");
    let ask = "GET /echo HTTP/1.1\r\nHost: order\r\n\r\n";
    assert_eq!(open.send(ask).status, 200);
    // First one end gets a certificate of the new authority, then the other.
    new.workload(ORDER).put(callee.folder.path(), "own");
    eventually("the callee shows its new certificate", || {
        let fresh = world_with(
            &format!(
                "version: 1\ntrust: {{ domain: shop.example }}\nservice: {{ name: web, url: \"http://127.0.0.1:1\" }}\ntargets: {{ order: {{ url: \"https://{}\", tls: {{ spiffe: {ORDER} }} }} }}\ncalls: {{ order: {{ listen: 127.0.0.1:0 }} }}\n",
                callee.inbound
            ),
            |settings, folder| identity(settings, folder, &old, WEB, &new.pem()),
        );
        fresh.call("order", "/echo").status == 200
    });
    assert_eq!(open.send(ask).status, 200, "open connections go on");
    new.workload(WEB).put(caller.folder.path(), "own");
    for _ in 0..20 {
        assert_eq!(Client::to(caller.sidecar().reaches("order").unwrap()).send(ask).status, 200);
    }
}

#[test]
fn a_route_can_ask_for_one_workload_more_strictly_than_the_door() {
    let (app, authority) = (service("app"), Authority::new());
    let inbound =
        "{ mtls: strict, routes: [{ name: admin, path: /admin/**, require: { peers: ns/ops/sa/console } }] }";
    let callee = callee(&app.url(), inbound, &authority, ORDER, &authority.pem());
    let caller = caller(&callee, "http1", ORDER, &authority, WEB, &authority.pem());
    assert_eq!(caller.call("order", "/echo").status, 200);
    let answer = caller.call("order", "/admin/echo");
    assert_eq!((answer.status, answer.slug().as_str()), (403, "peer-denied"), "{answer:?}");
}

#[test]
fn an_old_connection_ends_with_its_next_answer() {
    let app = service("app");
    let document = format!(
        "version: 1\nservice: {{ name: order, url: {} }}\ninbound: {{ mtls: permissive }}\n",
        app.url()
    );
    let callee = world_with(&document, |settings, _| {
        settings.connection_age = policies::units::Wait(std::time::Duration::from_millis(300));
    });
    let mut client = Client::to(callee.inbound);
    let ask = "GET /echo HTTP/1.1\r\nHost: order\r\n\r\n";
    let first = client.send(ask);
    assert_eq!(first.status, 200, "{first:?}");
    std::thread::sleep(std::time::Duration::from_millis(350));
    let answer = client.send(ask);
    assert_eq!((answer.status, answer.header("connection")), (200, "close"), "{answer:?}");
    assert!(client.is_closed());
}
