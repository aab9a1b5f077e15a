//! What an operator looks at: its own listener, on loopback unless told otherwise. Reading is free; changes need the token.
//!
//! Browsers are kept out of what is not theirs: a page that makes a name point here (DNS rebinding) is refused by its Host, a
//! page that posts from elsewhere by its Origin, and nothing changes by a GET. Read [`Admin`].

mod gate;
mod pages;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use gate::Gate;
pub use pages::Hooks;

use pages::Page;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// A request's head and its body may take this long each.
const WITHIN: Duration = Duration::from_secs(10);
/// A connection, which is one request, may take this long in all: a client that does not read its answer holds no place.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);
/// The largest body.
const BODY_MAX: usize = 64 * 1024;

/// The admin pages of a gateway.
pub struct Admin {
    /// Who may do what.
    pub gate: Gate,
    /// What is shown, and what can be done.
    pub hooks: Hooks,
    /// To explain is to compile the document anew: one at a time.
    explaining: Arc<Semaphore>,
}

impl Admin {
    /// Pages behind this gate.
    pub fn new(gate: Gate, hooks: Hooks) -> Self {
        Self { gate, hooks, explaining: Arc::new(Semaphore::new(1)) }
    }

    /// Answers on this listener until the task is dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                admin.converse(stream, WHOLE_WITHIN).await;
                drop(permit);
            });
        }
    }

    /// One request and its answer.
    async fn converse(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, within: Duration) {
        let answer = service_fn(|request| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(request).await) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(WITHIN).max_buf_size(BODY_MAX).keep_alive(false);
        // A client that breaks off, or never reads, is no news.
        let _ = tokio::time::timeout(within, server.serve_connection(TokioIo::new(stream), answer)).await;
    }

    async fn answer(self: Arc<Self>, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let page = match self.gate.admits(&head) {
            Err(refused) => refused,
            Ok(()) => {
                let body = tokio::time::timeout(WITHIN, Limited::new(body, BODY_MAX).collect()).await;
                match body {
                    Ok(Ok(body)) => self.page(head, body.to_bytes()).await,
                    Ok(Err(_)) | Err(_) => Page::text(pages::BAD, "the body is too large, or did not come\n"),
                }
            }
        };
        written(page)
    }

    /// Off the house's own thread, where health, names and the store wait for their turn.
    async fn page(self: Arc<Self>, head: Parts, body: Bytes) -> Page {
        // Waited for here and not on a thread, so that who goes away meanwhile leaves the queue.
        let turn = match head.uri.path() {
            "/explain" => self.explaining.clone().acquire_owned().await.ok(),
            _ => None,
        };
        let page = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            pages::page(&self.hooks, &head, &body)
        });
        page.await.unwrap_or_else(|_| Page::text(pages::BROKEN, "this page broke; the log says where\n"))
    }
}

fn written(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    if let Ok(status) = page.status.try_into() {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
