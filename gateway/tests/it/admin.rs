//! The admin pages over real sockets, the log that nobody reads, and keys that cannot be had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shell::telemetry::LogTo;

use crate::world::{Answer, Client, World, aside, eventually, file, service, world, world_with};

const DOCUMENT: &str = "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200, body: one } }]\n";

fn admin(world: &World, request: &str) -> Answer {
    Client::to(world.gateway.as_ref().unwrap().admin()).send(request)
}

fn page(world: &World, path: &str) -> Answer {
    admin(world, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

#[test]
fn pages_show_what_happens() {
    let world = world(DOCUMENT);
    for n in 0..50 {
        assert_eq!(world.send(&format!("BREW{n} /{n} HTTP/1.1\r\nHost: h{n}\r\n\r\n")).status, 400);
        assert_eq!(world.send(&format!("GET /{n} HTTP/1.1\r\nHost: h{n}\r\n\r\n")).status, 200);
    }
    let line = "banyan_requests_total{direction=\"edge\",route=\"all\",target=\"\",method=\"GET\",status=\"200\"} 50";
    // A request is counted when its answer has left, which may be a moment after it was read.
    eventually("all are counted", || {
        let metrics = page(&world, "/metrics").body;
        metrics.contains(line) && metrics.contains("banyan_malformed_total{slug=\"bad-method\"} 50")
    });
    let metrics = page(&world, "/metrics").body;
    assert!(metrics.contains("banyan_malformed_total{slug=\"bad-method\"} 50"), "{metrics}");
    assert_eq!(
        metrics.matches("banyan_requests_total{").count(),
        2,
        "whatever clients choose makes no series: {metrics}"
    );
    assert!(
        metrics.contains("banyan_build_info{version=\"")
            && metrics.contains("banyan_process_log_dropped_total ")
    );
    assert_eq!(page(&world, "/ready").status, 200);
    assert!(page(&world, "/config").body.contains("route all: "), "{:?}", page(&world, "/config"));
    assert!(page(&world, "/generations").body.contains("\"generation\": 1"));
    let explained = page(&world, "/explain?method=GET&url=http%3A%2F%2Fshop.example%2Fx");
    assert!(explained.body.contains("is answered here: 200 OK"), "{explained:?}");
    assert_eq!(page(&world, "/nowhere").status, 404);
}

#[test]
fn changes_need_the_token_and_browsers_are_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    let token = file(folder.path(), "token", "a long secret\n");
    let world = world_with(DOCUMENT, |settings| settings.house.admin_token_file = Some(token));
    world.rewrite(&DOCUMENT.replace("one", "two"));
    eventually("it is in force", || world.get("/").body == "two");
    let post = |fields: &str| {
        admin(
            &world,
            &format!("POST /rollback HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n{fields}\r\n"),
        )
    };
    assert_eq!(post("").status, 401);
    assert_eq!(post("Authorization: Bearer a long guess\r\n").status, 401);
    assert_eq!(post("Authorization: Bearer a long secret\r\nOrigin: http://evil.example\r\n").status, 403);
    assert_eq!(page(&world, "/rollback").status, 405, "a GET changes nothing");
    assert_eq!(admin(&world, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 403);
    assert_eq!(world.get("/").body, "two");
    assert_eq!(post("Authorization: Bearer a long secret\r\n").status, 200);
    assert_eq!(world.get("/").body, "one");
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let world = world(DOCUMENT);
    let answer = admin(&world, "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer.status, 403);
    assert_eq!(world.get("/").status, 200);
}

#[test]
fn a_full_disk_costs_lines_and_no_request() {
    let world = world_with(DOCUMENT, |settings| settings.house.access_log = LogTo::File("/dev/full".into()));
    for _ in 0..100 {
        assert_eq!(world.get("/").status, 200);
    }
    eventually("lost lines are counted", || {
        !page(&world, "/metrics").body.contains("banyan_access_log_dropped_total 0")
    });
}

#[test]
fn a_request_is_one_line_of_the_log_and_the_log_can_be_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let to = path.clone();
    let world = world_with(DOCUMENT, |settings| settings.house.access_log = LogTo::File(to));
    world.send("GET /a?token=secret HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer secret\r\nCookie: secret=1\r\n\r\n");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the line is there", || text().ends_with("}\n"));
    assert!(text().contains("\"path\":\"/a\"") && !text().contains("secret"), "{}", text());
    std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
    world.gateway.as_ref().unwrap().telemetry().reopen();
    world.get("/b");
    eventually("the new file has it", || text().contains("\"path\":\"/b\""));
}

#[test]
fn spans_reach_the_collector_and_a_dead_one_costs_nothing() {
    let collector = service("collector");
    let web = service("web");
    let document = format!(
        "version: 1\ntrace: {{ sample: 100% }}\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    );
    let world = world_with(&document, |settings| settings.house.otlp = Some(collector.url()));
    assert_eq!(world.get("/echo").status, 200);
    eventually("the spans have arrived", || collector.hits() > 0);
    assert!(collector.last_head().starts_with("POST /v1/traces HTTP/1.1"), "{}", collector.last_head());
    let dead = {
        let gone = aside("gone");
        gone.url()
    };
    let world = world_with(&document, |settings| settings.house.otlp = Some(dead));
    for _ in 0..20 {
        assert_eq!(world.get("/echo").status, 200);
    }
    eventually("lost spans are counted", || {
        !page(&world, "/metrics").body.contains("banyan_spans_dropped_total 0")
    });
}

#[test]
fn keys_that_cannot_be_had_are_503_and_a_bad_token_is_401() {
    let issuer = aside("issuer");
    let at = issuer.at;
    drop(issuer);
    let world = world(&format!(
        "version: 1\nidentities: {{ shop: {{ jwks: http://{at}/status/500, issuer: a, audience: b }} }}\n\
         routes: [{{ name: all, path: /**, require: {{ jwt: shop }}, answer: {{ status: 200 }} }}]\n"
    ));
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJhIn0.c2ln";
    let with = |token: &str| {
        world.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"))
    };
    let unknown = with(token);
    assert_eq!((unknown.status, unknown.slug().as_str()), (503, "keys-unavailable"));
    let nonsense = with("nonsense");
    assert_eq!((nonsense.status, nonsense.slug().as_str()), (401, "token-malformed"));
    assert_eq!(world.get("/").slug(), "token-missing");
}

#[test]
fn a_flood_is_answered_while_nobody_reads_the_log() {
    let (reader, writer) = std::io::pipe().unwrap();
    // The pipe is full after 64 KiB, and nobody reads it.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let world = world_with(DOCUMENT, |settings| settings.house.access_log = LogTo::File(path.into()));
    let served = Arc::new(AtomicUsize::new(0));
    let mut client = world.connect();
    for _ in 0..6000 {
        if client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").status == 200 {
            served.fetch_add(1, Ordering::Relaxed);
        }
    }
    assert_eq!(served.load(Ordering::Relaxed), 6000);
    assert!(!page(&world, "/metrics").body.contains("banyan_access_log_dropped_total 0"));
    drop((reader, writer));
}

#[test]
fn explaining_says_what_the_data_path_does() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nidentities: {{ keys: {{ api_keys: {{ me: {{ sha256: {} }} }} }} }}\nroutes:\n  \
         - {{ name: all, path: /**, to: web }}\n  - {{ name: reads, path: /reads/**, method: GET, to: web }}\n  \
         - {{ name: closed, path: /closed/**, to: web, require: {{ api_key: keys }} }}\n  \
         - {{ name: fixed, path: /fixed, answer: {{ status: 418, body: tea }} }}\n  \
         - {{ name: beta, path: /reads/**, match: {{ headers: {{ x-beta: \"1\" }} }}, answer: {{ status: 203 }} }}\n",
        web.url(),
        "0".repeat(64),
    ));
    let rows = [
        ("GET", "/", ""),
        ("GET", "/reads/1", ""),
        ("GET", "/reads/1", "x-beta: 1"),
        ("POST", "/reads/1", ""),
        ("GET", "/closed/1", ""),
        ("GET", "/closed/../reads/1", ""),
        ("GET", "/fixed", ""),
        ("BREW", "/", ""),
        ("GET", "/a%2fb", ""),
        ("GET", "/a", "Connection: host"),
    ];
    for (method, path, header) in rows {
        let field = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let done = world.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 0\r\n{field}\r\n"
        ));
        let encoded = path.replace('%', "%25");
        let asked = format!(
            "/explain?method={method}&url=http://shop.example{encoded}&header={}",
            header.replace(' ', "+")
        );
        let told = page(&world, asked.trim_end_matches("&header=")).body;
        let expected = match (done.header("x-from"), done.slug()) {
            ("web", _) => "goes to target web".to_owned(),
            (_, slug) if slug.is_empty() => format!("is answered here: {}", done.status),
            (_, slug) => {
                format!("refused: {}", format_args!("{} ", done.status)).trim_end().to_owned() + "|" + &slug
            }
        };
        assert!(
            expected.split('|').all(|part| told.contains(part)),
            "{method} {path} {header}: {expected} in\n{told}"
        );
    }
}

#[test]
fn a_page_is_read_by_reading_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let token = file(folder.path(), "token", "a long secret\n");
    let world = world_with(DOCUMENT, |settings| settings.house.admin_token_file = Some(token));
    let rows = [
        ("GET", "/live", "", 200),
        ("HEAD", "/live", "", 200),
        ("POST", "/live", "", 401),
        ("DELETE", "/explain?url=http://a/", "", 401),
        ("PUT", "/explain?url=http://a/", "", 401),
        ("POST", "/live", "a long secret", 405),
        ("PUT", "/explain?url=http://a/", "a long secret", 405),
        ("PUT", "/rollback", "a long secret", 405),
        ("HEAD", "/drain", "a long secret", 405),
        ("GET", "/explain?url=http://a/", "", 200),
    ];
    for (method, path, token, status) in rows {
        let field =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{field}\r\n");
        assert_eq!(admin(&world, &request).status, status, "{method} {path} {token}");
    }
    assert_eq!(page(&world, "/ready").status, 200, "nothing was drained");
}
