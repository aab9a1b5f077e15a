//! Bytes both ways: what follows an upgrade, and connections that never were HTTP. Each way ends by itself, so that a peer
//! which has said all it had to say still hears the answer.

use std::io;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use shell::exchange::{Exchange, Part};
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

/// Read at once, each way.
const BUFFER_BYTES: usize = 16 * 1024;

/// An upgrade that was granted: the target's end of it, and the request it belongs to.
pub struct Tunnel {
    target: OnUpgrade,
    exchange: Box<Exchange>,
}

impl Tunnel {
    /// The target has said yes.
    pub fn new(target: OnUpgrade, exchange: Box<Exchange>) -> Self {
        Self { target, exchange }
    }

    /// Carries bytes until both ends have ended.
    pub async fn run(mut self, mut client: impl AsyncRead + AsyncWrite + Unpin) {
        let Ok(target) = self.target.await else { return };
        let (up, down) = carry(&mut client, &mut TokioIo::new(target)).await;
        let count = |bytes: u64| Part { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), last: true };
        // A tunnel's bytes are counted and never judged.
        let _ = self.exchange.request_chunk(count(up));
        let _ = self.exchange.answer_chunk(count(down), &[]);
        self.exchange.close();
    }
}

/// Carries bytes both ways; how many, up and down. An end that breaks ends both.
pub async fn carry<A, B>(client: &mut A, target: &mut B) -> (u64, u64)
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let carried: io::Result<_> =
        copy_bidirectional_with_sizes(client, target, BUFFER_BYTES, BUFFER_BYTES).await;
    carried.unwrap_or_default()
}
