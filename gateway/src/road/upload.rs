//! The request's body on its way: read from the client inside its fence, counted, kept as far as another attempt may need
//! it, and written to the target behind the head, while somebody already waits for the answer.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, BytesMut};
use policies::guard::{BodyMeter, Chunks, Ended, Misfit, Piece};
use policies::resilience::repeat::{Replayable, Sent};
use policies::verdict::Fault;
use shell::exchange::Connection;
use shell::listen::{Conn, Fence};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Read at once.
const SCRATCH_BYTES: usize = 32 * 1024;
/// As long as so much waits to be written, no more is read.
const WAITING_MAX: usize = 64 * 1024;
/// Kept in any case: a connection that had rested may turn out to be dead.
const KEPT_AT_LEAST: u64 = 16 * 1024;

thread_local! {
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// A request's body.
pub struct Upload {
    framing: Framing,
    meter: Option<BodyMeter>,
    /// What was read so far, without chunk sizes; for another attempt.
    kept: BytesMut,
    keep_max: u64,
    lost: bool,
    /// What waits to be written: the head, and then the body as the target gets it.
    waiting: BytesMut,
    ended: bool,
    bytes: u64,
    /// Something of this attempt has left us.
    sent: Sent,
    /// The target takes no more. It may have answered all the same.
    refused: bool,
    wrong: Option<Wrong>,
    moved: Instant,
}

enum Framing {
    Length(u64),
    Chunked(Chunks),
}

/// Why a body cannot go on.
#[derive(Clone, Copy, Debug)]
pub enum Wrong {
    /// The client broke it off, or is too slow.
    Client(Fault),
    /// It is no body at all.
    Malformed,
    /// It is not what its head announced, or too large.
    Misfit(Misfit),
}

impl Upload {
    pub fn new(fence: Fence, meter: Option<BodyMeter>, keep_max: u64) -> Self {
        let framing = match fence {
            Fence::Chunked(chunks) => Framing::Chunked(chunks),
            Fence::Exactly(bytes) => Framing::Length(bytes),
            Fence::Open => Framing::Length(0),
        };
        let ended = matches!(framing, Framing::Length(0));
        Self {
            framing,
            meter,
            kept: BytesMut::new(),
            keep_max: keep_max.max(KEPT_AT_LEAST),
            lost: false,
            waiting: BytesMut::new(),
            ended,
            bytes: 0,
            sent: Sent::Nothing,
            refused: false,
            wrong: None,
            moved: Instant::now(),
        }
    }

    /// An attempt begins with this head, and with what was kept of the body.
    pub fn begin(&mut self, head: BytesMut) {
        self.waiting = head;
        self.sent = Sent::Nothing;
        self.refused = false;
        self.moved = Instant::now();
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            self.put(&kept);
            self.kept = kept;
        }
        if self.ended && matches!(self.framing, Framing::Chunked(_)) {
            self.waiting.put_slice(b"0\r\n\r\n");
        }
    }

    /// Is it still there, whole, for another attempt?
    pub fn replayable(&self) -> Replayable {
        if self.lost { Replayable::No } else { Replayable::Yes }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Has the client sent all it has to send?
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    pub fn moved(&self) -> Instant {
        self.moved
    }

    /// Is there anything left to do for it?
    pub fn is_going(&self) -> bool {
        !self.refused && self.wrong.is_none() && !(self.ended && self.waiting.is_empty())
    }

    /// What is wrong with it.
    pub fn wrong(&self) -> Option<Wrong> {
        self.wrong
    }

    /// May the connection be used after an answer of ours?
    pub fn connection(&self) -> Connection {
        if self.ended { Connection::Keep } else { Connection::Close }
    }

    /// Reads what there is and writes what can be written. It is woken when there is more; whoever waits for the answer
    /// polls it beside. Pending as long as it goes on.
    pub fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        conn: &mut Conn,
        target: &mut S,
    ) -> Poll<()> {
        loop {
            let mut read_more = false;
            if !self.ended && self.wrong.is_none() && self.waiting.len() < WAITING_MAX {
                read_more = self.poll_read(context, conn).is_ready();
            }
            if self.wrong.is_some() {
                return Poll::Ready(());
            }
            while !self.waiting.is_empty() {
                match Pin::new(&mut *target).poll_write(context, &self.waiting) {
                    Poll::Ready(Ok(written @ 1..)) => {
                        self.waiting.advance(written);
                        self.sent = Sent::Something;
                        self.moved = Instant::now();
                    }
                    Poll::Ready(Ok(0) | Err(_)) => {
                        self.refused = true;
                        return Poll::Ready(());
                    }
                    Poll::Pending => break,
                }
            }
            if self.waiting.is_empty() {
                if Pin::new(&mut *target).poll_flush(context).is_ready() && self.ended {
                    return Poll::Ready(());
                }
            } else if self.waiting.len() >= WAITING_MAX {
                return Poll::Pending;
            }
            if !read_more {
                return Poll::Pending;
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, conn: &mut Conn) -> Poll<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(conn).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    self.wrong = Some(match error.kind() {
                        io::ErrorKind::InvalidData => Wrong::Malformed,
                        io::ErrorKind::TimedOut => Wrong::Client(Fault::ClientTooSlow),
                        _ => Wrong::Client(Fault::ClientGone),
                    });
                }
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.wrong = Some(Wrong::Client(Fault::ClientGone));
                }
                Poll::Ready(Ok(())) => self.take(buffer.filled()),
            }
            Poll::Ready(())
        })
    }

    /// Takes what was read: all of it belongs to the body, the fence sees to that.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.wrong.is_none() {
            let (data, used) = match &mut self.framing {
                Framing::Length(left) => {
                    let some = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= some as u64;
                    self.ended = *left == 0;
                    (some, some)
                }
                Framing::Chunked(chunks) => match chunks.next(bytes) {
                    Ok(Piece::Data(some)) => (some, some),
                    Ok(Piece::Frame(some) | Piece::Trailers(some)) => {
                        self.ended = chunks.is_over();
                        (0, some)
                    }
                    Err(_) => {
                        self.wrong = Some(Wrong::Malformed);
                        return;
                    }
                },
            };
            if used == 0 {
                self.wrong = Some(Wrong::Malformed);
                return;
            }
            let (own, rest) = bytes.split_at(used);
            if data > 0 {
                self.count(data);
                self.keep(own);
                self.put(own);
            }
            bytes = rest;
        }
        if self.ended && self.wrong.is_none() {
            if let Some(meter) = &mut self.meter
                && let Err(misfit) = meter.end(Ended::Properly)
            {
                self.wrong = Some(Wrong::Misfit(misfit));
            }
            if matches!(self.framing, Framing::Chunked(_)) {
                self.waiting.put_slice(b"0\r\n\r\n");
            }
        }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(meter) = &mut self.meter
            && let Err(misfit) = meter.chunk(bytes)
        {
            self.wrong = Some(Wrong::Misfit(misfit));
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.lost || (self.kept.len() + bytes.len()) as u64 > self.keep_max {
            self.lost = true;
            self.kept = BytesMut::new();
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        match self.framing {
            Framing::Length(_) => self.waiting.extend_from_slice(bytes),
            Framing::Chunked(_) => chunk(&mut self.waiting, bytes),
        }
    }
}

/// Writes bytes as one chunk.
pub fn chunk(out: &mut BytesMut, bytes: &[u8]) {
    use std::io::Write;
    let mut size = [0_u8; 18];
    let mut rest = &mut size[..];
    let _ = write!(rest, "{:x}\r\n", bytes.len());
    let left = rest.len();
    let used = size.len() - left;
    out.put_slice(size.get(..used).unwrap_or_default());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}
