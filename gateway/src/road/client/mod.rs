//! The client of one request, whichever version of HTTP it speaks. The road asks both the same things, in the same order:
//! the head, the body piece by piece, an answer's head, its body, its end.

mod http1;
mod http2;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, response};
use pingora::protocols::http::v2::server::HttpSession;
use policies::guard::{AnswerBody, Wire};
use policies::headers::hop::Next;
use policies::reply::Reply;
use policies::verdict::Fault;
use shell::exchange::{Connection, Exchange};
use shell::listen::{Conn, Facts};

pub use http1::{Http1, chunk};
pub use http2::Http2;

use super::upload::Wrong;

/// The client of one request.
#[expect(clippy::large_enum_variant, reason = "most have a connection, and none is ever moved")]
pub enum Client {
    /// It has a connection to itself.
    Http1(Http1),
    /// It has a stream of a connection.
    Http2(Box<Http2>),
}

/// How far a request's body has been read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read {
    /// There is more of it to come.
    Some,
    /// All of it.
    Whole,
}

macro_rules! either {
    ($client:expr, $one:ident => $call:expr) => {
        match $client {
            Client::Http1($one) => $call,
            Client::Http2($one) => $call,
        }
    };
}

impl Client {
    pub fn facts(&self) -> Option<Arc<Facts>> {
        either!(self, client => client.facts())
    }

    /// The head of the request.
    pub fn parts(&self) -> &Parts {
        either!(self, client => client.parts())
    }

    /// The target, byte by byte as it came.
    pub fn target(&self) -> &[u8] {
        either!(self, client => client.target())
    }

    /// What only the connection saw of the request.
    pub fn wire(&self) -> Wire {
        either!(self, client => client.wire())
    }

    /// Takes out fields the document wants dropped.
    pub fn tidy(&mut self, exchange: &Exchange) {
        either!(self, client => client.tidy(exchange));
    }

    /// What it speaks.
    pub fn speaks(&self) -> Next {
        match self {
            Self::Http1(_) => Next::Http1,
            Self::Http2(_) => Next::Http2,
        }
    }

    /// The connection ends with this answer. One of HTTP/2 has other streams, and is told when it ends by other means.
    pub fn ends(&mut self) {
        if let Self::Http1(client) = self {
            client.ends();
        }
    }

    /// Was anything of the answer itself written?
    pub fn has_begun(&self) -> bool {
        either!(self, client => client.has_begun())
    }

    /// Reads what has come of the body and gives each piece of it away.
    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: impl FnMut(&[u8]),
    ) -> Poll<Result<Read, Wrong>> {
        either!(self, client => client.poll_body(context, each))
    }

    /// Ready when the client, which has sent all it has to send, goes away.
    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        either!(self, client => client.poll_gone(context))
    }

    /// An answer of ours, whole.
    pub async fn reply(&mut self, reply: Reply, connection: Connection) -> io::Result<()> {
        match self {
            Self::Http1(client) => client.reply(reply, connection).await,
            Self::Http2(client) => client.reply(reply),
        }
    }

    /// An answer before the answer.
    pub async fn interim(&mut self, answer: &response::Parts) -> io::Result<()> {
        match self {
            Self::Http1(client) => client.interim(answer).await,
            // Pingora has no way to send one on a stream, and nobody may count on it.
            Self::Http2(_) => Ok(()),
        }
    }

    /// The head of the target's answer, dressed, and how its body comes.
    pub async fn head(&mut self, answer: response::Parts, body: AnswerBody) -> io::Result<()> {
        match self {
            Self::Http1(client) => client.head(answer, body).await,
            Self::Http2(client) => client.head(answer, body),
        }
    }

    /// Takes a piece of the answer's body. Asked again with what is left until nothing is.
    pub fn poll_data(&mut self, context: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        either!(self, client => client.poll_data(context, piece))
    }

    /// Lets what was written leave: the target says nothing for the moment.
    pub async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Http1(client) => client.flush().await,
            Self::Http2(client) => client.flush(),
        }
    }

    /// Would it read what follows an answer's body?
    pub fn takes_trailers(&self) -> bool {
        either!(self, client => client.takes_trailers())
    }

    /// The answer is whole; this follows it.
    pub async fn end(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        match self {
            Self::Http1(client) => client.end(trailers.as_ref()).await,
            Self::Http2(client) => client.end(trailers),
        }
    }

    /// What was written is half of something: nobody shall take it for the whole. A connection is merely cut.
    pub fn reset(&mut self) {
        if let Self::Http2(client) = self {
            client.reset();
        }
    }

    /// The connection that a tunnel takes over; a stream is none.
    pub fn conn(&mut self) -> Option<&mut Conn> {
        match self {
            Self::Http1(client) => Some(client.conn()),
            Self::Http2(_) => None,
        }
    }

    /// Its connection, and whether it ends with the last answer; nothing for a stream.
    pub fn into_conn(self) -> Option<(Conn, bool)> {
        match self {
            Self::Http1(client) => Some(client.into_conn()),
            Self::Http2(_) => None,
        }
    }

    /// Its stream; nothing for a connection.
    pub fn into_stream(self) -> Option<HttpSession> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(client) => Some(client.into_stream()),
        }
    }
}

/// What a client did to whom nothing can be written.
pub fn lost(error: &io::Error) -> Wrong {
    let slow = error.kind() == io::ErrorKind::TimedOut;
    Wrong::Client(if slow { Fault::ClientTooSlow } else { Fault::ClientGone })
}
