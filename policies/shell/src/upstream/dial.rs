//! One new connection to an endpoint: TCP, and TLS where the target wants it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use policies::verdict::Fault;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Peer, Shape};

/// A dead peer is found out by the kernel within half a minute, request or no request.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMES: u32 = 3;
const UNANSWERED_MAX: Duration = Duration::from_secs(30);

/// A connection to an endpoint.
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects. What `noted` makes of the near end, before a byte is sent, comes back with the stream.
pub async fn dial<T>(
    peer: &Peer,
    shape: &Shape,
    within: Duration,
    noted: impl FnOnce(SocketAddr) -> T,
) -> Result<(Stream, Option<T>), Fault> {
    let dialled = tokio::time::timeout(within, connect(peer, shape, noted)).await;
    dialled.unwrap_or(Err(Fault::ConnectTimeout))
}

async fn connect<T>(
    peer: &Peer,
    shape: &Shape,
    noted: impl FnOnce(SocketAddr) -> T,
) -> Result<(Stream, Option<T>), Fault> {
    let unreachable = |error: io::Error| {
        log::debug!(target: "banyan", "cannot connect to {}: {error}", peer.address);
        Fault::ConnectFailed
    };
    let stream = TcpStream::connect(peer.address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TIMES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive).map_err(unreachable)?;
    socket.set_tcp_user_timeout(Some(UNANSWERED_MAX)).map_err(unreachable)?;
    let near = stream.local_addr().ok().map(noted);
    let Some(material) = &shape.material else { return Ok((Stream::Plain(stream), near)) };
    let name = material.server_name(&peer.host).ok_or(Fault::TlsFailed)?;
    match TlsConnector::from(material.client.clone()).connect(name, stream).await {
        Ok(stream) => Ok((Stream::Tls(Box::new(stream)), near)),
        Err(error) => {
            log::warn!(target: "banyan", "TLS with {} ({}): {error}", peer.address, peer.host);
            Err(Fault::TlsFailed)
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Plain($stream) => $call,
            Self::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
