//! Requests as clients write them, sane and odd.

use proptest::prelude::*;
use proptest::sample::select;

use super::message::Data;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: &'static str,
    pub target: String,
    pub version: &'static str,
    /// Lines of the head behind Host, byte by byte and without their ends.
    pub fields: Vec<String>,
    pub body: Body,
    /// Where the bytes are parted on their way.
    pub cuts: Vec<u16>,
    /// So many bytes of the body's are sent, and then no more.
    pub only: Option<u16>,
}

#[derive(Clone, Debug)]
pub enum Body {
    Chunked {
        chunks: Vec<Chunk>,
        trailers: Vec<&'static str>,
    },
    Length(Data),
    None,
    /// Bytes behind a head that says `chunked`.
    Unchunked(&'static str),
}

#[derive(Clone, Debug)]
pub struct Chunk {
    pub data: Data,
    pub size: Written,
    pub extension: &'static str,
}

/// How a size is written.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    Lower,
    Padded,
    Upper,
}

impl Ask {
    /// Its bytes: the head, and what follows.
    pub fn bytes(&self, case: &str) -> (Vec<u8>, Vec<u8>) {
        let mut head = format!(
            "{} {} {}\r\nHost: shop.example\r\nX-Case: {case}\r\n",
            self.method, self.target, self.version
        )
        .into_bytes();
        for field in &self.fields {
            head.extend_from_slice(field.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let mut body = Vec::new();
        match &self.body {
            Body::None => {}
            Body::Length(bytes) => {
                head.extend_from_slice(format!("Content-Length: {}\r\n", bytes.0.len()).as_bytes());
                body.extend_from_slice(&bytes.0);
            }
            Body::Unchunked(bytes) => {
                head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                body.extend_from_slice(bytes.as_bytes());
            }
            Body::Chunked { chunks, trailers } => {
                head.extend_from_slice(b"transfer-encoding: Chunked\r\n");
                for chunk in chunks.iter().filter(|chunk| !chunk.data.0.is_empty()) {
                    put(&mut body, chunk);
                }
                body.extend_from_slice(b"0\r\n");
                for trailer in trailers {
                    body.extend_from_slice(trailer.as_bytes());
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(b"\r\n");
            }
        }
        head.extend_from_slice(b"\r\n");
        if let Some(only) = self.only {
            body.truncate(usize::from(only));
        }
        (head, body)
    }

    /// The body itself.
    pub fn data(&self) -> Vec<u8> {
        match &self.body {
            Body::Chunked { chunks, .. } => chunks.iter().flat_map(|chunk| chunk.data.0.clone()).collect(),
            Body::Length(bytes) => bytes.0.clone(),
            Body::None | Body::Unchunked(_) => Vec::new(),
        }
    }

    /// Is all of it sent, and does it make sense?
    pub fn is_whole(&self) -> bool {
        let sent = self.only.is_none_or(|only| usize::from(only) >= self.length_on_the_wire());
        sent && !matches!(self.body, Body::Unchunked(_))
    }

    fn length_on_the_wire(&self) -> usize {
        Self { only: None, ..self.clone() }.bytes("").1.len()
    }
}

fn put(body: &mut Vec<u8>, chunk: &Chunk) {
    let size = chunk.data.0.len();
    let size = match chunk.size {
        Written::Lower => format!("{size:x}"),
        Written::Padded => format!("{size:08x}"),
        Written::Upper => format!("{size:X}"),
    };
    body.extend_from_slice(size.as_bytes());
    body.extend_from_slice(chunk.extension.as_bytes());
    body.extend_from_slice(b"\r\n");
    body.extend_from_slice(&chunk.data.0);
    body.extend_from_slice(b"\r\n");
}

/// Any request.
pub fn ask() -> impl Strategy<Value = Ask> {
    let method = select(vec!["GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]);
    let version = prop_oneof![12 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")];
    let fields = proptest::collection::vec(field(), 0..6);
    let only = prop_oneof![15 => Just(None), 1 => (0..200_u16).prop_map(Some)];
    (method, target(), version, fields, body(), cuts(), only).prop_map(
        |(method, target, version, fields, body, cuts, only)| Ask {
            method,
            target,
            version,
            fields,
            body,
            cuts,
            only,
        },
    )
}

pub fn cuts() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 0..5)
}

fn target() -> impl Strategy<Value = String> {
    let odd = select(vec![
        "/",
        "/?",
        "/a?b=c",
        "/a/../b//c?x=/../y",
        "/%61%7Eb",
        "/a;b=c,d/e",
        "/a?x=%20%zz",
        "http://shop.example/x?y",
        "http://shop.example",
        "//shop.example/x",
        "/again/a",
        "/again/b?c",
        "/small/a",
        "/small/b?c",
        "*",
        "/a%2fb",
        "/a b",
    ]);
    prop_oneof![2 => odd.prop_map(str::to_owned), 1 => "(/(again|small|[a-z~._-]{1,5})){1,3}/?(\\?[a-z=&/?:@]{0,8})?"]
}

fn field() -> impl Strategy<Value = String> {
    let name = select(vec![
        "X-One",
        "x-ONE",
        "X-Two",
        "x-two",
        "Accept",
        "User-Agent",
        "COOKIE",
        "Cookie",
        "Via",
        "Range",
        "Content-Type",
        "Warning",
    ]);
    let space = || select(vec!["", " ", "  ", "\t", " \t "]);
    let value = prop_oneof![
        select(vec![
            "",
            "a",
            "a, b",
            "a=b; c=d",
            "\"quoted, text\"",
            "caf\u{e9}",
            "text/html;q=0.9, */*",
            "bytes=0-5"
        ])
        .prop_map(str::to_owned),
        "[!-~]([ -~]{0,20}[!-~])?"
    ];
    let plain = (name, space(), value, space())
        .prop_map(|(name, before, value, after)| format!("{name}:{before}{value}{after}"));
    let hop = select(vec![
        "Connection: keep-alive",
        "connection: Close",
        "Connection: close, x-one",
        "Connection: X-Two",
        "Connection: keep-alive,, x-one ,",
        "Connection:",
        "Connection: authorization",
        "Connection: a b",
        "Connection: x-two, keep-alive\r\nConnection: x-one",
        "Keep-Alive: timeout=5, max=100",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic YTpi",
        "TE: trailers",
        "TE: gzip, trailers",
        "Trailer: X-End",
        "Upgrade: h2c",
        "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: upgrade\r\nUpgrade: websocket",
        "Expect: 100-continue",
        "Max-Forwards: 3",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1",
        "X-Request-Id: mine",
        "X-Banyan-Deadline: 5",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "baggage: a=b",
        "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
        "Idempotency-Key: abc",
        "Authorization: Basic YTpi",
        "Authorization: Basic YTpi\r\nAuthorization: Basic YTpi",
        "X_Two: a",
        "X-Nul: a\u{0}b",
        "Folded: a\r\n b",
        "No-Colon",
        "Spaced : a",
    ])
    .prop_map(str::to_owned);
    prop_oneof![3 => plain, 2 => hop]
}

/// Some bytes, mostly few.
pub fn data(few: usize, many: usize) -> impl Strategy<Value = Data> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..few),
        1 => (1000..many).prop_map(|length| (0..length).map(|at| at as u8).collect()),
    ]
    .prop_map(Data)
}

fn body() -> impl Strategy<Value = Body> {
    let extension = select(vec!["", "", "", ";a", ";a=b", ";a=\"b c\"", ";"]);
    let size = select(vec![Written::Lower, Written::Upper, Written::Padded]);
    let chunk = (data(60, 40_000), size, extension).prop_map(|(data, size, extension)| Chunk {
        data,
        size,
        extension,
    });
    let trailers = proptest::collection::vec(
        select(vec!["X-End: a", "x-one: b", "Content-Length: 5", "Host: evil"]),
        0..3,
    );
    let trailers = prop_oneof![4 => Just(Vec::new()), 1 => trailers];
    let chunked = (proptest::collection::vec(chunk, 0..5), trailers)
        .prop_map(|(chunks, trailers)| Body::Chunked { chunks, trailers });
    let unchunked = select(vec![
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "x\r\n\r\n",
        "-1\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ])
    .prop_map(Body::Unchunked);
    prop_oneof![6 => Just(Body::None), 4 => data(60, 40_000).prop_map(Body::Length), 4 => chunked, 1 => unchunked]
}
