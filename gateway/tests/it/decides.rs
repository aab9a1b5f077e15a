//! Policies, seen from outside.

use crate::world::{aside, service, world};

#[test]
fn retries_find_a_service_that_works_again() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - {{ name: all, path: /**, to: web, retry: {{ attempts: 3 }} }}\n",
        web.url()
    ));
    let answer = world.get("/flaky/2");
    assert_eq!((answer.status, web.hits()), (200, 3), "{answer:?}");
    assert!(web.last_head().contains("x-banyan-attempt: 3"), "{}", web.last_head());
    let answer = world.send("POST /status/503 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((answer.status, web.hits()), (503, 4), "a POST that was carried out is not sent twice");
}

#[test]
fn a_body_is_sent_again_with_the_retry() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - {{ name: all, path: /**, to: web, retry: {{ attempts: 3 }} }}\n",
        web.url()
    ));
    let answer = world.send("PUT /flaky/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert!(answer.body.starts_with("web got 5\n"), "{answer:?}");
}

#[test]
fn a_breaker_opens_and_the_fallback_answers() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - name: all\n    path: /**\n    to: web\n    breaker: {{ open_at: 50% of 4 in 10s, stay_open: 60s }}\n    \
         fallback: {{ when: breaker, answer: {{ status: 200, body: later }} }}\n",
        web.url()
    ));
    for _ in 0..4 {
        assert_eq!(world.get("/status/500").status, 500);
    }
    let mut client = world.connect();
    for _ in 0..3 {
        let answer = client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((answer.status, answer.body.as_str()), (200, "later"), "on the same connection, too");
    }
    assert_eq!(web.hits(), 4);
}

#[test]
fn a_limit_is_counted_and_told() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - {{ name: all, path: /**, to: web, limit: {{ per: address, rate: 2/m }} }}\n",
        web.url()
    ));
    let first = world.get("/echo");
    assert!(first.header("ratelimit").contains(";r=1"), "{first:?}");
    assert_eq!(world.get("/echo").status, 200);
    let refused = world.get("/echo");
    assert_eq!((refused.status, refused.slug().as_str()), (429, "rate-limited"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 30, "{refused:?}");
    assert_eq!(web.hits(), 2);
}

#[test]
fn a_body_limit_is_a_readable_413_announced_or_not() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - {{ name: all, path: /**, to: web, body_limit: 1KiB }}\n",
        web.url()
    ));
    let body = "x".repeat(5000);
    let announced =
        world.send(&format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{body}"));
    assert_eq!((announced.status, announced.slug().as_str()), (413, "body-too-large"));
    let chunks = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n{body}\r\n0\r\n\r\n"
    );
    let counted = world.send(&chunks);
    assert_eq!((counted.status, counted.slug().as_str()), (413, "body-too-large"));
}

#[test]
fn another_target_answers_when_the_first_is_down() {
    let (gone, spare) = (aside("gone"), service("spare"));
    let document = format!(
        "version: 1\ntargets:\n  gone: {{ url: {} }}\n  spare: {{ url: {} }}\nroutes:\n  - {{ name: all, path: /**, to: gone, fallback: {{ when: connect, to: spare }} }}\n",
        gone.url(),
        spare.url()
    );
    drop(gone);
    let world = world(&document);
    let answer = world.get("/echo");
    assert_eq!((answer.status, answer.header("x-from")), (200, "spare"));
}

#[test]
fn a_bulkhead_keeps_a_slow_target_from_taking_everything() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {}, bulkhead: {{ max: 1, queue: 0 }} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    let mut slow = world.connect();
    slow.write("GET /slow/1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    crate::world::eventually("the slow one has arrived", || web.hits() == 1);
    let refused = world.get("/echo");
    assert_eq!((refused.status, refused.slug().as_str()), (503, "bulkhead-full"));
    assert_eq!(slow.read(true).status, 200);
}

#[test]
fn a_migration_is_sticky_by_cookie() {
    let (old, new) = (service("old"), service("new"));
    let world = world(&format!(
        "version: 1\ntargets:\n  old: {{ url: {} }}\n  new: {{ url: {} }}\nroutes:\n  - {{ name: all, path: /**, migrate: {{ from: old, to: new, share: 50% }} }}\n",
        old.url(),
        new.url()
    ));
    for _ in 0..10 {
        let first = world.get("/echo");
        let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("banyan_side="), "{first:?}");
        for _ in 0..3 {
            let again = world.send(&format!("GET /echo HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
            assert_eq!(again.header("x-from"), first.header("x-from"));
        }
    }
}

#[test]
fn what_a_client_says_about_itself_is_not_believed() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    world.send(
        "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Banyan-Priority: critical\r\nX-Banyan-Deadline: 1\r\n\
         X-Request-Id: forged\r\nConnection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n\r\n",
    );
    let head = web.last_head().to_ascii_lowercase();
    assert!(head.contains("x-forwarded-for: 127.0.0.1"), "{head}");
    for gone in ["6.6.6.6", "critical", "forged", "x-secret", "keep-alive"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
}

/// Starts a gateway before `web` with these routes (indented by two) and more above them.
fn before(web: &crate::world::Service, above: &str, routes: &str) -> crate::world::World {
    world(&format!("version: 1\ntargets: {{ web: {{ url: {} }} }}\n{above}routes:\n{routes}", web.url()))
}

#[test]
fn a_token_opens_the_door_and_its_claims_go_on_in_headers_nobody_can_forge() {
    let web = service("web");
    // The environment belongs to the whole process; the name is this story's own.
    let folder = tempfile::tempdir().unwrap();
    let secret = "a secret of more than thirty-two bytes, for this story";
    let path = crate::world::file(folder.path(), "secret", secret);
    let world = before(
        &web,
        &format!(
            "identities:\n  shop:\n    secret: {{ file: {} }}\n    issuer: https://id.test\n    audience: shop\n    claims_to_headers: {{ x-user: sub }}\n",
            path.display()
        ),
        "  - { name: all, path: /**, to: web, require: { jwt: shop, scope: \"orders:read\" } }\n",
    );
    policies::identity::install_provider();
    let token = |scope: &str, exp: u64| {
        let claims = serde_json::json!({ "iss": "https://id.test", "aud": "shop", "sub": "user-7", "scope": scope, "exp": exp });
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let with = |token: &str| {
        world.send(&format!(
            "GET /echo HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nX-User: admin\r\n\r\n"
        ))
    };
    let good = token("orders:read", 4_000_000_000);
    for _ in 0..2 {
        let answer = with(&good);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("x-user: user-7") && !answer.body.contains("admin"), "{answer:?}");
    }
    let changed = format!("{}AAAA", &good[..good.len() - 4]);
    let rows = [
        (changed, 401, "token-signature"),
        (token("orders:read", 1_000_000_000), 401, "token-expired"),
        (token("orders:write", 4_000_000_000), 403, "scope-missing"),
    ];
    for (token, status, slug) in rows {
        let answer = with(&token);
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug));
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401);
    }
    assert_eq!(web.hits(), 2);
}

#[test]
fn web_pages_of_the_listed_origins_may_call_and_read_even_refusals() {
    let web = service("web");
    let world = before(
        &web,
        "",
        "  - { name: all, path: /**, method: [GET, PUT], to: web, cors: { origins: [\"https://shop.example\"] }, limit: { per: route, rate: 1/h } }\n",
    );
    let preflight = |origin: &str| {
        world.send(&format!(
            "OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
        ))
    };
    let allowed = preflight("https://shop.example");
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin")),
        (204, "https://shop.example")
    );
    assert_eq!(preflight("https://evil.example").slug(), "cors-denied");
    let get = || world.send("GET /echo HTTP/1.1\r\nHost: a\r\nOrigin: https://shop.example\r\n\r\n");
    assert_eq!(get().header("access-control-allow-origin"), "https://shop.example");
    let refused = get();
    assert_eq!(
        (refused.status, refused.header("access-control-allow-origin")),
        (429, "https://shop.example")
    );
}

#[test]
fn paths_and_headers_are_rewritten_and_clients_sent_elsewhere() {
    let web = service("web");
    let world = before(
        &web,
        "",
        "  - name: api\n    path: /api/**\n    to: web\n    rewrite: { strip_prefix: /api, host: inner.example }\n    headers:\n      \
         request: { set: { x-from: gateway }, remove: [x-debug] }\n      response: { set: { x-frame-options: DENY }, remove: [x-from] }\n  \
         - { name: old, path: /old, redirect: { status: 301, path: /new } }\n",
    );
    let answer = world.send("GET /api/echo?x=1 HTTP/1.1\r\nHost: shop.example\r\nX-Debug: 1\r\n\r\n");
    let head = web.last_head().to_ascii_lowercase();
    assert!(head.starts_with("get /echo?x=1 http/1.1"), "{head}");
    assert!(
        head.contains("host: inner.example") && head.contains("x-from: gateway") && !head.contains("x-debug"),
        "{head}"
    );
    assert_eq!((answer.header("x-frame-options"), answer.header("x-from")), ("DENY", ""));
    let sent = world.get("/old");
    assert_eq!((sent.status, sent.header("location")), (301, "http://shop.example/new"));
}

#[test]
fn a_policy_that_only_observes_refuses_nobody_and_is_counted() {
    let web = service("web");
    let world = before(
        &web,
        "identities: { keys: { api_keys: { me: { sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef } } } }\n",
        "  - { name: all, path: /**, to: web, mode: observe, require: { api_key: keys }, limit: { per: route, rate: 1/h } }\n",
    );
    for _ in 0..3 {
        assert_eq!(world.get("/echo").status, 200);
    }
    let admin = world.gateway.as_ref().unwrap().admin();
    let metrics =
        || crate::world::Client::to(admin).send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").body;
    for line in [
        "banyan_observed_total{route=\"all\",slug=\"api-key-missing\"} 3",
        "banyan_observed_total{route=\"all\",slug=\"rate-limited\"} 2",
    ] {
        // A request is counted when its answer has left, which may be a moment after it was read.
        crate::world::eventually(line, || metrics().contains(line));
    }
}

#[test]
fn addresses_can_be_let_in_or_kept_out() {
    let web = service("web");
    let world = before(
        &web,
        "trust: { networks: [127.0.0.0/8] }\n",
        "  - { name: all, path: /**, to: web, require: { addresses: { allow: [10.0.0.0/8] } } }\n",
    );
    let from = |address: &str| {
        world.send(&format!("GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n"))
    };
    assert_eq!(from("10.1.2.3").status, 200);
    assert_eq!(from("192.0.2.1").slug(), "address-denied");
}

#[test]
fn the_last_good_answer_is_given_when_the_target_is_gone_and_nobody_elses() {
    let web = aside("web");
    let world = before(
        &web,
        "",
        "  - { name: all, path: /**, to: web, fallback: { when: [connect, reset], last_good: 10m } }\n",
    );
    let good = world.get("/echo/public");
    assert_eq!(good.status, 200);
    let private = "GET /echo/private HTTP/1.1\r\nHost: shop.example\r\nCookie: a=b\r\n\r\n";
    assert_eq!(world.send(private).status, 200);
    drop(web);
    let kept = world.get("/echo/public");
    assert_eq!((kept.status, kept.body), (200, good.body));
    assert_eq!(kept.headers.get("age").map(String::as_str), Some("0"));
    assert_eq!(world.get("/echo/private").status, 502);
    assert_eq!(world.send(private).status, 502);
}
