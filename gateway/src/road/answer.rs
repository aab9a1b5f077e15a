//! The target's answer on its way to the client: its body is followed to its end, counted, and framed as the client
//! needs it.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use policies::guard::{AnswerBody, Chunks, Piece as InChunks};
use policies::headers::hop::Next;
use policies::resilience::repeat::Sent;
use policies::verdict::Fault;
use shell::exchange::{Breakage, Broke, Exchange, Part};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Broken;
use super::client::{Client, Framed};
use super::head::Reusable;
use super::line::Line;
use super::upload::{Upload, Wrong, chunk};

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
    /// Are they of the body itself?
    pub data: bool,
    /// Does it end with them?
    pub over: bool,
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
        match self {
            Self::Length(0) => Ok(Some(Piece { used: 0, data: false, over: true })),
            _ if bytes.is_empty() => Ok(None),
            Self::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                Ok(Some(Piece { used, data: true, over: *left == 0 }))
            }
            Self::UntilClose => Ok(Some(Piece { used: bytes.len(), data: true, over: false })),
            Self::Chunked(chunks) => match chunks.next(bytes).map_err(|_| Fault::AnswerMalformed)? {
                InChunks::Data(used) => Ok(Some(Piece { used, data: true, over: false })),
                InChunks::Frame(used) | InChunks::Trailers(used) => {
                    Ok(Some(Piece { used, data: false, over: chunks.is_over() }))
                }
            },
        }
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
    ) -> Result<Option<Line>, Torn> {
        let Self { mut line, mut head, body, reusable, silence } = self;
        let chunked = body == AnswerBody::Chunked || body == AnswerBody::UntilClose;
        let said_chunked = head.headers.contains_key(TRANSFER_ENCODING);
        exchange.dress_answer(&mut head.headers, &client.parts.headers, Next::Http1);
        if chunked {
            head.headers.remove(CONTENT_LENGTH);
        }
        let says_chunked = said_chunked && head.headers.contains_key(TRANSFER_ENCODING);
        if exchange.is_last() {
            client.ends();
        }
        let framed = if chunked && !says_chunked { Framed::InChunks } else { Framed::ByField };
        let mut passing = Passing { client, exchange, upload, line: &mut line };
        if passing.client.head(&head, framed).await.is_err() {
            return Err(passing.gone());
        }
        passing.body(Body::new(body), chunked, silence).await?;
        let in_step = reusable == Reusable::Yes && body != AnswerBody::UntilClose && !upload.is_going();
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
    async fn body(&mut self, mut body: Body, chunked: bool, silence: Duration) -> Result<(), Torn> {
        let mut out = BytesMut::new();
        loop {
            while let Some(piece) =
                body.next(&self.line.buffer).map_err(|fault| self.broke(Broken::Target(fault)))?
            {
                let bytes = self.line.buffer.split_to(piece.used);
                let part = Part { bytes: if piece.data { bytes.len() } else { 0 }, last: piece.over };
                if piece.data || piece.over {
                    let counted = self.exchange.answer_chunk(part, if piece.data { &bytes } else { &[] });
                    counted.map_err(|_| Torn)?;
                }
                if piece.data && chunked {
                    out.clear();
                    chunk(&mut out, &bytes);
                    self.write(&out).await?;
                } else if piece.data {
                    self.write(&bytes).await?;
                }
                if piece.over {
                    return self.end(chunked).await;
                }
            }
            self.flush().await?;
            match self.line.more(self.client, self.upload, silence).await {
                Ok(1..) => {}
                Ok(0) if body.ends_with_connection() => {
                    self.exchange.answer_chunk(Part { bytes: 0, last: true }, &[]).map_err(|_| Torn)?;
                    return self.end(chunked).await;
                }
                Ok(0) => return Err(self.broke(Broken::Target(Fault::AnswerTruncated))),
                // Of what it still sends nobody has need: the answer is what counts.
                Err(Broken::Client(Wrong::Malformed | Wrong::Misfit(_))) if self.upload.has_ended() => {}
                Err(broken) => return Err(self.broke(broken)),
            }
        }
    }

    async fn end(&mut self, chunked: bool) -> Result<(), Torn> {
        if chunked {
            self.write(b"0\r\n\r\n").await?;
        }
        self.flush().await
    }

    /// Writes to the client. The upload goes on meanwhile: a target may wait for it before it says more.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Torn> {
        while !bytes.is_empty() {
            let written = std::future::poll_fn(|context| {
                self.line.poll_upload(context, &mut self.client.conn, self.upload);
                Pin::new(&mut self.client.conn).poll_write(context, bytes)
            });
            match written.await {
                Ok(written @ 1..) => bytes.advance(written),
                Ok(_) => return Err(self.gone()),
                Err(error) => return Err(self.lost(&error)),
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Torn> {
        match self.client.conn.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn lost(&mut self, error: &io::Error) -> Torn {
        let slow = error.kind() == io::ErrorKind::TimedOut;
        let fault = if slow { Fault::ClientTooSlow } else { Fault::ClientGone };
        self.broke(Broken::Client(Wrong::Client(fault)))
    }

    fn gone(&mut self) -> Torn {
        self.broke(Broken::Client(Wrong::Client(Fault::ClientGone)))
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
