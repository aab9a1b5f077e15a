//! One request of our own: a health probe, a fetch of keys. A connection for each, bounded in time and bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What to call, and how.
pub struct Calling<'a> {
    /// Where.
    pub address: SocketAddr,
    /// TLS, if it is spoken there, and the name the certificate must be for.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// HTTP/2 rather than HTTP/1.1.
    pub http2: bool,
    /// The Host.
    pub host: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// How long all of it may take.
    pub within: Duration,
    /// How large the answer may be.
    pub bytes_max: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum CallFailed {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is larger than {0} bytes, or broke off")]
    Large(usize),
    #[error("not in time")]
    Late,
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
}

/// Status, fields and body of an answer.
pub type Called = (u16, HeaderMap, Bytes);

/// A GET.
pub async fn call(calling: Calling<'_>) -> Result<Called, CallFailed> {
    let within = calling.within;
    tokio::time::timeout(within, go(calling)).await.unwrap_or(Err(CallFailed::Late))
}

async fn go(calling: Calling<'_>) -> Result<Called, CallFailed> {
    let stream = TcpStream::connect(calling.address).await.map_err(CallFailed::Connect)?;
    stream.set_nodelay(true).map_err(CallFailed::Connect)?;
    match calling.tls.clone() {
        None => ask(stream, &calling).await,
        Some((config, name)) => {
            let stream =
                TlsConnector::from(config).connect(name, stream).await.map_err(CallFailed::Connect)?;
            ask(stream, &calling).await
        }
    }
}

async fn ask<S>(stream: S, calling: &Calling<'_>) -> Result<Called, CallFailed>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(stream);
    let answer = if calling.http2 {
        let scheme = if calling.tls.is_some() { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", calling.host, calling.path);
        let request = Request::get(uri).header("user-agent", AGENT).body(Empty::<Bytes>::new())?;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        let running = Running(tokio::spawn(connection).abort_handle());
        let answer = sender.send_request(request).await?;
        return read(answer, calling.bytes_max, running).await;
    } else {
        let request = Request::get(calling.path).header("host", calling.host).header("user-agent", AGENT);
        let request = request.header("connection", "close").body(Empty::<Bytes>::new())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        let running = Running(tokio::spawn(connection).abort_handle());
        (sender.send_request(request).await?, running)
    };
    read(answer.0, calling.bytes_max, answer.1).await
}

const AGENT: &str = concat!("banyan/", env!("CARGO_PKG_VERSION"));

/// The task that drives a connection; it ends with the call.
struct Running(tokio::task::AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read(
    answer: http::Response<hyper::body::Incoming>,
    bytes_max: usize,
    _running: Running,
) -> Result<Called, CallFailed> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|_| CallFailed::Large(bytes_max))?;
    Ok((head.status.as_u16(), head.headers, body.to_bytes()))
}
