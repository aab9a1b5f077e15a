//! The byte streams a connection can be: plain, or with TLS around it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use policies::guard::Looks;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A plain socket.
#[derive(Debug)]
pub enum Plain {
    /// Over the network.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
}

/// A plain socket of which something has been read already: what stood behind a PROXY header.
#[derive(Debug)]
pub struct Begun {
    plain: Plain,
    ahead: BytesMut,
}

/// What a connection runs over.
#[derive(Debug)]
pub enum Transport {
    /// Nothing around it.
    Plain(Begun),
    /// TLS. Boxed, since its state is a kilobyte.
    Tls(Box<TlsStream<Begun>>),
}

impl Transport {
    /// What the other end sees if this is dropped without being closed: an error, or an end like any other.
    pub fn dropped_as(&self, dropped: Dropped) {
        let begun = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        };
        // Of a Unix socket nobody can be told.
        if let Plain::Tcp(stream) = &begun.plain {
            let linger = (dropped == Dropped::Error).then_some(Duration::ZERO);
            let _ = socket2::SockRef::from(stream).set_linger(linger);
        }
    }
}

/// What the other end of a connection sees when it is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dropped {
    /// An end like any other.
    End,
    /// An error.
    Error,
}

impl Begun {
    /// The socket, and what was read from it.
    pub fn new(plain: Plain, ahead: BytesMut) -> Self {
        Self { plain, ahead }
    }

    /// What the first bytes look like, which stay where they are. Who says nothing in time has said nothing we know.
    pub async fn look(&mut self, within: Duration) -> Looks {
        let looking = async {
            loop {
                let looks = Looks::of(&self.ahead);
                if looks != Looks::Unclear {
                    return looks;
                }
                let mut more = [0; 1024];
                match self.plain.read(&mut more).await {
                    Ok(read @ 1..) => self.ahead.extend_from_slice(more.get(..read).unwrap_or_default()),
                    Ok(0) | Err(_) => return Looks::Opaque,
                }
            }
        };
        tokio::time::timeout(within, looking).await.unwrap_or(Looks::Opaque)
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $call,
            Self::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(context))
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.plain).poll_read(context, buffer);
        }
        let taken = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..taken).unwrap_or_default());
        self.ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.plain).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.plain).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.plain).poll_shutdown(context)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
