//! A client that speaks HTTP/2: one stream, which Pingora took out of its connection. What frames it, flow control and all,
//! is done there; a stream that ends without its end is reset.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use http::request::Parts;
use http::{HeaderMap, HeaderName, response};
use pingora::http::ResponseHeader;
use pingora::protocols::http::v2::server::HttpSession;
use policies::guard::{AnswerBody, End, Framings, Wire};
use policies::headers::{RATELIMIT, X_REQUEST_ID};
use policies::reply::Reply;
use policies::verdict::Fault;
use shell::exchange::Exchange;
use shell::listen::Facts;
use tokio::time::{Sleep, sleep};

use super::Read;
use crate::proxy::Request;
use crate::road::upload::Wrong;

/// A client that opens its window no further has gone to sleep with the answer half read.
const TAKES_SOMETHING_WITHIN: Duration = Duration::from_secs(60);
/// A piece no larger than this is copied, as its connection does with it anyhow: the buffer it was read into is free again.
const COPIED_BYTES: usize = 4096;
/// What is new with each answer. The table of names and values that is kept for a connection has no use for it: it would be
/// searched through for all that came before, and what is worth keeping would make room. `h2` leaves out what is sensitive.
const NEW_EACH_TIME: [HeaderName; 2] = [X_REQUEST_ID, RATELIMIT];

/// A client with a stream of a connection.
pub struct Http2 {
    stream: HttpSession,
    facts: Arc<Facts>,
    /// Where the body of the answer goes, once its head has gone.
    out: Option<SendStream<Bytes>>,
    /// A piece of that body that may be its last, which says so itself: there is room for it.
    held: Bytes,
    /// How long it may still take nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    begun: bool,
    ended: bool,
}

impl Http2 {
    pub fn new(stream: HttpSession, facts: Arc<Facts>) -> Self {
        Self { stream, facts, out: None, held: Bytes::new(), stalled: None, begun: false, ended: false }
    }

    pub fn facts(&self) -> Option<Arc<Facts>> {
        Some(self.facts.clone())
    }

    pub fn parts(&self) -> &Parts {
        self.stream.req_header()
    }

    pub fn target(&self) -> &[u8] {
        self.stream.req_header().raw_path()
    }

    pub fn wire(&self) -> Wire {
        let end = if self.stream.is_body_empty() { End::WithHead } else { End::Later };
        Wire { end, framing: Framings::OneOrNone }
    }

    pub fn tidy(&mut self, exchange: &Exchange) {
        exchange.tidy(&mut Request(self.stream.req_header_mut()));
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn into_stream(self) -> HttpSession {
        self.stream
    }

    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        mut each: impl FnMut(&[u8]),
    ) -> Poll<Result<Read, Wrong>> {
        Poll::Ready(match ready!(self.stream.poll_read_body_bytes(context)) {
            Some(Ok(bytes)) => {
                each(&bytes);
                Ok(if self.stream.is_body_done() { Read::Whole } else { Read::Some })
            }
            Some(Err(_)) => Err(Wrong::Client(Fault::ClientGone)),
            None => Ok(Read::Whole),
        })
    }

    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.out {
            Some(out) => out.poll_reset(context).map(|_| ()),
            None => Pin::new(&mut self.stream.idle()).poll(context).map(|_| ()),
        }
    }

    /// Nobody waits until there is room for it: it is small, and the stream is done with it.
    pub fn reply(&mut self, reply: Reply) -> io::Result<()> {
        let (mut head, ()) = http::Response::new(()).into_parts();
        (head.status, head.headers) = (reply.status, reply.headers);
        self.begin(head, reply.body.is_empty())?;
        match &mut self.out {
            Some(out) if !self.ended => {
                self.ended = true;
                out.send_data(reply.body.into(), true).map_err(gone)
            }
            _ => Ok(()),
        }
    }

    pub fn head(&mut self, answer: response::Parts, body: AnswerBody) -> io::Result<()> {
        self.begin(answer, matches!(body, AnswerBody::None | AnswerBody::Length(0)))
    }

    fn begin(&mut self, mut head: response::Parts, end: bool) -> io::Result<()> {
        (self.begun, self.ended) = (true, end);
        head.version = http::Version::HTTP_2;
        for name in NEW_EACH_TIME {
            if let Some(value) = head.headers.get_mut(name) {
                value.set_sensitive(true);
            }
        }
        let written = self.stream.write_response_header(Box::new(ResponseHeader::from(head)), end);
        self.out = self.stream.take_response_body_writer();
        written.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    pub fn poll_data(&mut self, context: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        while !piece.is_empty() {
            self.flush()?;
            let Some(out) = &mut self.out else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            out.reserve_capacity(piece.len());
            let room = match out.capacity() {
                0 => match out.poll_capacity(context) {
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(Some(Err(_)) | None) => {
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    }
                    Poll::Pending => {
                        let stalled = &mut self.stalled;
                        let sleep = stalled.get_or_insert_with(|| Box::pin(sleep(TAKES_SOMETHING_WITHIN)));
                        return sleep.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
                    }
                },
                room => room,
            };
            self.stalled = None;
            let piece = piece.split_to(room.min(piece.len()));
            self.held = if piece.len() > COPIED_BYTES { piece } else { Bytes::copy_from_slice(&piece) };
        }
        Poll::Ready(Ok(()))
    }

    /// Lets go of what was held back: nobody knows when there will be more.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Some(out) if !self.held.is_empty() => {
                out.send_data(std::mem::take(&mut self.held), false).map_err(gone)
            }
            _ => Ok(()),
        }
    }

    /// RFC 9113 §8.1: trailers are a part of every message's form.
    pub fn takes_trailers(&self) -> bool {
        !self.ended
    }

    pub fn end(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if trailers.is_some() {
            self.flush()?;
        }
        match (&mut self.out, trailers) {
            (Some(out), Some(trailers)) => out.send_trailers(trailers).map_err(gone),
            (Some(out), None) => out.send_data(std::mem::take(&mut self.held), true).map_err(gone),
            (None, _) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Gives the stream up before its end. What was written still leaves before the reset that follows when the stream is
    /// dropped; a reset by hand would overtake it.
    pub fn reset(&mut self) {
        if self.begun {
            let _ = self.flush();
        } else {
            self.stream.shutdown();
        }
    }
}

fn gone(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, error)
}
