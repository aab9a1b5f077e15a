//! The connection in the shape Pingora takes: a stream that can be read, written, closed, named and looked into.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{Conn, Fence, GATHER_BYTES, Way};

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Ok(())) };
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if inner.fence == Fence::Exactly(0) {
            return inner.poll_beyond(context);
        }
        match inner.poll_inside(context, buffer) {
            Poll::Pending => inner.poll_slow(context, Way::In).map(Err),
            ready => ready,
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        inner.answer_begun = true;
        if inner.gathered.len() + bytes.len() <= GATHER_BYTES {
            inner.gathered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(inner.poll_gathered(context))?;
        if bytes.len() <= GATHER_BYTES {
            inner.gathered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut inner.transport).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => {
                inner.passed(written);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => inner.poll_slow(context, Way::Out).map(Err),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Ok(())) };
        ready!(inner.poll_gathered(context))?;
        Pin::new(&mut inner.transport).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(inner) = self.inner.as_mut() else { return Poll::Ready(Ok(())) };
        ready!(inner.poll_gathered(context))?;
        // A lent connection is closed by its owner, who knows how.
        if self.loan.is_some() { Poll::Ready(Ok(())) } else { self.poll_shut(context) }
    }
}

impl Conn {
    fn poll_shut(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.inner.as_mut() {
            Some(inner) => Pin::new(&mut inner.transport).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[async_trait]
impl Shutdown for Conn {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Conn {
    fn id(&self) -> UniqueIDType {
        self.facts().map_or(0, |facts| i32::try_from(facts.number & 0x7fff_ffff).unwrap_or_default())
    }
}

impl Ssl for Conn {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.as_ref()?.ssl.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.facts().filter(|facts| facts.speaks_h2).map(|_| ALPN::H2)
    }
}

impl GetTimingDigest for Conn {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Conn {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.as_ref().map(|inner| inner.digest.clone())
    }
}

impl GetSocketDigest for Conn {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[async_trait]
impl Peek for Conn {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let ahead = self.inner.as_ref().and_then(|inner| inner.ahead.get(..buffer.len()));
        if let Some(ahead) = ahead {
            buffer.copy_from_slice(ahead);
        }
        Ok(ahead.is_some())
    }
}
