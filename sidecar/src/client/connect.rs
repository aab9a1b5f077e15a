//! One new connection to an endpoint: TCP, and TLS where the target wants it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use policies::document::target::Protocol;
use policies::verdict::Fault;
use shell::upstream::{Endpoints, Peer, Shape};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::Loops;
use super::loops::Own;

/// A dead peer is found out by the kernel within half a minute, request or no request.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMES: u32 = 3;
const UNANSWERED_MAX: Duration = Duration::from_secs(30);

/// Where to, and how.
#[derive(Clone)]
pub struct Place {
    /// Where, and the host it was found under: the name its certificate is for, unless the target says another.
    pub peer: Arc<Peer>,
    /// How connections to it are made.
    pub shape: Arc<Shape>,
    /// How long all of it may take.
    pub within: Duration,
}

impl Place {
    /// One endpoint of a target.
    pub fn of(endpoints: &Endpoints, index: usize, within: Duration) -> Option<Self> {
        Some(Self { peer: endpoints.peer(index)?.clone(), shape: endpoints.shape.clone(), within })
    }

    /// An address nobody declared.
    pub fn undeclared(address: SocketAddr, protocol: Protocol, within: Duration) -> Self {
        let shape = Arc::new(Shape::bare(protocol));
        let peer = Arc::new(Peer { address, host: String::new(), print: shape.print });
        Self { peer, shape, within }
    }
}

/// A connection to an endpoint.
pub struct Stream {
    kind: Kind,
    _own: Option<Own>,
}

enum Kind {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Makes connections.
#[derive(Clone)]
pub struct Connector {
    /// Knows which connections are ours.
    pub loops: Arc<Loops>,
}

impl Service<Place> for Connector {
    type Response = Stream;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Fault>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, place: Place) -> Self::Future {
        let loops = self.loops.clone();
        Box::pin(async move {
            let connecting = connect(&place, loops);
            tokio::time::timeout(place.within, connecting).await.unwrap_or(Err(Fault::ConnectTimeout))
        })
    }
}

async fn connect(place: &Place, loops: Arc<Loops>) -> Result<Stream, Fault> {
    let unreachable = |error: io::Error| {
        log::debug!(target: "banyan", "cannot connect to {}: {error}", place.peer.address);
        Fault::ConnectFailed
    };
    let stream = TcpStream::connect(place.peer.address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TIMES);
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&keepalive).map_err(unreachable)?;
    socket.set_tcp_user_timeout(Some(UNANSWERED_MAX)).map_err(unreachable)?;
    let own = stream.local_addr().ok().map(|near| loops.own(near));
    let Some(material) = &place.shape.material else {
        return Ok(Stream { kind: Kind::Plain(stream), _own: own });
    };
    let name = material.server_name(&place.peer.host).ok_or(Fault::TlsFailed)?;
    match TlsConnector::from(material.client.clone()).connect(name, stream).await {
        Ok(stream) => Ok(Stream { kind: Kind::Tls(Box::new(stream)), _own: own }),
        Err(error) => {
            log::warn!(target: "banyan", "TLS with {} ({}): {error}", place.peer.address, place.peer.host);
            Err(Fault::TlsFailed)
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().kind {
            Kind::Plain($stream) => $call,
            Kind::Tls($stream) => $call,
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
        match &self.kind {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}
