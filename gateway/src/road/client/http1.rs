//! A client that speaks HTTP/1: its body is taken out of its frames, an answer's is put into ours.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Version, response};
use policies::guard::{AnswerBody, Chunks, End, Framings, Piece, Wire};
use policies::headers::hop;
use policies::reply::Reply;
use policies::verdict::Fault;
use shell::exchange::{Connection, Exchange};
use shell::listen::{Conn, Dropped, Facts, Fence};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Read;
use crate::road::head;
use crate::road::upload::Wrong;

/// Read at once.
const SCRATCH_BYTES: usize = 32 * 1024;

thread_local! {
    static SCRATCH: RefCell<[u8; SCRATCH_BYTES]> = const { RefCell::new([0; SCRATCH_BYTES]) };
}

/// A client with a connection to itself.
pub struct Http1 {
    conn: Conn,
    parts: Parts,
    target: Bytes,
    comes: Comes,
    goes: Goes,
    last: bool,
    begun: bool,
}

/// How the request's body is framed.
enum Comes {
    Chunked(Chunks),
    Length(u64),
}

/// How the answer's body is framed, and where in its frame it is.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Goes {
    AsItIs,
    BetweenChunks,
    InChunk,
}

impl Http1 {
    /// A client whose head has been read and vetted, and whose body the connection's fence holds.
    pub fn new(conn: Conn, parts: Parts, target: Bytes, fence: Fence) -> Self {
        let comes = match fence {
            Fence::Chunked(chunks) => Comes::Chunked(chunks),
            Fence::Exactly(bytes) => Comes::Length(bytes),
            Fence::Open => Comes::Length(0),
        };
        // RFC 9112 §9.3: in HTTP/1.0 a connection that stays is an extension; it may always end.
        let last = parts.version == Version::HTTP_10 || hop::nominates(&parts.headers, "close");
        Self { conn, parts, target, comes, goes: Goes::AsItIs, last, begun: false }
    }

    pub fn facts(&self) -> Option<Arc<Facts>> {
        self.conn.facts().cloned()
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// The connection has looked at the very bytes.
    pub fn wire(&self) -> Wire {
        Wire { end: End::Later, framing: Framings::OneOrNone }
    }

    pub fn tidy(&mut self, exchange: &Exchange) {
        exchange.tidy(&mut self.parts.headers);
    }

    pub fn ends(&mut self) {
        self.last = true;
    }

    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    pub fn into_conn(self) -> (Conn, bool) {
        (self.conn, self.last)
    }

    pub fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        each: impl FnMut(&[u8]),
    ) -> Poll<Result<Read, Wrong>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut self.conn).poll_read(context, &mut buffer));
            Poll::Ready(match read {
                Ok(()) if buffer.filled().is_empty() => Err(Wrong::Client(Fault::ClientGone)),
                Ok(()) => self.comes.take(buffer.filled(), each),
                Err(error) => Err(match error.kind() {
                    io::ErrorKind::InvalidData => Wrong::Malformed,
                    _ => super::lost(&error),
                }),
            })
        })
    }

    pub fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut nothing = [0_u8; 1];
        Pin::new(&mut self.conn).poll_read(context, &mut ReadBuf::new(&mut nothing)).map(|_| ())
    }

    pub async fn reply(&mut self, reply: Reply, connection: Connection) -> io::Result<()> {
        // Of a body that is not read to its end nobody knows when it is over.
        self.last |= connection == Connection::Close || self.conn.has_unread();
        self.begun = true;
        let mut bytes = head::answer(reply.status, &reply.headers);
        self.end_head(&mut bytes);
        bytes.extend_from_slice(&reply.body);
        self.conn.write_all(&bytes).await?;
        self.conn.flush().await
    }

    pub async fn interim(&mut self, answer: &response::Parts) -> io::Result<()> {
        // RFC 9110 §15.2: never to a client that speaks HTTP/1.0.
        if self.parts.version == Version::HTTP_10 {
            return Ok(());
        }
        self.conn.write_all(&head::interim(answer.status, &answer.headers)).await?;
        self.conn.flush().await
    }

    pub async fn head(&mut self, mut answer: response::Parts, body: AnswerBody) -> io::Result<()> {
        self.begun = true;
        if self.parts.version == Version::HTTP_10 {
            // It knows no chunks: the body ends with the connection.
            answer.headers.remove(TRANSFER_ENCODING);
            if matches!(body, AnswerBody::Chunked | AnswerBody::UntilClose) {
                self.conn.dropped_as(Dropped::Error);
            }
        } else if matches!(body, AnswerBody::Chunked | AnswerBody::UntilClose) {
            answer.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            self.goes = Goes::BetweenChunks;
        }
        // Whatever it said of the connection, it is a tunnel now.
        self.last &= body != AnswerBody::Tunnel;
        let mut bytes = head::answer(answer.status, &answer.headers);
        self.end_head(&mut bytes);
        self.conn.write_all(&bytes).await
    }

    fn end_head(&self, bytes: &mut BytesMut) {
        if self.last {
            bytes.put_slice(b"connection: close\r\n");
        }
        bytes.put_slice(b"\r\n");
    }

    pub fn poll_data(&mut self, context: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        if self.goes == Goes::BetweenChunks && !piece.is_empty() {
            ready!(self.poll_short(context, Size::of(piece.len()).as_bytes()))?;
            self.goes = Goes::InChunk;
        }
        while !piece.is_empty() {
            match ready!(Pin::new(&mut self.conn).poll_write(context, piece))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => piece.advance(written),
            }
        }
        if self.goes == Goes::InChunk {
            ready!(self.poll_short(context, b"\r\n"))?;
            self.goes = Goes::BetweenChunks;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a few bytes. The connection gathers them: it takes all of them or none.
    fn poll_short(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<()>> {
        let written = ready!(Pin::new(&mut self.conn).poll_write(context, bytes))?;
        let whole = written == bytes.len();
        Poll::Ready(if whole { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) })
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        self.conn.flush().await
    }

    /// RFC 9110 §6.5.1: chunked trailers are for those who say that they read them.
    pub fn takes_trailers(&self) -> bool {
        self.goes != Goes::AsItIs && hop::wants_trailers(&self.parts.headers)
    }

    pub async fn end(&mut self, trailers: Option<&HeaderMap>) -> io::Result<()> {
        if self.goes != Goes::AsItIs {
            self.conn.write_all(&head::last_chunk(trailers)).await?;
        }
        self.conn.flush().await?;
        if self.parts.version == Version::HTTP_10 {
            self.conn.dropped_as(Dropped::End);
        }
        Ok(())
    }
}

impl Comes {
    /// Takes what was read: all of it belongs to the body, the fence sees to that.
    fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<Read, Wrong> {
        let chunks = match self {
            Self::Chunked(chunks) => chunks,
            Self::Length(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(Wrong::Malformed)?;
                each(bytes);
                return Ok(if *left == 0 { Read::Whole } else { Read::Some });
            }
        };
        while !bytes.is_empty() {
            let piece = chunks.next(bytes).map_err(|_| Wrong::Malformed)?;
            let (Piece::Data(used) | Piece::Frame(used) | Piece::Trailers(used)) = piece;
            let (own, rest) = bytes.split_at_checked(used).filter(|_| used > 0).ok_or(Wrong::Malformed)?;
            // What follows the body nobody has vetted, and a service may take it for fields of the head: it ends here.
            if matches!(piece, Piece::Data(_)) {
                each(own);
            }
            bytes = rest;
        }
        Ok(if chunks.is_over() { Read::Whole } else { Read::Some })
    }
}

/// The line before a chunk.
struct Size([u8; 18], usize);

impl Size {
    fn of(bytes: usize) -> Self {
        use std::io::Write;
        let mut line = [0_u8; 18];
        let mut rest = &mut line[..];
        // Sixteen digits and a line end fit.
        let _ = write!(rest, "{bytes:x}\r\n");
        let left = rest.len();
        Self(line, line.len() - left)
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// Writes bytes as one chunk.
pub fn chunk(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(Size::of(bytes.len()).as_bytes());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}
