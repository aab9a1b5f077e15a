//! A connection lent to hyper for one request. Hyper is told nothing of it; what tells us that the answer has left, and the
//! connection can be taken back, is the flush after the end of its body.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use shell::listen::Conn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tunnel::Tunnel;

/// The connection as hyper has it.
#[derive(Debug)]
pub struct Lent {
    /// The connection itself.
    pub conn: Conn,
    progress: Arc<Progress>,
}

/// How far the answer to a lent connection's request has come.
#[derive(Default)]
pub struct Progress {
    given: AtomicBool,
    left: AtomicBool,
    tunnel: Mutex<Option<Tunnel>>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Progress {
    /// The end of the answer has been given to hyper.
    pub fn given(&self) {
        self.given.store(true, Ordering::Relaxed);
    }

    /// Has all of it left us?
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// What follows the answer is a tunnel.
    pub fn becomes(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// The tunnel that follows, if one does.
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Lent {
    /// Lends it.
    pub fn new(conn: Conn, progress: Arc<Progress>) -> Self {
        Self { conn, progress }
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn).poll_read(context, buffer)
    }
}

impl AsyncWrite for Lent {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.conn).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.conn).poll_flush(context))?;
        if self.progress.given.load(Ordering::Relaxed) {
            self.progress.left.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Its owner closes it, who knows how.
        Pin::new(&mut self.conn).poll_flush(context)
    }
}
