//! The request's body: counted as it comes, kept as far as another attempt may need it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use policies::guard::{BodyMeter, Ended, Misfit};
use policies::resilience::repeat::Replayable;
use policies::time::Tick;
use policies::verdict::Fault;

use super::BrokenOff;

/// Many small parts cost more to keep than their bytes.
const PARTS_MAX: usize = 256;

/// A request's body.
#[derive(Clone)]
pub struct Upload(Arc<Mutex<State>>);

struct State {
    source: Incoming,
    kept: Vec<Bytes>,
    kept_bytes: u64,
    keep_max: u64,
    lost: bool,
    trailers: Option<HeaderMap>,
    ended: bool,
    bytes: u64,
    meter: BodyMeter,
    wrong: Option<Wrong>,
    moved: Tick,
    /// Only the last attempt may read: what an earlier one would take is lost to it.
    turn: u32,
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

/// The body of one attempt.
pub enum Outgoing {
    /// There is none.
    Nothing,
    /// As it comes, from its beginning.
    Turn {
        /// Whose body it is.
        upload: Upload,
        /// Which attempt's.
        turn: u32,
        /// How many kept parts have been sent.
        sent: usize,
        /// What the head announces.
        length: Option<u64>,
    },
}

impl Upload {
    /// The body of a request, of which so much may be kept.
    pub fn new(source: Incoming, meter: BodyMeter, keep_max: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            source,
            kept: Vec::new(),
            kept_bytes: 0,
            keep_max,
            lost: false,
            trailers: None,
            ended: false,
            bytes: 0,
            meter,
            wrong: None,
            moved: shell::clock::tick(),
            turn: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body for another attempt. Earlier ones read no more.
    pub fn again(&self) -> Outgoing {
        let mut state = self.state();
        state.turn += 1;
        let length = state.source.size_hint().exact().map(|left| left + state.bytes);
        Outgoing::Turn { upload: self.clone(), turn: state.turn, sent: 0, length }
    }

    /// Is it still there, whole, for another attempt?
    pub fn replayable(&self) -> Replayable {
        if self.state().lost { Replayable::No } else { Replayable::Yes }
    }

    /// How much of it has come.
    pub fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// When something of it came last.
    pub fn moved(&self) -> Tick {
        self.state().moved
    }

    /// Has all of it come?
    pub fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// What is wrong with it.
    pub fn wrong(&self) -> Option<Wrong> {
        self.state().wrong
    }
}

impl State {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(trailers) = self.trailers.clone() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if self.wrong.is_some() {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.source).poll_frame(context));
        self.moved = shell::clock::tick();
        match frame {
            None => Poll::Ready(self.end().err().map(Err)),
            Some(Err(error)) => {
                self.wrong = Some(Wrong::of(&error));
                Poll::Ready(Some(Err(BrokenOff)))
            }
            Some(Ok(frame)) => Poll::Ready(Some(self.take(frame))),
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BrokenOff> {
        match frame.into_data() {
            Ok(bytes) => {
                self.bytes += bytes.len() as u64;
                self.meter.chunk(bytes.len()).map_err(|misfit| self.misfit(misfit))?;
                self.keep(&bytes);
                if self.source.is_end_stream() {
                    self.end()?;
                }
                Ok(Frame::data(bytes))
            }
            Err(frame) => {
                self.end()?;
                self.trailers = frame.trailers_ref().cloned();
                Ok(frame)
            }
        }
    }

    fn keep(&mut self, bytes: &Bytes) {
        let fits = self.kept_bytes + bytes.len() as u64 <= self.keep_max && self.kept.len() < PARTS_MAX;
        if fits && !self.lost {
            self.kept_bytes += bytes.len() as u64;
            self.kept.push(bytes.clone());
        } else {
            (self.lost, self.kept) = (true, Vec::new());
        }
    }

    fn end(&mut self) -> Result<(), BrokenOff> {
        self.ended = true;
        self.meter.end(Ended::Properly).map_err(|misfit| self.misfit(misfit))
    }

    fn misfit(&mut self, misfit: Misfit) -> BrokenOff {
        self.wrong = Some(Wrong::Misfit(misfit));
        BrokenOff
    }
}

impl Wrong {
    fn of(error: &hyper::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return match io.kind() {
                    // Our own guarded stream gave up waiting.
                    io::ErrorKind::TimedOut => Self::Client(Fault::ClientTooSlow),
                    // It, or hyper, could make nothing of the chunks.
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Malformed,
                    _ => Self::Client(Fault::ClientGone),
                };
            }
            cause = error.source();
        }
        Self::Client(Fault::ClientGone)
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Self::Turn { upload, turn, sent, .. } = self.get_mut() else { return Poll::Ready(None) };
        let mut state = upload.state();
        if state.turn != *turn {
            return Poll::Ready(Some(Err(BrokenOff)));
        }
        if let Some(bytes) = state.kept.get(*sent) {
            *sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        let frame = state.poll(context);
        // What has just been kept has been sent, too.
        *sent = state.kept.len();
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Turn { upload, sent, .. } => {
                let state = upload.state();
                state.ended && state.trailers.is_none() && state.wrong.is_none() && *sent >= state.kept.len()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Turn { length: Some(length), .. } => SizeHint::with_exact(*length),
            Self::Turn { .. } => SizeHint::default(),
        }
    }
}
