//! One new connection to an endpoint: TCP, and TLS where the target wants it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use policies::document::target::Protocol;
use policies::verdict::Fault;
use shell::upstream::{Endpoints, Peer, Shape, dial};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::Loops;
use super::loops::Own;

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

/// A connection to an endpoint, known to be ours as long as it is open.
pub struct Stream {
    inner: shell::upstream::Stream,
    _own: Option<Own>,
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
            let noted = |near| loops.own(near);
            let (inner, own) = dial(&place.peer, &place.shape, place.within, noted).await?;
            Ok(Stream { inner, _own: own })
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
