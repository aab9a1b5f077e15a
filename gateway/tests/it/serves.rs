//! Bytes in, bytes out: HTTP/1.1 and its corners, large bodies, tunnels, broken answers, slow clients.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::world::{Client, Service, World, aside, eventually, service, world, world_with};

fn before(web: &Service) -> World {
    world(&document(web))
}

fn document(web: &Service) -> String {
    format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    )
}

#[test]
fn a_connection_serves_many_requests_and_so_does_the_one_behind_it() {
    let web = service("web");
    let world = before(&web);
    let mut client = world.connect();
    for n in 0..20 {
        let answer = client.send(&format!("GET /echo/{n} HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(&format!("GET /echo/{n} HTTP/1.1")), "{}", answer.body);
    }
    assert_eq!(web.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let web = service("web");
    let world = before(&web);
    let mut client = world.connect();
    client.write(
        "POST /echo/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         GET /echo/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/3 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    for n in 1..=3 {
        let answer = client.read(true);
        assert!(answer.body.contains(&format!("/echo/{n} HTTP")), "{n}: {answer:?}");
    }
}

#[test]
fn bodies_pass_both_ways_whatever_their_framing() {
    let web = service("web");
    let world = before(&web);
    let big = "x".repeat(300_000);
    let answer =
        world.send(&format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{big}", big.len()));
    assert!(answer.body.starts_with("web got 300000\n"), "{}", &answer.body[..50.min(answer.body.len())]);
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
    assert!(world.send(chunked).body.starts_with("web got 7\n"));
    assert_eq!(world.get("/chunked").body, "hello");
    assert_eq!(world.get("/big/1000000").body.len(), 1_000_000);
    for old in ["/raw/HTTP/1.0_200_OK~~hello", "/raw/HTTP/1.0_200_OK~Content-Length:_5~~hello"] {
        let mut client = world.connect();
        for _ in 0..2 {
            let answer = client.send(&format!("GET {old} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!((answer.version.as_str(), answer.body.as_str()), ("HTTP/1.1", "hello"), "{old}");
        }
    }
    let head = world.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on() {
    let web = service("web");
    let world = before(&web);
    let mut client = world.connect();
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.read(false).status, 100);
    client.write("abc");
    assert!(client.read(true).body.starts_with("web got 3\n"));
}

#[test]
fn a_client_that_waits_for_100_is_told_nothing_before_an_answer() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes:\n  - {{ name: all, path: /**, to: web }}\n  \
         - {{ name: shut, path: /shut, to: web, require: {{ addresses: {{ allow: [203.0.113.0/24] }} }} }}\n",
        web.url()
    ));
    let mut client = world.connect();
    client.write("POST /shut HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.read(true);
    assert_eq!((answer.status, web.hits()), (403, 0));
    if answer.header("connection") == "close" {
        assert!(client.is_closed());
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let web = service("web");
    let world = before(&web);
    for (path, body) in [("/chunked", "hello"), ("/raw/HTTP/1.1_200_OK~~until_the_end", "until the end")] {
        let mut client = world.connect();
        client.write(format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n"));
        let mut answer = String::new();
        client.stream.read_to_string(&mut answer).unwrap();
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert_eq!(rest, body, "{path}");
    }
}

#[test]
fn a_websocket_is_a_tunnel_after_101_and_not_before() {
    let web = service("web");
    let world = before(&web);
    let ask = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
    };
    let mut client = world.connect();
    client.write(ask("/ws"));
    let answer = client.read(false);
    assert_eq!((answer.status, answer.header("upgrade")), (101, "websocket"));
    for round in 0..3 {
        client.write(format!("round {round}"));
        let mut back = [0; 7];
        client.stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, format!("round {round}").as_bytes());
    }
    let mut client = world.connect();
    client.write(ask("/ws").replace("Connection: Upgrade", "Connection: Upgrade, close"));
    let answer = client.read(false);
    assert_eq!((answer.status, answer.header("connection")), (101, "upgrade"), "a tunnel ends when it ends");
    let mut client = world.connect();
    client.write(ask("/echo"));
    assert_eq!(client.read(true).status, 200, "a service that does not change the protocol answers as usual");
    client.write(ask("/ws"));
    assert_eq!(client.read(false).status, 101, "and the connection may ask again");
    assert_eq!(world.get("/ws").status, 502, "nobody asked for a tunnel");
}

#[test]
fn broken_answers_are_never_passed_on_as_whole() {
    let web = service("web");
    let world = before(&web);
    assert_eq!(world.get("/half").header("x-truncated"), "yes");
    for path in [
        "/raw/HTTP/1.1_200_OK~Content-Length:_1~Content-Length:_2~~ab",
        "/raw/HTTP/1.1_204_X~Content-Length:_5~~hello",
        "/raw/nonsense~~",
    ] {
        let answer = world.get(path);
        assert_eq!((answer.status, answer.slug().is_empty()), (502, false), "{path}: {answer:?}");
    }
    // Of both ways of framing Pingora drops one before anybody sees it: what goes on can be read in one way. The short road
    // refuses it.
    let both = world.get("/raw/HTTP/1.1_200_OK~Content-Length:_5~Transfer-Encoding:_chunked~~0~~");
    match both.status {
        200 => assert_eq!((both.header("content-length"), both.body.as_str()), ("", "")),
        status => assert_eq!((status, both.slug().as_str()), (502, "answer-malformed")),
    }
    let answer = world.send("POST /close HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream-reset"));
}

#[test]
fn a_service_that_is_not_there_is_a_502_with_a_slug() {
    let gone = aside("gone");
    let document = document(&gone);
    drop(gone);
    let world = world(&document);
    let answer = world.get("/");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "connect-failed"));
    assert!(!answer.header("x-request-id").is_empty());
}

/// A client that was told to keep a connection which is then closed loses its next request.
#[test]
fn an_answer_after_a_failed_attempt_says_what_becomes_of_the_connection() {
    let document = "version: 1\ntargets: { gone: { url: http://127.0.0.1:9 } }\nroutes:\n  \
                    - { name: dead, path: /dead, to: gone }\n  \
                    - { name: empty, path: /empty, to: gone, fallback: { answer: { body: '[]' } } }\n";
    let world = world(document);
    for (path, status) in [("/dead", 502), ("/empty", 200)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let mut client = Client::to(world.at);
        let answer = client.send(&request);
        assert_eq!(answer.status, status);
        if answer.header("connection") == "close" {
            assert!(client.is_closed(), "{path}");
        } else {
            assert_eq!(client.send(&request).status, status, "{path}: it said that the connection stays");
        }
    }
}

#[test]
fn a_head_has_a_deadline_as_a_whole() {
    let web = service("web");
    let world = world_with(&document(&web), |settings| settings.header_within = "300ms".parse().unwrap());
    let mut client = world.connect();
    let begun = Instant::now();
    client.write("GET / HTTP/1.1\r\n");
    let mut slow = client.stream.get_ref().try_clone().unwrap();
    // One byte at a time, each well within any time-out for a single read.
    std::thread::spawn(move || {
        while slow.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let answer = client.read(true);
    assert_eq!((answer.status, answer.slug().as_str()), (408, "client-too-slow"));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let web = service("web");
    let world = world_with(&document(&web), |settings| settings.idle_within = "100ms".parse().unwrap());
    let mut client = world.connect();
    assert!(client.is_closed());
    let mut client = world.connect();
    assert_eq!(client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_body_that_stops_coming_ends_the_request() {
    let web = service("web");
    let world = world_with(&document(&web), |settings| settings.body_rate_min = "1KiB".parse().unwrap());
    let mut client = world.connect();
    client.write("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this");
    let answer = client.read(true);
    assert_eq!((answer.status, answer.slug().as_str()), (408, "client-too-slow"));
}

#[test]
fn connections_are_capped() {
    let web = service("web");
    let world = world_with(&document(&web), |settings| settings.connections_per_address_max = 2);
    let mut first = world.connect();
    let mut second = world.connect();
    assert_eq!(first.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(second.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert!(world.connect().is_closed(), "one too many");
    drop(first);
    eventually("there is room again", || {
        Client::to(world.at).send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
    });
}

#[test]
fn the_deadline_ends_a_slow_request_and_a_default_one_cuts_no_download() {
    let web = service("web");
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web, deadline: 200ms }}]\n",
        web.url()
    ));
    let begun = Instant::now();
    let answer = world.get("/slow/3000");
    assert_eq!((answer.status, answer.slug().as_str()), (504, "deadline-exceeded"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
