//! What goes on for longer than one answer, through two sidecars: gRPC with its trailers, WebSockets, streams of events.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::mesh::{ORDER, WEB, callee_speaking, caller};
use crate::world::{Authority, World, service};

type Frames = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A message as gRPC frames it.
fn message(text: &str) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

/// A gRPC service: says back what it was told, and how it ended, in trailers.
fn echoes() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(echo)));
            }
        });
    });
    at
}

async fn echo(request: Request<Incoming>) -> Result<Response<Frames>, Infallible> {
    if request.uri().path() == "/echo.Echo/Sleep" {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let fails = request.uri().path() == "/echo.Echo/Fail";
    let told = request.into_body().collect().await.unwrap().to_bytes();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if fails { "9" } else { "0" }));
    trailers.insert("grpc-message", HeaderValue::from_static("as it went"));
    let frames = vec![Ok(Frame::data(told)), Ok(Frame::data(message("bye"))), Ok(Frame::trailers(trailers))];
    let mut answer = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(answer)
}

/// One gRPC call: status, fields, body and trailers.
fn call(at: SocketAddr, path: &str, timeout: Option<&str>) -> (StatusCode, HeaderMap, Bytes, HeaderMap) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://order{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let request = request.body(Full::new(message("hello"))).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        (head.status, head.headers, body.to_bytes(), trailers)
    })
}

fn two(app: &str, protocol: &str, way: &str) -> (World, World) {
    let authority = Authority::new();
    let callee = callee_speaking(
        app,
        protocol,
        "{ mtls: strict, allow: ns/shop/sa/web }",
        &authority,
        ORDER,
        &authority.pem(),
    );
    let caller = caller(&callee, way, ORDER, &authority, WEB, &authority.pem());
    (callee, caller)
}

#[test]
fn a_grpc_call_brings_its_trailers_and_its_failures_in_its_own_words() {
    let app = echoes();
    let (callee, caller) = two(&format!("http://{app}"), "h2c", "http2");
    let at = caller.sidecar().reaches("order").unwrap();
    let (status, _, body, trailers) = call(at, "/echo.Echo/Say", None);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, [message("hello"), message("bye")].concat());
    assert_eq!(
        (&trailers["grpc-status"], &trailers["grpc-message"]),
        (&"0".parse().unwrap(), &"as it went".parse().unwrap())
    );
    let (status, _, _, trailers) = call(at, "/echo.Echo/Fail", None);
    assert_eq!(
        (status, &trailers["grpc-status"]),
        (StatusCode::OK, &"9".parse().unwrap()),
        "the app's own failure is its own"
    );
    let begun = std::time::Instant::now();
    let (status, headers, _, trailers) = call(at, "/echo.Echo/Sleep", Some("300m"));
    let told = headers.get("grpc-status").or(trailers.get("grpc-status")).cloned();
    assert_eq!((status, told), (StatusCode::OK, Some("4".parse().unwrap())), "DEADLINE_EXCEEDED");
    assert!(begun.elapsed() < Duration::from_secs(3));
    drop(callee);
    let (status, headers, _, _) = call(at, "/echo.Echo/Say", None);
    assert_eq!(
        (status, headers.get("grpc-status")),
        (StatusCode::OK, Some(&"14".parse().unwrap())),
        "UNAVAILABLE"
    );
}

#[test]
fn a_websocket_goes_through_both() {
    let app = service("app");
    let (_callee, caller) = two(&app.url(), "http1", "http1");
    let mut client = caller.to("order");
    let answer = client.send(
        "GET /ws HTTP/1.1\r\nHost: order\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(answer.status, 101, "{answer:?}");
    for size in [1, 1000, 100_000] {
        let word = vec![b'w'; size];
        client.write(&word);
        let mut back = vec![0; size];
        client.stream.read_exact(&mut back).unwrap();
        assert_eq!(back, word);
    }
}

#[test]
fn events_arrive_when_they_happen_and_not_at_the_end() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let (happens, told) = mpsc::channel::<&str>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .unwrap();
        for event in told {
            stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let (_callee, caller) = two(&format!("http://{at}"), "http1", "http2");
    let mut client = caller.to("order");
    client.write("GET /events HTTP/1.1\r\nHost: order\r\nAccept: text/event-stream\r\n\r\n");
    let answer = client.read(false);
    assert_eq!(answer.status, 200, "{answer:?}");
    for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
        happens.send(event).unwrap();
        let mut line = String::new();
        client.stream.read_line(&mut line).unwrap();
        assert_eq!(usize::from_str_radix(line.trim(), 16).unwrap(), event.len());
        let mut chunk = vec![0; event.len() + 2];
        client.stream.read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk[..event.len()], event.as_bytes());
    }
    drop(happens);
    let mut line = String::new();
    client.stream.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "0");
}
