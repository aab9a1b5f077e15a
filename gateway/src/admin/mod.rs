//! What an operator looks at: its own listener, on loopback unless told otherwise. Reading is free; changes need the token.
//!
//! Browsers are kept out of what is not theirs: a page that makes a name point here (DNS rebinding) is refused by its Host, a
//! page that posts from elsewhere by its Origin, and nothing changes by a GET. Read [`Admin`].

mod gate;
mod pages;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use gate::Gate;
pub use pages::Hooks;

use pages::Page;

/// Connections at once.
const CONNECTIONS_MAX: usize = 64;
/// A request's head and its body may take this long each.
const WITHIN: Duration = Duration::from_secs(10);
/// The largest body.
const BODY_MAX: usize = 64 * 1024;

/// The admin pages of a gateway.
pub struct Admin {
    /// Who may do what.
    pub gate: Gate,
    /// What is shown, and what can be done.
    pub hooks: Hooks,
}

impl Admin {
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
                let answer = service_fn(|request| {
                    let admin = admin.clone();
                    async move { Ok::<_, Infallible>(admin.answer(request).await) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(WITHIN).max_buf_size(BODY_MAX);
                // A client that breaks off is no news.
                let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                drop(permit);
            });
        }
    }

    async fn answer(&self, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let page = match self.gate.admits(&head) {
            Err(refused) => refused,
            Ok(()) => {
                let body = tokio::time::timeout(WITHIN, Limited::new(body, BODY_MAX).collect()).await;
                match body {
                    Ok(Ok(body)) => pages::page(&self.hooks, &head, &body.to_bytes()).await,
                    Ok(Err(_)) | Err(_) => Page::text(pages::BAD, "the body is too large, or did not come\n"),
                }
            }
        };
        written(page)
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
