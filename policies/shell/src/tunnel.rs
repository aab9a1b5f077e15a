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

/// What was carried, whatever ended it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Carried {
    /// Bytes to the target.
    pub up: u64,
    /// Bytes to the client.
    pub down: u64,
}

/// Carries bytes both ways until both ends have ended, one has broken, or nothing was said for so long: nothing is kept for
/// ever, and who asks for an hour waits between one and two.
pub async fn carry<A, B>(client: &mut A, target: &mut B, silence: Duration) -> Carried
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
    let so_far = || Carried { up: up.load(Ordering::Relaxed), down: down.load(Ordering::Relaxed) };
    let mut client = Counted { stream: client, read: &up };
    let mut target = Counted { stream: target, read: &down };
    let carried = copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER_BYTES, BUFFER_BYTES);
    let quiet = async {
        let mut before = None;
        while before != Some(so_far()) {
            before = Some(so_far());
            tokio::time::sleep(silence).await;
        }
    };
    tokio::select! {
        _ = carried => {}
        () = quiet => {}
    }
    so_far()
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test(start_paused = true)]
    async fn each_way_ends_by_itself_and_what_went_is_counted() {
        let (mut caller, mut client) = duplex(64);
        let (mut target, mut service) = duplex(64);
        let carried = tokio::spawn(async move { carry(&mut client, &mut target, HOUR).await });
        caller.write_all(b"all I have to say").await.unwrap();
        caller.shutdown().await.unwrap();
        let mut heard = String::new();
        service.read_to_string(&mut heard).await.unwrap();
        service.write_all(b"and the answer").await.unwrap();
        drop(service);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.unwrap();
        assert_eq!((heard.as_str(), answer.as_str()), ("all I have to say", "and the answer"));
        assert_eq!(carried.await.unwrap(), Carried { up: 17, down: 14 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_one_is_kept_for_long_but_not_for_ever() {
        let (mut caller, mut client) = duplex(64);
        let (mut target, mut service) = duplex(64);
        let carried = tokio::spawn(async move { carry(&mut client, &mut target, HOUR).await });
        for _ in 0..5 {
            tokio::time::sleep(HOUR - Duration::from_secs(1)).await;
            caller.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            service.read_exact(&mut heard).await.unwrap();
        }
        let before = tokio::time::Instant::now();
        assert_eq!(carried.await.unwrap(), Carried { up: 20, down: 0 });
        assert!(before.elapsed() <= 2 * HOUR, "{:?}", before.elapsed());
    }
}
