//! What travels through an app that knows nothing of it: deadline, priority, attempt, trace. And what the sidecar tells.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::world::{Client, World, eventually, service, world};

/// An app that, for each request, makes one call through its sidecar and forwards `traceparent` and nothing else.
fn app(way: Arc<Mutex<Option<SocketAddr>>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, way) = (stream.unwrap(), way.clone());
            std::thread::spawn(move || serve(stream, &way));
        }
    });
    at
}

fn serve(stream: TcpStream, way: &Mutex<Option<SocketAddr>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut traceparent, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.starts_with("traceparent:") {
                traceparent.clone_from(&line);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let to = way.lock().unwrap().unwrap();
        let answer = Client::to(to).send(&format!("GET /echo HTTP/1.1\r\nHost: web\r\n{traceparent}\r\n"));
        let body = answer.body;
        let told = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{body}", answer.status, body.len());
        reader.get_mut().write_all(told.as_bytes()).unwrap();
    }
}

fn beside_app(web: &str) -> (World, Arc<Mutex<Option<SocketAddr>>>) {
    let way = Arc::new(Mutex::new(None));
    let at = app(way.clone());
    let world = world(&format!(
        "version: 1\ntrust: {{ networks: [127.0.0.0/8] }}\nservice: {{ name: order, url: \"http://{at}\" }}\n\
         inbound: {{ mtls: permissive }}\ntargets: {{ web: {{ url: {web} }} }}\n\
         calls: {{ web: {{ listen: 127.0.0.1:0, retry: {{ attempts: 3, on: [503] }} }} }}\n"
    ));
    *way.lock().unwrap() = world.sidecar().reaches("web");
    (world, way)
}

#[test]
fn an_app_that_forwards_only_the_trace_keeps_deadline_priority_attempt_and_name() {
    let web = service("web");
    let (world, _way) = beside_app(&web.url());
    let request = "GET / HTTP/1.1\r\nHost: order\r\nx-banyan-deadline: 2000\r\nx-banyan-priority: critical\r\n\
                   x-banyan-attempt: 2\r\nx-request-id: the-name-of-it\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    let answer = Client::to(world.inbound).send(request);
    assert_eq!(answer.status, 200, "{answer:?}");
    let head = web.last_head();
    for field in [
        "x-banyan-priority: critical",
        "x-banyan-attempt: 2",
        "x-request-id: the-name-of-it",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-",
    ] {
        assert!(head.contains(field), "{field} in {head}");
    }
    let left = head.lines().find_map(|line| line.strip_prefix("x-banyan-deadline: ")).unwrap();
    assert!((1..2000).contains(&left.trim().parse::<u64>().unwrap()), "{left}");
    assert!(!head.contains("b7ad6b7169203331"), "each hop is a span of its own: {head}");
}

#[test]
fn what_strangers_claim_is_not_believed() {
    let app = service("app");
    let world = world(&format!(
        "version: 1\nservice: {{ name: order, url: {} }}\ninbound: {{ mtls: permissive }}\n",
        app.url()
    ));
    let request =
        "GET /echo HTTP/1.1\r\nHost: order\r\nx-banyan-priority: critical\r\nx-request-id: mine\r\n\r\n";
    assert_eq!(Client::to(world.inbound).send(request).status, 200);
    let head = app.last_head();
    assert!(!head.contains("critical") && !head.contains("x-request-id: mine"), "{head}");
}

#[test]
fn the_admin_pages_show_both_doors() {
    let web = service("web");
    let (world, _way) = beside_app(&web.url());
    assert_eq!(Client::to(world.inbound).send("GET / HTTP/1.1\r\nHost: order\r\n\r\n").status, 200);
    for way in ["inbound", "outbound"] {
        let line = format!("banyan_requests_total{{direction=\"{way}\"");
        eventually(&line, || world.admin("/metrics").body.contains(&line));
    }
    assert_eq!(world.admin("/ready").status, 200);
    let targets = world.admin("/targets").body;
    assert!(targets.contains("\"web\"") && targets.contains("\"service/order\""), "{targets}");
    let told = world.admin("/explain?url=http://web/echo&door=outbound").body;
    assert!(told.contains("web"), "{told}");
    world.sidecar().announce();
    assert_eq!(world.admin("/ready").status, 503);
    let last = Client::to(world.inbound).send("GET / HTTP/1.1\r\nHost: order\r\n\r\n");
    assert_eq!(
        (last.status, last.header("connection")),
        (200, "close"),
        "new inbound is still taken, gently: {last:?}"
    );
    let mut outbound = world.to("web");
    for _ in 0..2 {
        let answer = outbound.send("GET /echo HTTP/1.1\r\nHost: web\r\n\r\n");
        assert!(
            answer.status == 200 && answer.header("connection").is_empty(),
            "outbound goes on: {answer:?}"
        );
    }
}
