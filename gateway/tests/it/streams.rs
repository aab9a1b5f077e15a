//! Clients that speak HTTP/2, in front of services that do not: streams side by side, bodies of unknown length, what follows
//! a body, halves that nobody may take for the whole.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Runtime;

use crate::world::{PATIENCE, Service, World, eventually, service, short, world};

/// A runtime for the clients of a story. It is to end before the gateway does: a client that says nothing more, and takes no
/// leave either, has as long as the drain limit.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connection of HTTP/2.
pub async fn h2<B>(at: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// A body whose length nobody knows yet.
fn open() -> (tokio::sync::mpsc::Sender<&'static [u8]>, Sent) {
    let (pieces, come) = tokio::sync::mpsc::channel(1);
    let frames = stream::unfold(come, async |mut come: tokio::sync::mpsc::Receiver<_>| {
        come.recv().await.map(|piece| (Ok(Frame::data(Bytes::from_static(piece))), come))
    });
    (pieces, StreamBody::new(frames).boxed_unsync())
}

fn request(method: &str, path: &str, body: Sent) -> hyper::Request<Sent> {
    hyper::Request::builder().method(method).uri(format!("http://shop.example{path}")).body(body).unwrap()
}

fn get(path: &str) -> hyper::Request<Sent> {
    request("GET", path, Empty::new().boxed_unsync())
}

async fn text(answer: hyper::Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn before(at: SocketAddr, more: &str) -> World {
    world(&format!(
        "version: 1\ntargets: {{ web: {{ url: http://{at} }} }}\nroutes: [{{ name: all, path: /**, to: web{more} }}]\n"
    ))
}

/// Tells a story in front of a service that does as the path says.
fn told<F: Future>(story: impl FnOnce(Service, SendRequest<Sent>) -> F) {
    let web = service("web");
    let world = before(web.at, "");
    let runtime = runtime();
    runtime.block_on(async {
        let client = h2(world.at).await;
        let story = story(web, client);
        assert!(tokio::time::timeout(PATIENCE, story).await.is_ok(), "it does not end");
    });
    drop(runtime);
}

/// A service that does what the story says with each request's head and what follows it.
fn target(does: impl Fn(&str, &mut BufReader<TcpStream>) + Send + Sync + 'static) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let does = Arc::new(does);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let does = does.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut head).unwrap_or(0) == 0 {
                        return;
                    }
                }
                does(&head, &mut stream);
            });
        }
    });
    at
}

#[test]
fn an_upload_of_unknown_length_arrives_in_chunks_and_nothing_arrives_as_nothing() {
    told(async |_web, mut client| {
        let (pieces, body) = open();
        let answer = tokio::spawn(client.send_request(request("POST", "/echo", body)));
        for piece in ["abc", "defg", "h"] {
            pieces.send(piece.as_bytes()).await.unwrap();
        }
        drop(pieces);
        let seen = text(answer.await.unwrap().unwrap()).await.to_lowercase();
        assert!(seen.starts_with("web got 8\npost /echo http/1.1\r\n"), "{seen}");
        assert!(seen.contains("transfer-encoding: chunked") && !seen.contains("content-length"), "{seen}");
        assert!(seen.contains("host: shop.example\r\n"), "{seen}");
        let seen = text(client.send_request(get("/echo")).await.unwrap()).await.to_lowercase();
        assert!(seen.starts_with("web got 0\n") && !seen.contains("transfer-encoding"), "{seen}");
    });
}

#[test]
fn what_follows_a_chunked_answer_follows_it_on_a_stream() {
    told(async |_web, mut client| {
        let path =
            "/raw/HTTP/1.1_200_OK~Transfer-Encoding:_chunked~~5~hello~0~Grpc-Status:_5~Content-Length:_9~~";
        let answer = client.send_request(get(path)).await.unwrap();
        assert!(!answer.headers().contains_key("transfer-encoding"));
        let body = answer.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned();
        assert_eq!(body.to_bytes(), "hello");
        // Pingora reads them and keeps them to itself.
        let expected =
            short().then(|| http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), 5.into())]));
        assert_eq!(trailers, expected);
    });
}

#[test]
fn what_follows_a_chunked_answer_is_for_those_who_say_that_they_read_it() {
    let web = service("web");
    let world = before(web.at, "");
    for (says, follows) in [("", "0\r\n\r\n"), ("TE: trailers\r\n", "0\r\nchecksum: 5\r\n\r\n")] {
        let mut client = world.connect();
        client.write(format!(
            "GET /raw/HTTP/1.1_200_OK~Transfer-Encoding:_chunked~~5~hello~0~Checksum:_5~~ HTTP/1.1\r\n\
             Host: a\r\n{says}Connection: close\r\n\r\n"
        ));
        let mut answer = String::new();
        client.stream.read_to_string(&mut answer).unwrap();
        // Pingora reads them and keeps them to itself.
        let follows = if short() { follows } else { "0\r\n\r\n" };
        assert!(answer.ends_with(&format!("5\r\nhello\r\n{follows}")), "{answer}");
    }
}

#[test]
fn half_an_answer_is_reset_and_its_connection_goes_on() {
    told(async |_web, mut client| {
        for path in ["/half", "/raw/HTTP/1.1_200_OK~Transfer-Encoding:_chunked~~5~hello~"] {
            let answer = client.send_request(get(path)).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert!(
                answer.into_body().collect().await.is_err(),
                "{path}: half of it was taken for the whole"
            );
        }
        assert_eq!(client.send_request(get("/echo")).await.unwrap().status(), 200);
        assert_eq!(client.send_request(get("/close")).await.unwrap().status(), 502);
    });
}

#[test]
fn an_answer_that_comes_early_ends_the_upload() {
    let at = target(|_head, stream| {
        let _ = stream.get_mut().write_all(b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nlarge");
        // It reads no more, and does not close either: nobody is to wait for it.
        let _ = stream.get_mut().peek(&mut [0; 1]);
        std::thread::park_timeout(PATIENCE);
    });
    let world = before(at, "");
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = h2(world.at).await;
        let (pieces, body) = open();
        let answer = client.send_request(request("POST", "/upload", body));
        tokio::spawn(async move { while pieces.send(&[b'x'; 16_384]).await.is_ok() {} });
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 413);
        let body = tokio::time::timeout(PATIENCE, text(answer)).await.unwrap();
        assert_eq!(body, "large");
    });
    drop(runtime);
}

#[test]
fn streams_of_one_connection_wait_for_nobody() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = arrived.clone();
    let at = target(move |head, stream| {
        if head.starts_with("GET /held") {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv_timeout(PATIENCE);
        }
        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let world = before(at, "");
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = h2(world.at).await;
        let slow = tokio::spawn(client.send_request(get("/held")));
        until("it has arrived", || arrived.load(Ordering::SeqCst) == 1).await;
        for _ in 0..3 {
            assert_eq!(text(client.send_request(get("/free")).await.unwrap()).await, "ok");
        }
        assert!(!slow.is_finished());
        release.send(()).unwrap();
        assert_eq!(text(slow.await.unwrap().unwrap()).await, "ok");
    });
    drop(runtime);
}

#[test]
fn a_stream_that_is_given_up_takes_its_call_along() {
    let (arrived, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (come, left) = (arrived.clone(), gone.clone());
    let at = target(move |head, stream| {
        if head.starts_with("GET /stay") {
            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            return;
        }
        come.fetch_add(1, Ordering::SeqCst);
        if head.starts_with("GET /begun") {
            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbe");
        }
        if matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)) {
            left.fetch_add(1, Ordering::SeqCst);
        }
    });
    let world = before(at, "");
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = h2(world.at).await;
        let waits = tokio::spawn(client.send_request(get("/waits")));
        until("it has arrived", || arrived.load(Ordering::SeqCst) == 1).await;
        waits.abort();
        until("the call is given up", || gone.load(Ordering::SeqCst) == 1).await;
        let answer = client.send_request(get("/begun")).await.unwrap();
        drop(answer);
        until("the call is given up", || gone.load(Ordering::SeqCst) == 2).await;
        assert_eq!(client.send_request(get("/stay")).await.unwrap().status(), 200);
    });
    drop(runtime);
}

#[test]
fn the_deadline_is_told_to_a_stream_or_resets_it() {
    let at = target(|head, stream| {
        if head.starts_with("GET /begun") {
            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbe");
        }
        let _ = stream.read(&mut [0; 1]);
    });
    let world = before(at, ", deadline: 300ms");
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = h2(world.at).await;
        let answer = client.send_request(get("/silent")).await.unwrap();
        assert_eq!(answer.status(), 504);
        assert!(text(answer).await.contains("deadline-exceeded"));
        let answer = client.send_request(get("/begun")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap();
        assert!(body.is_err(), "half of it was taken for the whole");
    });
    drop(runtime);
}

/// A service that speaks HTTP/2 and whose answers never end.
async fn dripping(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = hyper::service::service_fn(async |_request| {
            let drops = stream::unfold((), async |()| {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"."))), ()))
            });
            Ok::<_, Infallible>(hyper::Response::new(StreamBody::new(drops).boxed_unsync()))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(server.serve_connection(TokioIo::new(stream), answer));
    }
}

#[test]
fn the_deadline_goes_with_a_request_whoever_carries_it() {
    let runtime = runtime();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: http://{at}, protocol: h2c }} }}\n\
         routes: [{{ name: all, path: /**, to: web, deadline: 300ms }}]\n"
    ));
    runtime.block_on(async {
        tokio::spawn(dripping(listener));
        let mut client = h2(world.at).await;
        let answer = client.send_request(get("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await;
        assert!(body.expect("it goes on beyond its deadline").is_err());
        // The same of a client that speaks HTTP/1.
        let at = world.at;
        let plain = tokio::task::spawn_blocking(move || {
            testkit::Client::to(at).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        });
        let answer =
            tokio::time::timeout(PATIENCE, plain).await.expect("it goes on beyond its deadline").unwrap();
        assert_eq!((answer.status, answer.header("x-truncated")), (200, "yes"));
    });
    drop(runtime);
}

/// Waits until it is so, while clients go on.
async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never: {what}");
}

#[test]
fn a_slow_reader_gets_a_long_answer_whole() {
    told(async |web, mut client| {
        let answer = client.send_request(get("/big/3000000")).await.unwrap();
        let mut body = answer.into_body();
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len();
            tokio::task::yield_now().await;
        }
        assert_eq!(read, 3_000_000);
        eventually("all of it was one call", || web.hits() == 1);
    });
}
