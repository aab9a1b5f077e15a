//! The ways in: PROXY headers, Unix sockets; and HTTP/2 with gRPC behind it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use shell::listen::ListenAt;
use shell::telemetry::LogTo;
use tokio::net::TcpListener;

use crate::streams::{h2, runtime};
use crate::world::{Client, eventually, service, world, world_with};

#[test]
fn a_balancer_says_who_the_client_is_in_either_version_and_must_say_it() {
    let web = service("web");
    let world = world_with(
        &format!(
            "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
            web.url()
        ),
        |settings| settings.proxy_protocol_from = vec!["127.0.0.0/8".parse().unwrap()],
    );
    let request = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = world.connect();
    let answer = client.send(&format!("PROXY TCP4 203.0.113.9 10.0.0.1 5555 80\r\n{request}"));
    assert!(answer.body.contains("x-forwarded-for: 203.0.113.9"), "{answer:?}");
    assert_eq!(client.send(request).status, 200, "once for each connection");
    let mut two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    two.extend([203, 0, 113, 10, 10, 0, 0, 1, 0, 1, 0, 80]);
    two.extend(request.as_bytes());
    let mut client = world.connect();
    client.write(two);
    let answer = client.read(true);
    assert!(answer.body.contains("x-forwarded-for: 203.0.113.10"), "{answer:?}");
    assert_eq!(world.send(request).status, 0, "without the header the connection is closed");
}

#[test]
fn a_unix_socket_is_a_way_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    let at = path.clone();
    let _world = world_with(
        "version: 1\nroutes: [{ name: all, path: /**, answer: { status: 200, body: here } }]\n",
        |settings| settings.listen = vec![ListenAt::Unix(at)],
    );
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("here"), "{answer}");
}

/// A gRPC service: answers with a message and trailers.
async fn grpc_service(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let answer =
                hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                    let code = request.uri().path().rsplit('/').next().unwrap_or("0").to_owned();
                    let seen = request.headers().get("grpc-timeout").cloned();
                    let _ = request.into_body().collect().await;
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", code.parse().unwrap());
                    let frames = [
                        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"\0\0\0\0\x02hi"))),
                        Ok(Frame::trailers(trailers)),
                    ];
                    let body = StreamBody::new(futures_util::stream::iter(frames));
                    let mut answer = hyper::Response::builder().header("content-type", "application/grpc");
                    if let Some(seen) = seen {
                        answer = answer.header("seen-timeout", seen);
                    }
                    answer.body(body)
                });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn call(path: &str) -> hyper::Request<Full<Bytes>> {
    hyper::Request::post(format!("http://shop.example{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "2S")
        .body(Full::new(Bytes::from_static(b"\0\0\0\0\x02hi")))
        .unwrap()
}

#[test]
fn grpc_passes_with_its_trailers_and_is_refused_in_its_own_words() {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let world = world(&format!(
        "version: 1\ntargets: {{ shop: {{ url: http://{at}, protocol: h2c }} }}\n\
         routes:\n  - {{ name: all, path: /shop/**, to: shop, grpc: true }}\n"
    ));
    runtime.block_on(async {
        tokio::spawn(grpc_service(listener));
        let mut client = h2(world.at).await;
        for code in ["0", "5"] {
            let answer = client.send_request(call(&format!("/shop/{code}"))).await.unwrap();
            let timeout = answer.headers().get("seen-timeout").unwrap().to_str().unwrap().to_owned();
            assert!(
                timeout.ends_with('m') || timeout.ends_with('u') || timeout.ends_with('n'),
                "less than 2 s: {timeout}"
            );
            let body = answer.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], code);
        }
        let refused = client.send_request(call("/nowhere")).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["grpc-status"]),
            (200, &http::HeaderValue::from(12))
        );
    });
    // The client takes its leave: one that is merely forgotten keeps the gateway until the drain limit.
    drop(runtime);
}

#[test]
fn http2_without_tls_serves_many_streams_and_is_told_when_the_gateway_goes() {
    let web = service("web");
    let mut world = world(&format!(
        "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
        web.url()
    ));
    let gateway = world.gateway.take().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let client = h2(world.at).await;
        let get = |path: String| {
            hyper::Request::get(format!("http://shop.example{path}")).body(Full::new(Bytes::new())).unwrap()
        };
        let each = (0..50).map(|n| {
            let mut client = client.clone();
            let request = get(format!("/echo/{n}"));
            async move {
                let answer = client.send_request(request).await.unwrap();
                String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
            }
        });
        for (n, body) in futures_util::future::join_all(each).await.into_iter().enumerate() {
            assert!(body.contains(&format!("GET /echo/{n} HTTP/1.1")), "{body}");
        }
        let mut last = client.clone();
        let slow = tokio::spawn(last.send_request(get("/slow/400".into())));
        while web.hits() < 51 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.drain();
        assert_eq!(slow.await.unwrap().unwrap().status().as_u16(), 200, "what is in flight is answered");
    });
    gateway.wait();
}

#[test]
fn a_tunnel_goes_on_until_the_drain_limit() {
    let web = service("web");
    let folder = tempfile::tempdir().unwrap();
    let (log, to) = (folder.path().join("access.log"), LogTo::File(folder.path().join("access.log")));
    let mut world = world_with(
        &format!(
            "version: 1\ntargets: {{ web: {{ url: {} }} }}\nroutes: [{{ name: all, path: /**, to: web }}]\n",
            web.url()
        ),
        |settings| {
            settings.drain_limit = "2s".parse().unwrap();
            settings.house.access_log = to;
        },
    );
    let mut client = world.connect();
    client.write(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.read(false).status, 101);
    let gateway = world.gateway.take().unwrap();
    gateway.drain();
    client.write("still here");
    let mut back = [0; 10];
    client.stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still here");
    gateway.wait();
    eventually("it has ended", || client.is_closed());
    let log = std::fs::read_to_string(log).unwrap();
    for told in ["\"status\":101", "\"bytes_in\":10", "\"bytes_out\":10", "\"first_byte_ms\":"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    assert!(Client::to_if(world.at).is_none());
}
