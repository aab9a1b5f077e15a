//! The client's side of a request: answers written to its connection.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::response;
use policies::reply::Reply;
use shell::exchange::Connection;
use shell::listen::{Conn, Facts};
use tokio::io::AsyncWriteExt;

use super::{head, wants_close};

/// The client of one request.
pub struct Client {
    pub conn: Conn,
    pub parts: Parts,
    /// The target, byte by byte as it came.
    pub target: Bytes,
    last: bool,
    begun: bool,
}

/// How the body of an answer is told from what follows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framed {
    /// By its length, or because there is none.
    ByField,
    /// In chunks, which the head does not say yet.
    InChunks,
}

impl Client {
    pub fn new(conn: Conn, parts: Parts, target: Bytes) -> Self {
        let last = wants_close(&parts);
        Self { conn, parts, target, last, begun: false }
    }

    pub fn facts(&self) -> Option<Arc<Facts>> {
        self.conn.facts().cloned()
    }

    /// The connection ends with this answer.
    pub fn ends(&mut self) {
        self.last = true;
    }

    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Was anything of the answer itself written?
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn into_conn(self) -> Conn {
        self.conn
    }

    /// An answer of ours, whole.
    pub async fn reply(&mut self, reply: Reply, connection: Connection) -> io::Result<()> {
        if connection == Connection::Close {
            self.last = true;
        }
        self.begun = true;
        let mut bytes = head::answer(reply.status, &reply.headers);
        self.end_head(&mut bytes);
        bytes.extend_from_slice(&reply.body);
        self.conn.write_all(&bytes).await?;
        self.conn.flush().await
    }

    /// An answer before the answer.
    pub async fn interim(&mut self, answer: &response::Parts) -> io::Result<()> {
        let mut bytes = bytes::BytesMut::with_capacity(256);
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(answer.status.as_str().as_bytes());
        bytes.extend_from_slice(b" ");
        bytes.extend_from_slice(answer.status.canonical_reason().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &answer.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        self.conn.write_all(&bytes).await?;
        self.conn.flush().await
    }

    /// The head of the target's answer.
    pub async fn head(&mut self, answer: &response::Parts, framed: Framed) -> io::Result<()> {
        self.begun = true;
        let mut bytes = head::answer(answer.status, &answer.headers);
        if framed == Framed::InChunks {
            bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        self.end_head(&mut bytes);
        self.conn.write_all(&bytes).await
    }

    fn end_head(&self, bytes: &mut bytes::BytesMut) {
        if self.last {
            bytes.extend_from_slice(b"connection: close\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
    }
}
