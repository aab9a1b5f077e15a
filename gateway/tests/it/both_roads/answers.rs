//! Answers as services write them, sane and odd.

use proptest::prelude::*;
use proptest::sample::select;

use super::asks::{cuts, data};
use super::message::Data;
use super::upstream::{Does, Then, When};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub when: When,
    pub interims: Vec<&'static str>,
    pub version: &'static str,
    pub status: u16,
    /// Lines of the head, without their ends.
    pub fields: Vec<&'static str>,
    pub body: Body,
    /// Bytes that nobody asked for, behind it.
    pub stray: &'static str,
    pub cuts: Vec<u16>,
    /// So many bytes of it all are said, and then no more.
    pub only: Option<u16>,
    pub then: Then,
}

#[derive(Clone, Debug)]
pub enum Body {
    Chunked {
        chunks: Vec<Data>,
        extension: &'static str,
        trailers: Vec<&'static str>,
    },
    Length(Data),
    /// Nothing is said of it: it ends where the connection does.
    Unsaid(Data),
    /// These bytes are the whole answer.
    Whole(&'static str),
}

impl Answer {
    /// As an answer to this method.
    pub fn does(&self, method: &str) -> Does {
        let mut says = Vec::new();
        for interim in &self.interims {
            says.extend_from_slice(interim.as_bytes());
        }
        let bodiless = method == "HEAD" || matches!(self.status, 204 | 304);
        self.put(&mut says, bodiless);
        says.extend_from_slice(self.stray.as_bytes());
        let only = self.only.map(|only| usize::from(only) % says.len().max(1));
        Does { when: self.when, says, cuts: self.cuts.clone(), only, then: self.closes(bodiless) }
    }

    fn closes(&self, bodiless: bool) -> Then {
        let must = self.only.is_some()
            || matches!(self.body, Body::Unsaid(_) if !bodiless)
            || matches!(self.body, Body::Whole(_));
        if must && self.then == Then::Keep { Then::Close } else { self.then }
    }

    fn put(&self, says: &mut Vec<u8>, bodiless: bool) {
        if let Body::Whole(bytes) = &self.body {
            return says.extend_from_slice(bytes.as_bytes());
        }
        says.extend_from_slice(format!("{} {} Whatever\r\n", self.version, self.status).as_bytes());
        for field in &self.fields {
            says.extend_from_slice(field.as_bytes());
            says.extend_from_slice(b"\r\n");
        }
        let mut body = Vec::new();
        match &self.body {
            Body::Length(bytes) => {
                says.extend_from_slice(format!("Content-Length: {}\r\n", bytes.0.len()).as_bytes());
                body.extend_from_slice(&bytes.0);
            }
            Body::Unsaid(bytes) => body.extend_from_slice(&bytes.0),
            Body::Chunked { chunks, extension, trailers } => {
                says.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                for chunk in chunks.iter().filter(|chunk| !chunk.0.is_empty()) {
                    body.extend_from_slice(format!("{:x}{extension}\r\n", chunk.0.len()).as_bytes());
                    body.extend_from_slice(&chunk.0);
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"0\r\n");
                for trailer in trailers {
                    body.extend_from_slice(trailer.as_bytes());
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"\r\n");
            }
            Body::Whole(_) => {}
        }
        says.extend_from_slice(b"\r\n");
        if !bodiless {
            says.extend_from_slice(&body);
        }
    }
}

/// Any answer.
pub fn answer() -> impl Strategy<Value = Answer> {
    let when = prop_oneof![9 => Just(When::AtItsEnd), 1 => Just(When::AtOnce)];
    let interim = select(vec![
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX-One: early\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nConnection: x-one\r\nX-One: a\r\n\r\n",
    ]);
    let interims = prop_oneof![6 => Just(Vec::new()), 1 => proptest::collection::vec(interim, 1..3)];
    let version = prop_oneof![8 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let status = select(vec![200, 200, 200, 201, 204, 206, 302, 304, 400, 404, 429, 500, 502, 503, 599, 205]);
    let fields = proptest::collection::vec(field(), 0..5);
    let stray = prop_oneof![12 => Just(""), 1 => Just("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"), 1 => Just("\r\n")];
    let only = prop_oneof![8 => Just(None), 1 => any::<u16>().prop_map(Some)];
    let then = prop_oneof![6 => Just(Then::Keep), 2 => Just(Then::Close), 1 => Just(Then::Reset)];
    (when, interims, version, status, fields, body(), (stray, cuts(), only, then)).prop_map(
        |(when, interims, version, status, fields, body, (stray, cuts, only, then))| Answer {
            when,
            interims,
            version,
            status,
            fields,
            body,
            stray,
            cuts,
            only,
            then,
        },
    )
}

fn field() -> impl Strategy<Value = &'static str> {
    select(vec![
        "X-One: a",
        "x-one:\tb ",
        "X-Two:",
        "Content-Type: text/plain",
        "Date: Sat, 21 Nov 2026 12:00:00 GMT",
        "Server: something/1.0",
        "Set-Cookie: a=b",
        "Set-Cookie: c=d; Path=/",
        "Via: 1.0 somebody",
        "Warning: caf\u{e9}",
        "Connection: close",
        "Connection: keep-alive, X-One",
        "Connection: X-Two",
        "Connection: set-cookie",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Trailer: X-End",
        "Upgrade: h2c",
        "Retry-After: 1",
        "Content-Encoding: gzip",
        "X-Request-Id: theirs",
        "X-Banyan-Tried: 3",
        "X_Under: a",
        "Age: 5",
        "ETag: \"a\"",
        "Grpc-Status: 14",
    ])
}

fn body() -> impl Strategy<Value = Body> {
    let data = || data(60, 60_000);
    let trailer = select(vec!["X-End: a", "x-one: b", "Content-Length: 5"]);
    let trailers = prop_oneof![4 => Just(Vec::new()), 1 => proptest::collection::vec(trailer, 1..3)];
    let extension = select(vec!["", "", ";a=b", ";a=\"b c\""]);
    let chunked = (proptest::collection::vec(data(), 0..4), extension, trailers)
        .prop_map(|(chunks, extension, trailers)| Body::Chunked { chunks, extension, trailers });
    let whole = select(vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nab",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 600 Much\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nonly",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{0}\u{1}\u{2}",
        "",
    ])
    .prop_map(Body::Whole);
    prop_oneof![5 => data().prop_map(Body::Length), 4 => chunked, 2 => data().prop_map(Body::Unsaid), 2 => whole]
}
