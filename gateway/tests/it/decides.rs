//! Policies, seen from outside.

use crate::world::{service, world};

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
    let (gone, spare) = (service("gone"), service("spare"));
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
