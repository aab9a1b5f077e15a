//! The request's body on its way: read from the client inside its fence, counted, kept as far as another attempt may need
//! it, and written to the target behind the head, while somebody already waits for the answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, BytesMut};
use policies::guard::{Body, BodyMeter, Ended, Misfit};
use policies::resilience::repeat::{Replayable, Sent};
use policies::verdict::Fault;
use shell::exchange::Connection;
use tokio::io::AsyncWrite;

use super::buffers::Buffer;
use super::client::{Client, Read, chunk};
use super::tee::Tee;

/// As long as so much waits to be written, no more is read.
const WAITING_MAX: usize = 64 * 1024;
/// Kept in any case: a connection that had rested may turn out to be dead.
const KEPT_AT_LEAST: u64 = 16 * 1024;

/// A request's body.
pub struct Upload {
    framing: Framing,
    meter: Option<BodyMeter>,
    /// What was read so far, without chunk sizes; for another attempt.
    kept: BytesMut,
    keep_max: u64,
    lost: bool,
    /// What waits to be written: the head, and then the body as the target gets it.
    waiting: Buffer,
    ended: bool,
    bytes: u64,
    /// Something of this attempt has left us.
    sent: Sent,
    /// The target takes no more. It may have answered all the same.
    refused: bool,
    wrong: Option<Wrong>,
    /// Something was written that may still lie in a buffer of the stream's own, as TLS has one.
    unflushed: bool,
    /// The target has taken some of it since somebody asked.
    moved: bool,
    /// Somebody wants to see it, too, and the answer.
    pub copy: Option<Tee>,
}

/// How the target gets it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Framing {
    AsItIs,
    InChunks,
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
    /// The body of a request that was announced like this.
    pub fn new(body: Body, meter: Option<BodyMeter>, keep_max: u64) -> Self {
        let framing = match body {
            Body::Chunked | Body::Stream => Framing::InChunks,
            Body::Length(_) | Body::None => Framing::AsItIs,
        };
        let ended = matches!(body, Body::None | Body::Length(0));
        Self {
            framing,
            meter,
            kept: BytesMut::new(),
            keep_max: keep_max.max(KEPT_AT_LEAST),
            lost: false,
            // Each attempt's head brings its buffer along.
            waiting: Buffer::default(),
            ended,
            bytes: 0,
            sent: Sent::Nothing,
            refused: false,
            wrong: None,
            unflushed: false,
            moved: false,
            copy: None,
        }
    }

    /// Is it cut into chunks, since its length was not told?
    pub fn is_in_chunks(&self) -> bool {
        self.framing == Framing::InChunks
    }

    /// An attempt begins with this head, and with what was kept of the body.
    pub fn begin(&mut self, head: Buffer) {
        self.waiting = head;
        self.sent = Sent::Nothing;
        self.refused = false;
        self.unflushed = false;
        self.moved = false;
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            self.put(&kept);
            self.kept = kept;
        }
        if self.ended {
            self.last();
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

    /// Has the target taken some of it since this was asked?
    pub fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Is there anything left to do for it?
    pub fn is_going(&self) -> bool {
        !self.refused && self.wrong.is_none() && !(self.ended && self.waiting.is_empty() && !self.unflushed)
    }

    /// Has the target taken all of it? Then nothing of it stands in the way of the next request.
    pub fn is_through(&self) -> bool {
        self.ended && self.waiting.is_empty() && !self.unflushed && !self.refused && self.wrong.is_none()
    }

    /// It is through, and needs no room any more.
    pub fn rest(&mut self) {
        self.waiting = Buffer::default();
    }

    /// Does the target wait for the client?
    pub fn is_awaited(&self) -> bool {
        !self.ended && self.waiting.is_empty()
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
        client: &mut Client,
        target: &mut S,
    ) -> Poll<()> {
        loop {
            let mut read_more = false;
            if !self.ended && self.wrong.is_none() && self.waiting.len() < WAITING_MAX {
                read_more = self.poll_read(context, client).is_ready();
            }
            if self.wrong.is_none() {
                self.write(context, target);
            }
            if !self.is_going() {
                return Poll::Ready(());
            }
            if !read_more || self.waiting.len() >= WAITING_MAX {
                return Poll::Pending;
            }
        }
    }

    /// Writes what waits, as far as the target takes it.
    fn write<S: AsyncWrite + Unpin>(&mut self, context: &mut Context<'_>, target: &mut S) {
        while !self.waiting.is_empty() {
            match Pin::new(&mut *target).poll_write(context, &self.waiting) {
                Poll::Ready(Ok(written @ 1..)) => {
                    self.waiting.advance(written);
                    self.sent = Sent::Something;
                    (self.unflushed, self.moved) = (true, true);
                }
                Poll::Ready(Ok(0) | Err(_)) => return self.refused = true,
                Poll::Pending => return,
            }
        }
        if Pin::new(target).poll_flush(context).is_ready() {
            self.unflushed = false;
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, client: &mut Client) -> Poll<()> {
        client.poll_body(context, |piece| self.take(piece)).map(|read| match read {
            Ok(Read::Some) => {}
            Ok(Read::Whole) => self.end(),
            Err(wrong) => self.wrong = Some(wrong),
        })
    }

    fn take(&mut self, piece: &[u8]) {
        if !piece.is_empty() && self.wrong.is_none() {
            self.count(piece.len());
            self.keep(piece);
            self.put(piece);
            if let Some(tee) = &mut self.copy {
                tee.request_body(piece);
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(meter) = &mut self.meter
            && let Err(misfit) = meter.end(Ended::Properly)
        {
            self.wrong.get_or_insert(Wrong::Misfit(misfit));
        }
        if self.wrong.is_none() {
            self.last();
        }
    }

    /// Behind all of it.
    fn last(&mut self) {
        if self.is_in_chunks() {
            self.waiting.put_slice(b"0\r\n\r\n");
        }
        if let Some(tee) = &mut self.copy {
            tee.request_end();
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
            Framing::AsItIs => self.waiting.extend_from_slice(bytes),
            Framing::InChunks => chunk(&mut self.waiting, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncRead, BufWriter, ReadBuf, duplex};

    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    #[test]
    fn what_the_stream_keeps_to_itself_has_not_left() {
        let mut context = Context::from_waker(Waker::noop());
        let mut upload = Upload::new(Body::None, None, 0);
        let mut head = Buffer::take();
        head.put_slice(HEAD);
        upload.begin(head);
        // It takes everything at once, and passes on what there is room for.
        let (target, mut service) = duplex(HEAD.len() - 1);
        let mut target = BufWriter::new(target);
        let mut bytes = [0; 64];
        let mut come = ReadBuf::new(&mut bytes);
        for (going, through) in [(true, false), (false, true)] {
            upload.write(&mut context, &mut target);
            assert_eq!((upload.is_going(), upload.is_through()), (going, through));
            assert!(Pin::new(&mut service).poll_read(&mut context, &mut come).is_ready());
        }
        assert_eq!(come.filled(), HEAD);
    }
}
