//! Bytes both ways: what follows an upgrade, and connections that never were HTTP. Each way ends by itself, so that a peer
//! which has said all it had to say still hears the answer.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

/// Read at once, each way.
const BUFFER_BYTES: usize = 16 * 1024;

/// What was carried so far.
#[derive(Debug, Default)]
pub struct Carried {
    up: AtomicU64,
    down: AtomicU64,
}

impl Carried {
    /// Bytes to the target.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// So many have gone to the client by another way.
    pub fn came(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes to the client.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// Carries bytes both ways until both ends have ended, one has broken, or nothing was said for so long: nothing is kept for
/// ever, and who asks for an hour waits between one and two.
pub async fn carry<A, B>(client: &mut A, target: &mut B, silence: Duration, carried: &Carried)
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let mut client = Counted { stream: client, read: &carried.up };
    let mut target = Counted { stream: target, read: &carried.down };
    let carrying = copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER_BYTES, BUFFER_BYTES);
    let so_far = || (carried.up(), carried.down());
    let quiet = async {
        let mut before = None;
        while before != Some(so_far()) {
            before = Some(so_far());
            tokio::time::sleep(silence).await;
        }
    };
    tokio::select! {
        _ = carrying => {}
        () = quiet => {}
    }
}

/// A stream of which is counted what is read.
struct Counted<'a, S: ?Sized> {
    stream: &'a mut S,
    read: &'a AtomicU64,
}

impl<S: AsyncRead + Unpin + ?Sized> AsyncRead for Counted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.stream).poll_read(context, buffer))?;
        self.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin + ?Sized> AsyncWrite for Counted<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A tunnel between these, and what it has carried when it ends.
    async fn carried(mut client: DuplexStream, mut target: DuplexStream) -> (u64, u64) {
        let carried = Carried::default();
        carry(&mut client, &mut target, HOUR, &carried).await;
        (carried.up(), carried.down())
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_ends_by_itself_and_what_went_is_counted() {
        let (mut caller, client) = duplex(64);
        let (target, mut service) = duplex(64);
        let carried = tokio::spawn(carried(client, target));
        caller.write_all(b"all I have to say").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut heard = String::new();
        service.read_to_string(&mut heard).await.unwrap();
        service.write_all(b"and the answer").await.unwrap();
        drop(service);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert_eq!((heard.as_str(), answer.as_str()), ("all I have to say", "and the answer"));
        assert_eq!(carried.await.unwrap(), (17, 14));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_one_is_kept_for_long_but_not_for_ever() {
        let (mut caller, client) = duplex(64);
        let (target, mut service) = duplex(64);
        let carried = tokio::spawn(carried(client, target));
        for _ in 0..5 {
            tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
            caller.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            service.read_exact(&mut heard).await.unwrap();
        }
        let before = tokio::time::Instant::now();
        assert_eq!(carried.await.unwrap(), (20, 0));
        assert!(before.elapsed() <= 2 * HOUR, "{:?}", before.elapsed());
    }
}
