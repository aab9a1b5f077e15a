//! The connection as a stream: reads inside the fence, gathered writes, a time-out for a client that is too slow.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Conn, GATHER_BYTES, Way};

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
        if inner.fence.is_reached() {
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
            return Poll::Ready(Ok(inner.gather(bytes)));
        }
        ready!(inner.poll_gathered(context))?;
        if bytes.len() <= GATHER_BYTES {
            return Poll::Ready(Ok(inner.gather(bytes)));
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
