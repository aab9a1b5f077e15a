//! The answer's body: what the target sends, held to its announcement, its silence and the request's deadline; or an
//! answer of ours.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use policies::resilience::repeat::{Replayable, Sent};
use policies::verdict::Fault;
use shell::exchange::{Breakage, Broke, Exchange, Part, Watch};
use tokio::time::{Instant, Sleep};

use super::source::fault;
use super::{BrokenOff, Source, Upload};
use crate::client::Kept;
use crate::lent::Progress;

/// What the client gets.
pub struct Answer {
    kind: Kind,
    progress: Option<Arc<Progress>>,
}

enum Kind {
    Ours(Bytes),
    Passing(Box<Passing>),
}

/// A target's answer on its way to the client.
pub struct Passing {
    /// What the target sends.
    pub source: Source,
    /// The request it answers.
    pub exchange: Box<Exchange>,
    /// How long the request may run.
    pub watch: Arc<Watch>,
    /// The connection, which goes back into its pool at the end.
    pub kept: Option<Kept>,
    /// How long the target may be silent.
    pub silence: Duration,
    /// The request's body, which may still be on its way.
    pub upload: Option<Upload>,
    /// Goes off when the target has been silent for too long, or the time is over.
    pub alarm: Option<Pin<Box<Sleep>>>,
}

impl Answer {
    /// An answer of ours.
    pub fn ours(body: Vec<u8>, progress: Option<Arc<Progress>>) -> Self {
        Self { kind: Kind::Ours(body.into()), progress }
    }

    /// A target's answer.
    pub fn passing(passing: Box<Passing>, progress: Option<Arc<Progress>>) -> Self {
        Self { kind: Kind::Passing(passing), progress }
    }
}

impl Drop for Answer {
    /// Hyper drops a body when it has all of it.
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.given();
        }
    }
}

impl Passing {
    /// All of it has passed: the connection can be used again, and the request is told of.
    pub fn finish(&mut self) {
        if let Some(upload) = &self.upload {
            self.exchange.uploaded(upload.bytes());
        }
        // A target that answered before it had the whole request may close; its connection is not used again.
        if self.upload.as_ref().is_none_or(Upload::has_ended)
            && let Some(kept) = self.kept.take()
        {
            kept.give_back();
        }
        self.exchange.close();
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match Pin::new(&mut self.source).poll_frame(context) {
            Poll::Ready(frame) => {
                self.alarm = None;
                Poll::Ready(self.passes(frame))
            }
            Poll::Pending => match self.is_over(context) {
                true => Poll::Ready(Some(Err(BrokenOff))),
                false => Poll::Pending,
            },
        }
    }

    fn passes(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, BrokenOff>> {
        let (part, bytes) = match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => (Part { bytes: data.len(), last: self.source.is_end_stream() }, data.clone()),
                None => (Part { bytes: 0, last: true }, Bytes::new()),
            },
            None => (Part { bytes: 0, last: true }, Bytes::new()),
            Some(Err(error)) => {
                return Some(Err(self.breaks(fault(error))));
            }
        };
        if self.exchange.answer_chunk(part, &bytes).is_err() {
            self.exchange.close();
            return Some(Err(BrokenOff));
        }
        if part.last {
            self.finish();
        }
        frame.map(|frame| frame.map_err(|_| BrokenOff))
    }

    /// Has the target been silent for too long, or is the request's time over?
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let silent = || Instant::now() + self.silence;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(silent())));
        let until = self.watch.at().map(|at| Instant::from_std(shell::clock::instant(at)));
        if let Some(until) = until.filter(|until| *until < alarm.deadline()) {
            alarm.as_mut().reset(until);
        }
        if alarm.as_mut().poll(context).is_pending() {
            return false;
        }
        let late = until.is_some_and(|until| until <= Instant::now());
        self.breaks(if late { Fault::DeadlineExceeded } else { Fault::UpstreamTimeout });
        true
    }

    fn breaks(&mut self, fault: Fault) -> BrokenOff {
        let broke = Broke { fault, sent: Sent::Something, body: Replayable::No, stale: false };
        self.exchange.broke(Breakage::Target(broke));
        self.exchange.close();
        BrokenOff
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.kind {
            Kind::Ours(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Ours(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Passing(passing) => passing.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Ours(bytes) => bytes.is_empty(),
            Kind::Passing(passing) => passing.source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Passing(passing) => passing.source.size_hint(),
        }
    }
}
