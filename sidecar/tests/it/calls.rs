//! What the app calls: by an address of its own, by Host, as a proxy; declared or not; HTTP or bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::world::{Client, aside, eventually, service, world};

fn calling(url: &str, call: &str, rest: &str) -> String {
    format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\"{rest} }}\ntargets: {{ web: {{ url: {url} }} }}\ncalls: {{ web: {{ listen: 127.0.0.1:0{call} }} }}\n"
    )
}

#[test]
fn a_target_is_reached_by_its_own_address_by_host_and_as_by_a_proxy() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let answer = world.call("web", "/echo?x=1");
    assert!(answer.status == 200 && answer.body.contains("GET /echo?x=1 HTTP/1.1"), "{answer:?}");
    assert!(answer.body.contains("host: web\r\n"), "the Host is the target's, not ours: {answer:?}");
    assert_eq!(world.by_host("web", "/echo").status, 200);
    assert_eq!(world.by_host("WEB:80", "/echo").status, 200);
    let as_proxy = "GET http://web/echo HTTP/1.1\r\nHost: web\r\n\r\n";
    let answer = Client::to(world.outbound).send(as_proxy);
    assert!(answer.status == 200 && answer.body.contains("GET /echo HTTP/1.1"), "{answer:?}");
    for field in ["x-request-id:", "x-banyan-deadline:", "x-banyan-attempt: 1", "traceparent: 00-"] {
        assert!(answer.body.contains(field), "{field} in {answer:?}");
    }
}

#[test]
fn one_connection_carries_many_requests_and_so_does_the_one_to_the_target() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let mut client = world.to("web");
    for nth in 0..20 {
        let answer = client.send(&format!("GET /echo/{nth} HTTP/1.1\r\nHost: web\r\n\r\n"));
        assert!(answer.status == 200 && answer.body.contains(&format!("/echo/{nth} ")), "{answer:?}");
    }
    assert_eq!(web.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    // Two at once on one connection: neither is lost, and none is taken for the other's body.
    client.write("POST /echo/a HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabcGET /echo/b HTTP/1.1\r\nHost: web\r\n\r\n");
    let (first, second) = (client.read(true), client.read(true));
    assert!(first.body.contains("web got 3") && second.body.contains("GET /echo/b"), "{first:?} {second:?}");
    client.write("POST /echo/a HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /echo/b HTTP/1.1\r\nHost: web\r\n\r\n");
    let (first, second) = (client.read(true), client.read(true));
    assert!(first.body.contains("web got 3") && second.body.contains("GET /echo/b"), "{first:?} {second:?}");
}

#[test]
fn bodies_of_any_size_go_both_ways() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let mut client = world.to("web");
    let size = 20_000_000;
    let answer = client.send(&format!("GET /big/{size} HTTP/1.1\r\nHost: web\r\n\r\n"));
    assert_eq!(answer.body.len(), size);
    client.write(format!("POST /echo HTTP/1.1\r\nHost: web\r\nContent-Length: {size}\r\n\r\n"));
    client.write(vec![b'x'; size]);
    assert!(client.read(true).body.contains(&format!("web got {size}")));
    let answer = client.send("GET /chunked HTTP/1.1\r\nHost: web\r\n\r\n");
    assert_eq!(answer.body, "hello");
    let answer = client.send("HEAD /echo HTTP/1.1\r\nHost: web\r\n\r\n");
    assert!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    let empty = "GET /raw/HTTP/1.1_204_X~X-From:_web~~ HTTP/1.1\r\nHost: web\r\n\r\n";
    assert_eq!(client.send(empty).status, 204);
}

#[test]
fn half_an_answer_is_never_taken_for_the_whole() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let answer = world.call("web", "/half");
    assert!(answer.status == 502 || answer.header("x-truncated") == "yes", "{answer:?}");
    let answer = world.call("web", "/close");
    assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream-reset"), "{answer:?}");
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let mut client = world.to("web");
    let answer = client.send(
        "GET /ws HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(answer.status, 101, "{answer:?}");
    for word in ["one", "two", "three"] {
        client.write(word);
        let mut back = vec![0; word.len()];
        client.stream.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
}

/// The end of a deadline that finds an attempt still going on: the upload never rests, so no patience ends.
#[test]
fn an_upload_that_goes_on_past_the_deadline_is_told_so() {
    let web = service("web");
    let world = world(&calling(&web.url(), ", deadline: 200ms", ""));
    let mut client = world.to("web");
    client.write("POST /echo HTTP/1.1\r\nHost: web\r\nContent-Length: 100000\r\n\r\n");
    let mut drips = client.stream.get_ref().try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while drips.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = client.read(true);
    assert_eq!((answer.status, answer.slug().as_str()), (504, "deadline-exceeded"), "{answer:?}");
    drop(client);
    dripping.join().unwrap();
}

#[test]
fn what_follows_a_request_that_asks_for_an_upgrade_is_the_next_request() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let first = "GET /echo?first HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    for (second, status, slug) in [
        ("GET /echo?second HTTP/1.1\r\nHost: web\r\n\r\n", 200, ""),
        ("GET /echo?second HTTP/1.1\r\nHost: web\r\nContent-Length : 0\r\n\r\n", 400, "bad-header"),
        ("GET /echo?second HTTP/1.1\nHost: web\n\n", 400, "bad-header"),
    ] {
        let mut client = world.to("web");
        let answer = client.send(&format!("{first}{second}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = client.read(true);
        assert_eq!((answer.status, answer.slug().as_str()), (status, slug), "{second:?}: {answer:?}");
    }
}

#[test]
fn what_nobody_declared_passes_or_is_refused_as_the_document_says() {
    let web = service("web");
    let elsewhere = service("elsewhere");
    let passes = world(&calling(&web.url(), "", ""));
    let answer = passes.by_host(&elsewhere.at.to_string(), "/echo");
    assert!(answer.status == 200 && answer.body.starts_with("elsewhere got"), "{answer:?}");
    assert!(!answer.body.contains("x-banyan"), "untouched: {answer:?}");
    let refuses = world(&calling(&web.url(), "", ", undeclared: refuse"));
    let answer = refuses.by_host(&elsewhere.at.to_string(), "/echo");
    assert_eq!((answer.status, answer.slug().as_str()), (403, "destination-denied"), "{answer:?}");
    assert_eq!(refuses.by_host("web", "/echo").status, 200);
}

#[test]
fn bytes_go_to_a_target_that_speaks_no_http_and_each_way_ends_by_itself() {
    let ledger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = ledger.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in ledger.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                // The server speaks first, and answers when it has heard everything.
                stream.write_all(b"hello\n").unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(format!("got {}", all.len()).as_bytes()).unwrap();
            });
        }
    });
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\ntargets: {{ ledger: {{ url: http://{at}, protocol: tcp }} }}\ncalls: {{ ledger: {{ listen: 127.0.0.1:0 }} }}\n"
    ));
    let begun = Instant::now();
    let mut stream = TcpStream::connect(world.sidecar().reaches("ledger").unwrap()).unwrap();
    let mut greeting = [0; 6];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello\n");
    assert!(begun.elapsed() < Duration::from_secs(2), "a declared protocol waits for nothing");
    stream.write_all(&vec![7; 1_000_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got 1000000");
    let told = |metrics: &str| {
        metrics.contains("banyan_tcp_connections_total{target=\"ledger\",outcome=\"carried\"} 1")
    };
    eventually("it is counted", || told(&world.admin("/metrics").body));
}

#[test]
fn addresses_come_and_go_with_the_document_and_a_bad_one_refuses_it() {
    let web = service("web");
    let world = world(&calling(&web.url(), "", ""));
    let first = world.sidecar().reaches("web").unwrap();
    assert_eq!(world.call("web", "/echo").status, 200);
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let busy = TcpListener::bind(taken).unwrap();
    world.rewrite(&calling(&web.url(), "", "").replace("listen: 127.0.0.1:0", &format!("listen: {taken}")));
    eventually("it is refused", || world.sidecar().plans().status().failures == 1);
    assert_eq!(world.generation(), 1);
    let told = world.sidecar().plans().status().last_failure.unwrap().problems;
    assert!(told.contains("calls/web/listen") && told.contains(&taken.to_string()), "{told}");
    assert_eq!(world.call("web", "/echo").status, 200, "the last good one stays");
    drop(busy);
    world.rewrite(&calling(&web.url(), "", "").replace("127.0.0.1:0", "127.0.0.2:0"));
    eventually("it is in force", || world.generation() == 2);
    assert_ne!(world.sidecar().reaches("web").unwrap(), first);
    assert_eq!(world.call("web", "/echo").status, 200);
    eventually("the old address is closed", || Client::to_if(first).is_none());
}

#[test]
fn what_may_be_tried_again_is_and_what_may_not_is_not() {
    let web = service("web");
    let retry = ", retry: { attempts: 3, on: [connect, 503] }";
    let world = world(&calling(&web.url(), retry, ""));
    let answer = world.call("web", "/flaky/2");
    assert_eq!((answer.status, web.hits()), (200, 3), "{answer:?}");
    assert!(web.last_head().contains("x-banyan-attempt: 3"), "{}", web.last_head());
    let before = web.hits();
    let post = |key: &str| {
        let request =
            format!("POST /status/503 HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\n{key}\r\nhello");
        world.to("web").send(&request)
    };
    assert_eq!(post("").status, 503);
    assert_eq!(web.hits() - before, 1, "a POST may have been done");
    let before = web.hits();
    assert_eq!(post("Idempotency-Key: 7\r\n").status, 503);
    assert!(web.hits() - before > 1, "with a key it may be sent again");
    assert!(web.last_head().contains("content-length: 5"), "{}", web.last_head());
    let before = web.hits();
    let again = "GET /status/503 HTTP/1.1\r\nHost: web\r\nx-banyan-attempt: 2\r\n\r\n";
    assert_eq!(world.to("web").send(again).status, 503);
    assert_eq!(web.hits() - before, 1, "nobody retries a retry");
}

#[test]
fn an_endpoint_that_is_gone_costs_no_request() {
    let (one, two) = (service("one"), aside("two"));
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\ntargets: {{ web: {{ endpoints: [{}, {}] }} }}\ncalls: {{ web: {{ listen: 127.0.0.1:0, retry: {{ attempts: 3, on: [connect] }} }} }}\n",
        one.url(),
        two.url()
    ));
    drop(two);
    for _ in 0..20 {
        assert_eq!(world.call("web", "/echo").status, 200);
    }
}

#[test]
fn a_deadline_ends_a_request_and_travels_with_it() {
    let web = service("web");
    let world = world(&calling(&web.url(), ", deadline: 200ms", ""));
    let begun = Instant::now();
    let answer = world.call("web", "/slow/3000");
    assert_eq!((answer.status, answer.slug().as_str()), (504, "deadline-exceeded"), "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    let head = "GET /echo HTTP/1.1\r\nHost: web\r\nx-banyan-deadline: 90\r\n\r\n";
    let answer = world.to("web").send(head);
    let left = answer.body.lines().find_map(|line| line.strip_prefix("x-banyan-deadline: ")).unwrap();
    assert!(left.trim().parse::<u64>().unwrap() <= 90, "{left}");
}

#[test]
fn a_slow_read_gets_a_second_try_beside_it_and_a_write_does_not() {
    let (slow, quick) = (service("slow"), service("quick"));
    // One endpoint answers late: what goes there first is tried at the other one, too.
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\n\
         targets: {{ web: {{ endpoints: [{}, {}], balance: round-robin }} }}\n\
         calls: {{ web: {{ listen: 127.0.0.1:0, hedge: {{ after: 30ms }} }} }}\n",
        slow.url(),
        quick.url()
    ));
    // Fill the budget: one in five may be sent twice.
    for _ in 0..60 {
        assert_eq!(world.call("web", "/echo").status, 200);
    }
    let before = slow.hits() + quick.hits();
    let begun = Instant::now();
    assert_eq!(world.call("web", "/slow/400").status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(400), "both are slow: it waits for the first of them");
    assert_eq!(slow.hits() + quick.hits() - before, 2, "there were two tries");
    let second = [slow.last_head(), quick.last_head()];
    assert!(second.iter().any(|head| head.contains("x-banyan-attempt: 2")), "{second:?}");
    let before = slow.hits() + quick.hits();
    let post = "POST /slow/200 HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(world.to("web").send(post).status, 200);
    assert_eq!(slow.hits() + quick.hits() - before, 1, "a write is sent once");
}
