//! A connection to an endpoint, and where connections rest between requests. One that rests holds no buffer and no task.
//! Whether it still lives is asked when it is wanted; if it dies at that very moment, the request is sent again.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Buf;
use http::response::Parts;
use policies::guard::{AnswerBody, FieldLimits, raw};
use policies::time::Tick;
use policies::verdict::Fault;
use policies::why::Silent;
use shell::exchange::{Attempt, Watch};
use shell::upstream::{Shape, Stream, dial};
use tokio::io::{AsyncRead, ReadBuf};

use super::Broken;
use super::answer::Body;
use super::buffers::{BYTES, Buffer};
use super::client::Client;
use super::head::Reusable;
use super::upload::{Upload, Wrong};

const LIMITS: FieldLimits = FieldLimits::OF_ANSWERS;
/// An answer nobody wants is read to its end if there is little of it, so that its connection can be used again.
const DISCARD_MAX: usize = 16 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_millis(50);

/// A connection to an endpoint.
pub struct Line {
    pub stream: Stream,
    /// What was read and not looked at.
    pub buffer: Buffer,
    key: u64,
    shape: Arc<Shape>,
    born: Tick,
    reused: bool,
    answered: bool,
}

/// The connections of a worker that rest.
#[derive(Default)]
pub struct Pool(Mutex<BTreeMap<u64, Vec<Resting>>>);

struct Resting {
    stream: Stream,
    shape: Arc<Shape>,
    born: Tick,
    since: Tick,
}

impl Resting {
    fn is_old(&self, now: Tick) -> bool {
        now.since(self.since) >= self.shape.idle_for || now.since(self.born) >= self.shape.age
    }

    /// Has nothing come since it rests? An answer nobody asked for would be taken for that to the next request. The runtime
    /// knows what has come, and asks the kernel only if something has.
    fn is_quiet(&mut self) -> bool {
        let (mut context, mut byte) = (Context::from_waker(Waker::noop()), [0]);
        Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Resting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to this endpoint: one that rests, or a new one.
    pub async fn line(&self, attempt: &Attempt, now: Tick) -> Result<Line, Fault> {
        let peer = attempt.endpoints.peer(attempt.index).ok_or(Fault::NoEndpoint)?;
        let (key, shape) = (peer.print, attempt.endpoints.shape.clone());
        if let Some(line) = self.rested(key, now) {
            return Ok(line);
        }
        let (stream, _) = dial(peer, &shape, attempt.patience.connect, |_| ()).await?;
        let (buffer, born) = (Buffer::take(), shell::clock::tick());
        Ok(Line { stream, buffer, key, shape, born, reused: false, answered: false })
    }

    fn rested(&self, key: u64, now: Tick) -> Option<Line> {
        let mut resting = self.lock();
        let all = resting.get_mut(&key)?;
        // The one that rested least is the likeliest to be alive.
        while let Some(mut one) = all.pop() {
            if !one.is_old(now) && one.is_quiet() {
                return Some(Line {
                    stream: one.stream,
                    buffer: Buffer::take(),
                    key,
                    shape: one.shape,
                    born: one.born,
                    reused: true,
                    answered: false,
                });
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to its end.
    pub fn rest(&self, line: Line, now: Tick) {
        // More than the answer came: whose it is nobody knows.
        if !line.buffer.is_empty() {
            return;
        }
        let one = Resting { stream: line.stream, shape: line.shape, born: line.born, since: now };
        if one.is_old(now) {
            return;
        }
        let mut resting = self.lock();
        let all = resting.entry(line.key).or_default();
        if all.len() < one.shape.idle_max {
            all.push(one);
        }
    }

    /// Closes what has rested too long.
    pub fn sweep(&self) {
        let now = shell::clock::tick();
        self.lock().retain(|_, all| {
            all.retain(|one| !one.is_old(now));
            !all.is_empty()
        });
    }
}

impl Line {
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Has it given a byte for this request?
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Sends what waits, and reads the next head.
    pub async fn head(
        &mut self,
        client: &mut Client,
        upload: &mut Upload,
        watch: &Watch,
        patience: Duration,
    ) -> Result<(Parts, Reusable), Broken> {
        let mut looked = 0;
        loop {
            let end = raw::answer_end(&self.buffer, looked, LIMITS).map_err(Broken::Target)?;
            if let Some(end) = end {
                let head = self.buffer.split_to(end).freeze();
                let head = raw::answer(&head, LIMITS, &mut Silent).map_err(Broken::Target)?;
                let reusable = Reusable::of(&head);
                return Ok((head, reusable));
            }
            looked = self.buffer.len();
            if self.more(client, upload, watch, patience).await? == 0 {
                let fault = if self.answered { Fault::AnswerTruncated } else { Fault::UpstreamReset };
                return Err(Broken::Target(fault));
            }
        }
    }

    /// Waits until more of the answer has come, while the upload goes on. How many bytes: none at the end.
    pub async fn more(
        &mut self,
        client: &mut Client,
        upload: &mut Upload,
        watch: &Watch,
        patience: Duration,
    ) -> Result<usize, Broken> {
        let mut until = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(read) = self.poll_more(context, client, upload) {
                return Poll::Ready(read);
            }
            // A long upload is no silence.
            if upload.has_moved() {
                until = None;
            }
            ready!(watch.poll_until(*until.get_or_insert_with(|| shell::clock::tick().after(patience))));
            Poll::Ready(Err(match upload.is_awaited() {
                // Nor can a target answer before it has all that it needs to know.
                true => Broken::Client(Wrong::Client(Fault::ClientTooSlow)),
                false => Broken::Target(Fault::UpstreamTimeout),
            }))
        })
        .await
    }

    fn poll_more(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Client,
        upload: &mut Upload,
    ) -> Poll<Result<usize, Broken>> {
        if upload.is_going() {
            let _ = upload.poll(context, client, &mut self.stream);
            if let Some(wrong) = upload.wrong() {
                return Poll::Ready(Err(Broken::Client(wrong)));
            }
        }
        match self.poll_fill(context) {
            Poll::Ready(Ok(read)) => Poll::Ready(Ok(read)),
            Poll::Ready(Err(error)) => {
                log::debug!(target: "banyan", "an answer broke off: {error}");
                let fault = if self.answered { Fault::AnswerTruncated } else { Fault::UpstreamReset };
                Poll::Ready(Err(Broken::Target(fault)))
            }
            // While we wait, the client may go away.
            Poll::Pending if upload.has_ended() => match client.poll_gone(context) {
                Poll::Ready(()) => Poll::Ready(Err(Broken::Client(Wrong::Client(Fault::ClientGone)))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Pending => Poll::Pending,
        }
    }

    /// Goes on with the upload while something else is waited for.
    pub fn poll_upload(&mut self, context: &mut Context<'_>, client: &mut Client, upload: &mut Upload) {
        if upload.is_going() {
            let _ = upload.poll(context, client, &mut self.stream);
        }
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < BYTES / 4 {
            self.buffer.reserve(BYTES);
        }
        let (stream, buffer) = (Pin::new(&mut self.stream), &mut *self.buffer);
        let read = ready!(tokio_util::io::poll_read_buf(stream, context, buffer))?;
        self.answered |= read > 0;
        Poll::Ready(Ok(read))
    }

    /// Reads the rest of an answer nobody wants.
    pub async fn discard(mut self, head: &Parts, reusable: Reusable, pool: &Pool) {
        let length = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let body = match length {
            Some(length) if length <= DISCARD_MAX as u64 => AnswerBody::Length(length),
            _ if head.headers.contains_key(http::header::TRANSFER_ENCODING) => AnswerBody::Chunked,
            _ => return,
        };
        if reusable == Reusable::No {
            return;
        }
        let mut body = Body::new(body);
        let read = async {
            let mut all = 0;
            loop {
                while let Some(piece) = body.next(&self.buffer).ok()? {
                    self.buffer.advance(piece.used);
                    if piece.over {
                        return Some(());
                    }
                }
                let read = std::future::poll_fn(|context| self.poll_fill(context)).await.ok()?;
                all += read;
                if read == 0 || all > DISCARD_MAX {
                    return None;
                }
            }
        };
        if tokio::time::timeout(DISCARD_WITHIN, read).await == Ok(Some(())) {
            pool.rest(self, shell::clock::tick());
        }
    }
}
