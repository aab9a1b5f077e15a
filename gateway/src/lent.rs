//! A connection lent to Pingora, in the shape it takes: a stream that can be closed, named and looked into.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use policies::request::Secure;
use shell::listen::{Conn, Facts};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A connection as Pingora has it.
#[derive(Debug)]
pub struct Lent {
    conn: Conn,
    digests: Option<Arc<Digests>>,
    sends: Sends,
}

/// When what was written leaves.
#[derive(Debug)]
enum Sends {
    /// When it is flushed.
    Flushed,
    /// When its task has its next turn: answers that are ready side by side leave together.
    NextTurn(Unsent),
}

/// What waits for the next turn.
#[derive(Debug)]
enum Unsent {
    Nothing,
    /// Something that the socket has not been asked to take.
    Written,
    /// Something that it does not take for the moment. It wakes the task when it does.
    Stuck,
}

/// What Pingora asks of a connection, made once for all its requests.
struct Digests {
    proxy: Option<Arc<ProxyDigest>>,
    ssl: Option<Arc<SslDigest>>,
}

impl std::fmt::Debug for Digests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digests").finish_non_exhaustive()
    }
}

impl Lent {
    /// This connection.
    pub fn new(mut conn: Conn) -> Self {
        let digests = conn.keepsake(|facts| Arc::new(Digests::of(facts)));
        let digests = digests.and_then(|digests| digests.downcast().ok());
        Self { conn, digests, sends: Sends::Flushed }
    }

    /// This connection, with many streams. What frames them flushes after nearly every answer, and its task is woken by each
    /// of them: to send only when it has its next turn saves most of the writes, and of the records where there is TLS.
    ///
    /// Each of its turns has to begin with reading, as those of `h2` do.
    pub fn with_streams(conn: Conn) -> Self {
        Self { sends: Sends::NextTurn(Unsent::Nothing), ..Self::new(conn) }
    }

    /// The connection again.
    pub fn returned(self) -> Conn {
        self.conn.returned()
    }
}

impl Digests {
    fn of(facts: &Arc<Facts>) -> Self {
        let user_data = Some(Box::new(facts.clone()) as _);
        let proxy = |response| Arc::new(ProxyDigest { response: Box::new(response), user_data });
        let proxy = ResponseHeader::build(200, None).ok().map(proxy);
        let tls = facts.peer.secure == Secure::Tls;
        let ssl = tls.then(|| Arc::new(SslDigest::new("", "TLS", None, None, Vec::new())));
        Self { proxy, ssl }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { conn, sends, .. } = &mut *self;
        if let Sends::NextTurn(unsent @ (Unsent::Written | Unsent::Stuck)) = sends {
            *unsent = match Pin::new(&mut *conn).poll_flush(context)? {
                Poll::Ready(()) => Unsent::Nothing,
                Poll::Pending => Unsent::Stuck,
            };
        }
        Pin::new(conn).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.conn).poll_write(context, bytes))?;
        if let Sends::NextTurn(unsent) = &mut self.sends {
            *unsent = Unsent::Written;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.sends {
            Sends::Flushed => return Pin::new(&mut self.conn).poll_flush(context),
            Sends::NextTurn(Unsent::Written) => context.waker().wake_by_ref(),
            Sends::NextTurn(Unsent::Nothing | Unsent::Stuck) => {}
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Lent {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Lent {
    fn id(&self) -> UniqueIDType {
        self.conn.facts().map_or(0, |facts| i32::try_from(facts.number & 0x7fff_ffff).unwrap_or_default())
    }
}

impl Ssl for Lent {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.digests.as_ref()?.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.conn.facts().filter(|facts| facts.speaks_h2).map(|_| ALPN::H2)
    }
}

impl GetTimingDigest for Lent {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Lent {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digests.as_ref()?.proxy.clone()
    }
}

impl GetSocketDigest for Lent {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for Lent {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let ahead = self.conn.ahead(buffer.len());
        if let Some(ahead) = ahead {
            buffer.copy_from_slice(ahead);
        }
        Ok(ahead.is_some())
    }
}
