//! The target's answer on its way to the client: its body is followed to its end, counted, and framed as the client
//! needs it.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use policies::guard::{AnswerBody, Chunks, Piece as InChunks, raw};
use policies::headers::trailers;
use policies::resilience::repeat::Sent;
use policies::verdict::Fault;
use shell::exchange::{Breakage, Broke, Exchange, Part, Watch};

use super::Broken;
use super::client::{self, Client};
use super::head::Reusable;
use super::line::Line;
use super::tee;
use super::tunnel;
use super::upload::{Upload, Wrong};

/// An answer whose head is judged and passes.
pub struct Answer {
    pub line: Line,
    pub head: Parts,
    pub body: AnswerBody,
    pub reusable: Reusable,
    pub silence: Duration,
}

/// The client has half of an answer.
pub struct Torn;

/// A body that is being read.
pub enum Body {
    Chunked(Chunks),
    Length(u64),
    UntilClose,
}

/// The next bytes of a body.
pub struct Piece {
    /// How many bytes were looked at, from the beginning.
    pub used: usize,
    pub of: Of,
    /// Does the body end with them?
    pub over: bool,
}

/// What bytes belong to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Of {
    /// The body itself.
    Body,
    /// What is around it: sizes, line ends.
    Frame,
    /// What follows it.
    Trailers,
}

impl Body {
    pub fn new(body: AnswerBody) -> Self {
        match body {
            AnswerBody::Chunked => Self::Chunked(Chunks::default()),
            AnswerBody::Length(bytes) => Self::Length(bytes),
            AnswerBody::None => Self::Length(0),
            AnswerBody::Stream | AnswerBody::Tunnel | AnswerBody::UntilClose => Self::UntilClose,
        }
    }

    /// What these bytes begin with; nothing if more of them are needed.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<Piece>, Fault> {
        let (used, of, over) = match self {
            Self::Length(0) => (0, Of::Frame, true),
            _ if bytes.is_empty() => return Ok(None),
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                (used, Of::Body, *left == 0)
            }
            Self::UntilClose => (bytes.len(), Of::Body, false),
            Self::Chunked(chunks) => match chunks.next(bytes).map_err(|_| Fault::AnswerMalformed)? {
                InChunks::Data(used) => (used, Of::Body, false),
                InChunks::Frame(used) => (used, Of::Frame, chunks.is_over()),
                InChunks::Trailers(used) => (used, Of::Trailers, chunks.is_over()),
            },
        };
        Ok(Some(Piece { used, of, over }))
    }

    /// May it end where the connection does?
    fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose)
    }
}

impl Answer {
    /// Passes it on. The connection, if it can carry another request.
    pub async fn pass(
        self,
        client: &mut Client,
        exchange: &mut Exchange,
        upload: &mut Upload,
        watch: &Watch,
    ) -> Result<Option<Line>, Torn> {
        let Self { mut line, mut head, body, reusable, silence } = self;
        exchange.dress_answer(&mut head.headers, &client.parts().headers, client.speaks());
        if exchange.is_last() && body != AnswerBody::Tunnel {
            client.ends();
        }
        if let Some(tee) = &mut upload.copy {
            tee.give(tee::Piece::Answer(head.clone().into()));
        }
        let mut passing = Passing { client, exchange, upload, line: &mut line };
        if body == AnswerBody::Tunnel && !passing.upload.is_through() {
            // It says yes to what it has not read: what follows in the tunnel would be read as a part of it.
            return Err(passing.broke(Broken::Target(Fault::AnswerMalformed)));
        }
        if let Err(error) = passing.client.head(head, body).await {
            return Err(passing.lost(&error));
        }
        if let (Some(carried), Some(conn)) = (passing.exchange.tunnel(), passing.client.conn()) {
            passing.upload.rest();
            tunnel::run(conn, passing.line, silence, &carried).await;
            client.ends();
            return Ok(None);
        }
        passing.body(Body::new(body), watch, silence).await?;
        let in_step = reusable == Reusable::Yes && body != AnswerBody::UntilClose && upload.is_through();
        Ok(in_step.then_some(line))
    }
}

struct Passing<'a> {
    client: &'a mut Client,
    exchange: &'a mut Exchange,
    upload: &'a mut Upload,
    line: &'a mut Line,
}

impl Passing<'_> {
    async fn body(&mut self, mut body: Body, watch: &Watch, silence: Duration) -> Result<(), Torn> {
        let mut trailers = BytesMut::new();
        loop {
            while let Some(piece) =
                body.next(&self.line.buffer).map_err(|fault| self.broke(Broken::Target(fault)))?
            {
                let bytes = self.line.buffer.split_to(piece.used).freeze();
                match piece.of {
                    Of::Body => {
                        let part = Part { bytes: bytes.len(), last: piece.over };
                        self.exchange.answer_chunk(part, &bytes).map_err(|_| Torn)?;
                        if let Some(tee) = &mut self.upload.copy {
                            tee.answer_body(&bytes);
                        }
                        self.write(bytes).await?;
                    }
                    Of::Frame => {}
                    Of::Trailers => trailers.extend_from_slice(&bytes),
                }
                if piece.over {
                    if piece.of != Of::Body {
                        self.over()?;
                    }
                    return self.end(trailers.freeze()).await;
                }
            }
            if let Err(error) = self.client.flush().await {
                return Err(self.lost(&error));
            }
            match self.line.more(self.client, self.upload, watch, silence).await {
                Ok(1..) => {}
                Ok(0) if body.ends_with_connection() => {
                    self.over()?;
                    return self.end(Bytes::new()).await;
                }
                Ok(0) => return Err(self.broke(Broken::Target(Fault::AnswerTruncated))),
                // Of what it still sends nobody has need: the answer is what counts.
                Err(Broken::Client(Wrong::Malformed | Wrong::Misfit(_))) if self.upload.has_ended() => {}
                Err(broken) => return Err(self.broke(broken)),
            }
        }
    }

    fn over(&mut self) -> Result<(), Torn> {
        self.exchange.answer_chunk(Part { bytes: 0, last: true }, &[]).map_err(|_| Torn)
    }

    async fn end(&mut self, trailers: Bytes) -> Result<(), Torn> {
        if let Some(tee) = &mut self.upload.copy {
            tee.give(tee::Piece::AnswerEnd);
        }
        // An empty line always comes.
        let follows = trailers.len() > 2 && self.client.takes_trailers();
        let mut trailers = if follows { raw::trailers(&trailers) } else { None };
        if let Some(trailers) = &mut trailers {
            trailers::strip(trailers);
        }
        let ended = self.client.end(trailers.filter(|trailers| !trailers.is_empty())).await;
        ended.map_err(|error| self.lost(&error))
    }

    /// Writes to the client. The upload goes on meanwhile: a target may wait for it before it says more.
    async fn write(&mut self, mut piece: Bytes) -> Result<(), Torn> {
        let written = std::future::poll_fn(|context| {
            self.line.poll_upload(context, self.client, self.upload);
            self.client.poll_data(context, &mut piece)
        });
        written.await.map_err(|error| self.lost(&error))
    }

    fn lost(&mut self, error: &io::Error) -> Torn {
        self.broke(Broken::Client(client::lost(error)))
    }

    fn broke(&mut self, broken: Broken) -> Torn {
        let breakage = match broken {
            Broken::Client(Wrong::Client(fault)) => Breakage::Client(fault),
            Broken::Client(Wrong::Malformed) => Breakage::Malformed(policies::verdict::Denial::BadBody),
            Broken::Client(Wrong::Misfit(misfit)) => {
                let _ = self.exchange.unfit(misfit);
                return Torn;
            }
            Broken::Target(fault) => {
                let body = self.upload.replayable();
                Breakage::Target(Broke { fault, sent: Sent::Something, body, stale: false })
            }
        };
        let _ = self.exchange.broke(breakage);
        Torn
    }
}
