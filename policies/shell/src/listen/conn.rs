//! One connection: a guarded stream over TCP, a Unix socket or TLS.
//!
//! Between requests it holds no buffer: bytes are read into the thread's scratch and kept only when there are some.
//! [`Conn::next_head`] waits for a whole head under an absolute deadline; [`Conn::fence`] says how much of what follows
//! belongs to this request, so that a pipelined one is neither lost nor taken for a body; a client that is too slow with
//! a body, or in taking an answer, gets a time-out. [`Conn::lend`] gives it to an engine and gets it back whatever the
//! engine does.

mod rest;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use policies::guard::raw::Raw;
use policies::guard::{Chunks, Looks};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use self::rest::Rest;
use super::transport::{Dropped, Transport};
use super::{Facts, Phase};
use crate::alarm::Alarm;

/// What HTTP/2 begins with: RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Read at once.
const SCRATCH_BYTES: usize = 16 * 1024;
/// Small writes are gathered up to this, so that a head and its body leave together; so do what was read of a body at once, or
/// a frame of HTTP/2, and the few bytes before and behind it.
const GATHER_BYTES: usize = 16 * 1024 + 64;
/// Room for a head and a small body, asked for once.
const GATHER_AT_ONCE: usize = 2 * 1024;
/// A slow client has this long before its rate is looked at; then it is looked at as often.
const GRACE: Duration = Duration::from_secs(5);
/// A connection that rests when the gateway begins to drain is closed after this.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// After an answer that came before the request's end, so much is read and thrown away before the connection closes:
/// closing on unread bytes makes the kernel reset it, and the answer is lost.
const LINGER_BYTES: usize = 512 * 1024;
const LINGER_FOR: Duration = Duration::from_secs(2);

thread_local! {
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// How long, and how large, a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a connection may say nothing.
    pub idle_within: Duration,
    /// How long a head may take from its first byte.
    pub header_within: Duration,
    /// How large a head may be.
    pub head_bytes_max: usize,
    /// The least a client sends of a body, and takes of an answer, per second.
    pub body_rate_min: u64,
}

/// What came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Head {
    /// The other end closed it, or it broke, with nothing to answer.
    Closed,
    /// The gateway drains, and nothing had come.
    Draining,
    /// A whole head of HTTP/1.
    Http1,
    /// Nothing came for too long.
    IdleOver,
    /// The beginning of HTTP/2.
    Preface,
    /// More than a head may be.
    TooLarge,
    /// A part of a head, and then too little for too long.
    TooSlow,
}

/// How much of what follows a head belongs to its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fence {
    /// As many as its chunks say.
    Chunked(Chunks),
    /// So many bytes.
    Exactly(u64),
    /// Only the engine can know: a tunnel, HTTP/2.
    Open,
}

impl Fence {
    /// Has all of the request been read?
    pub(super) fn is_reached(&self) -> bool {
        match self {
            Self::Chunked(chunks) => chunks.is_over(),
            Self::Exactly(left) => *left == 0,
            Self::Open => false,
        }
    }
}

impl From<Raw> for Fence {
    fn from(raw: Raw) -> Self {
        raw.length.map_or_else(|| Self::Chunked(Chunks::default()), Self::Exactly)
    }
}

/// Which way a slow client is slow.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    In,
    Out,
}

/// A connection.
pub struct Conn {
    inner: Option<Box<Inner>>,
    loan: Option<Slot>,
}

/// What an engine made for a connection once, and wants to find again at its next request.
pub type Keepsake = Arc<dyn Any + Send + Sync>;

type Slot = Arc<Mutex<Option<Box<Inner>>>>;

/// The right to have a lent connection back.
pub struct Loan(Slot);

struct Inner {
    transport: Transport,
    facts: Arc<Facts>,
    keepsake: Option<Keepsake>,
    ahead: BytesMut,
    head_bytes: usize,
    fence: Fence,
    gathered: BytesMut,
    rate_min: u64,
    slow: Slow,
    /// Made at its first rest.
    rest: Option<Rest>,
    answer_begun: bool,
}

/// Watches how fast bytes go by while somebody waits for them.
#[derive(Default)]
struct Slow {
    sleep: Option<Pin<Box<Sleep>>>,
    since: Option<Instant>,
    bytes: u64,
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("number", &self.facts().map(|facts| facts.number))
            .finish_non_exhaustive()
    }
}

impl Conn {
    /// A connection that has just been made.
    pub fn new(transport: Transport, facts: Arc<Facts>) -> Self {
        let inner = Inner {
            transport,
            facts,
            keepsake: None,
            ahead: BytesMut::new(),
            head_bytes: 0,
            fence: Fence::Open,
            gathered: BytesMut::new(),
            rate_min: 0,
            slow: Slow::default(),
            rest: None,
            answer_begun: false,
        };
        Self { inner: Some(Box::new(inner)), loan: None }
    }

    /// What is known of it.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        self.inner.as_ref().map(|inner| &inner.facts)
    }

    /// What its engine keeps with it; made when it is first asked for.
    pub fn keepsake(&mut self, make: impl FnOnce(&Arc<Facts>) -> Keepsake) -> Option<Keepsake> {
        let inner = self.inner.as_mut()?;
        Some(inner.keepsake.get_or_insert_with(|| make(&inner.facts)).clone())
    }

    /// What came ahead of being read, if there are so many bytes of it.
    pub fn ahead(&self, bytes: usize) -> Option<&[u8]> {
        self.inner.as_ref().and_then(|inner| inner.ahead.get(..bytes))
    }

    /// Waits for a request.
    pub async fn next_head(
        &mut self,
        limits: &Limits,
        phase: &watch::Receiver<Phase>,
        alarm: &mut Alarm,
    ) -> Head {
        let Some(inner) = self.inner.as_mut() else { return Head::Closed };
        inner.rest(limits);
        if inner.ahead.is_empty() {
            // A request that is on its way when the gateway begins to drain is still answered, and told that it was the last.
            let mut rest = inner.rest.take().unwrap_or_else(|| Rest::new(phase));
            let until = Instant::now() + limits.idle_within;
            let over = std::future::poll_fn(|context| match inner.poll_read_ahead(context) {
                Poll::Ready(Ok(1..)) => Poll::Ready(None),
                Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Some(Head::Closed)),
                Poll::Pending if rest.poll_drained(context).is_ready() => Poll::Ready(Some(Head::Draining)),
                Poll::Pending => alarm.poll(until, context).map(|()| Some(Head::IdleOver)),
            });
            let over = over.await;
            inner.rest = Some(rest);
            if let Some(over) = over {
                return over;
            }
        }
        if let Some(head) = inner.head_in(limits) {
            return head;
        }
        let whole = async {
            loop {
                match inner.read_ahead().await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Head::Closed,
                }
                if let Some(head) = inner.head_in(limits) {
                    return head;
                }
            }
        };
        tokio::time::timeout(limits.header_within, whole).await.unwrap_or(Head::TooSlow)
    }

    /// The bytes of the head that came.
    pub fn head(&self) -> &[u8] {
        self.inner.as_ref().and_then(|inner| inner.ahead.get(..inner.head_bytes)).unwrap_or_default()
    }

    /// What the first bytes look like, which stay where they are. Who says nothing in time has said nothing we know.
    pub async fn look(&mut self, within: Duration) -> Looks {
        let Some(inner) = self.inner.as_mut() else { return Looks::Opaque };
        let looking = async {
            loop {
                let looks = Looks::of(&inner.ahead);
                if looks != Looks::Unclear {
                    return looks;
                }
                if !matches!(inner.read_ahead().await, Ok(1..)) {
                    return Looks::Opaque;
                }
            }
        };
        tokio::time::timeout(within, looking).await.unwrap_or(Looks::Opaque)
    }

    /// Lets an engine read the head again, and what of the fence lies behind it.
    pub fn release_head(&mut self) {
        if let Some(inner) = self.inner.as_mut() {
            let head = std::mem::take(&mut inner.head_bytes) as u64;
            match &mut inner.fence {
                Fence::Chunked(chunks) => chunks.after(head),
                Fence::Exactly(bytes) => *bytes = bytes.saturating_add(head),
                Fence::Open => {}
            }
        }
    }

    /// Takes back what an engine has read of the request after its own.
    pub fn put_back(&mut self, bytes: &[u8]) {
        if let Some(inner) = self.inner.as_mut().filter(|_| !bytes.is_empty()) {
            let behind = std::mem::replace(&mut inner.ahead, BytesMut::from(bytes));
            inner.ahead.extend_from_slice(&behind);
        }
    }

    /// Is there more of the request that nobody has read?
    pub fn has_unread(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| match inner.fence {
            Fence::Chunked(chunks) => !chunks.is_over(),
            Fence::Exactly(left) => left > 0,
            Fence::Open => false,
        })
    }

    /// Takes the head out; what came behind it stays.
    pub fn take_head(&mut self) -> BytesMut {
        let Some(inner) = self.inner.as_mut() else { return BytesMut::new() };
        inner.ahead.split_to(std::mem::take(&mut inner.head_bytes).min(inner.ahead.len()))
    }

    /// Says how much of what follows belongs to the request.
    pub fn fence(&mut self, fence: Fence) {
        if let Some(inner) = self.inner.as_mut() {
            inner.fence = fence;
        }
    }

    /// What follows is a tunnel, or HTTP/2, which has deadlines of its own: nobody asks any more how much of it there is, and
    /// how fast it comes.
    pub fn open(&mut self) {
        if let Some(inner) = self.inner.as_mut() {
            (inner.rate_min, inner.fence) = (0, Fence::Open);
        }
    }

    /// What the client sees if the connection is dropped. Of an answer that ends with it, half would look like the whole.
    pub fn dropped_as(&self, dropped: Dropped) {
        if let Some(inner) = &self.inner {
            inner.transport.dropped_as(dropped);
        }
    }

    /// Was any byte of an answer written since the last head?
    pub fn has_answer_begun(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.answer_begun)
    }

    /// Gives the connection away, and the right to have it back when whoever has it lets it drop.
    pub fn lend(mut self) -> (Self, Loan) {
        let slot = Slot::default();
        let lent = Self { inner: self.inner.take(), loan: Some(slot.clone()) };
        (lent, Loan(slot))
    }

    /// Takes a connection that an engine gave back.
    #[must_use]
    pub fn returned(mut self) -> Self {
        self.loan = None;
        Self { inner: self.inner.take(), loan: None }
    }

    /// Writes the last of it, and closes in a way that lets the other end read it.
    pub async fn close(mut self) {
        let Some(inner) = self.inner.as_mut() else { return };
        let read_away = async {
            if inner.shut().await.is_err() {
                return;
            }
            let mut left = LINGER_BYTES;
            inner.ahead.clear();
            while let Ok(read @ 1..) = inner.read_ahead().await {
                inner.ahead.clear();
                left = left.saturating_sub(read);
                if left == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER_FOR, read_away).await;
    }
}

impl Loan {
    /// The connection, if whoever had it has let it drop.
    pub fn recover(self) -> Option<Conn> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Conn { inner: Some(inner), loan: None })
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let (Some(slot), inner @ Some(_)) = (self.loan.take(), self.inner.take()) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = inner;
        }
    }
}

impl Inner {
    /// Gives back what only a request needs.
    fn rest(&mut self, limits: &Limits) {
        self.answer_begun = false;
        self.fence = Fence::Open;
        self.head_bytes = 0;
        self.rate_min = limits.body_rate_min;
        self.slow = Slow::default();
        self.gathered = BytesMut::new();
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    /// Reads what there is behind what was read before.
    async fn read_ahead(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|context| self.poll_read_ahead(context)).await
    }

    fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.transport).poll_read(context, &mut buffer))?;
            self.ahead.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// Is there a whole head, or enough to know that there will be none?
    fn head_in(&mut self, limits: &Limits) -> Option<Head> {
        // RFC 9112 §2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
        if self.ahead.starts_with(b"\r\n") {
            self.ahead.advance(2);
        }
        let seen = self.ahead.len().min(PREFACE.len());
        if self.ahead.get(..seen) == PREFACE.get(..seen) && seen > 3 {
            return (seen == PREFACE.len()).then_some(Head::Preface);
        }
        match head_end(&self.ahead) {
            Some(end) if end <= limits.head_bytes_max => {
                self.head_bytes = end;
                Some(Head::Http1)
            }
            None if self.ahead.len() <= limits.head_bytes_max => None,
            _ => Some(Head::TooLarge),
        }
    }

    /// Puts bytes behind those that wait to be written.
    fn gather(&mut self, bytes: &[u8]) -> usize {
        if self.gathered.capacity() == 0 {
            self.gathered.reserve(GATHER_AT_ONCE);
        }
        self.gathered.extend_from_slice(bytes);
        bytes.len()
    }

    fn poll_gathered(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            match Pin::new(&mut self.transport).poll_write(context, &self.gathered) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.gathered.advance(written);
                    self.passed(written);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.poll_slow(context, Way::Out).map(Err),
            }
        }
        Poll::Ready(Ok(()))
    }

    async fn shut(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_gathered(context)).await?;
        self.transport.shutdown().await
    }

    fn passed(&mut self, bytes: usize) {
        self.slow.bytes = self.slow.bytes.saturating_add(bytes as u64);
    }

    /// Somebody waits for the client. Ready with an error when it has been too slow for too long.
    fn poll_slow(&mut self, context: &mut Context<'_>, way: Way) -> Poll<io::Error> {
        // A request that has sent all it has to send is waiting for us, not we for it; so is one that asks for a tunnel, and
        // in a tunnel silence is normal.
        let done = way == Way::In && (self.fence.is_reached() || self.fence == Fence::Open);
        if self.rate_min == 0 || done {
            return Poll::Pending;
        }
        loop {
            let since = *self.slow.since.get_or_insert_with(Instant::now);
            let sleep =
                self.slow.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(since + GRACE)));
            ready!(sleep.as_mut().poll(context));
            if self.slow.bytes < self.rate_min.saturating_mul(GRACE.as_secs()) {
                return Poll::Ready(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client is slower than it may be",
                ));
            }
            self.slow = Slow::default();
        }
    }

    /// The end of the request was read: only an end of the connection is news. What else comes is the next request.
    fn poll_beyond(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_read_ahead(context))? {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn poll_inside(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let fence = match self.fence {
            Fence::Exactly(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Fence::Chunked(_) | Fence::Open => usize::MAX,
        };
        let most = buffer.remaining().min(fence);
        let before = buffer.filled().len();
        if !self.ahead.is_empty() {
            let taken = self.ahead.len().min(most);
            buffer.put_slice(&self.ahead.split_to(taken));
        } else if most == buffer.remaining() {
            ready!(Pin::new(&mut self.transport).poll_read(context, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(Pin::new(&mut self.transport).poll_read(context, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        }
        let mut read = buffer.filled().len() - before;
        match &mut self.fence {
            Fence::Chunked(chunks) => {
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                let own =
                    chunks.take(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                if own < read {
                    // What follows is the next request's.
                    let behind = std::mem::replace(
                        &mut self.ahead,
                        BytesMut::from(bytes.get(own..).unwrap_or_default()),
                    );
                    self.ahead.extend_from_slice(&behind);
                    buffer.set_filled(before + own);
                    read = own;
                }
            }
            Fence::Exactly(left) => *left -= read as u64,
            Fence::Open => {}
        }
        self.passed(read);
        Poll::Ready(Ok(()))
    }
}

/// Where the head ends: behind the first empty line, however its line ends are spelled.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}
