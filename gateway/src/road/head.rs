//! Heads of HTTP/1.1 as bytes: read with `httparse`, written by hand. Answers are read by `policies::guard::raw`.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version, request, response};
use smallvec::SmallVec;

use super::buffers::Buffer;

/// Fields of a usual head; a larger one takes memory of its own.
const USUAL: usize = 48;
/// A request with more has something else in mind. The guard's own bound is lower.
const FIELDS_MAX: usize = 1024;

type Slots<'a> = SmallVec<[httparse::Header<'a>; USUAL]>;

fn slots<'a>(head: &[u8]) -> Slots<'a> {
    let lines = memchr::memchr_iter(b'\n', head).count();
    smallvec::smallvec![httparse::EMPTY_HEADER; lines.clamp(1, FIELDS_MAX)]
}

/// A request's head, whole and vetted, and its target byte by byte.
pub fn request(head: &Bytes) -> Option<(request::Parts, Bytes)> {
    let mut slots = slots(head);
    let mut read = httparse::Request::new(&mut slots);
    if !read.parse(head).ok()?.is_complete() {
        return None;
    }
    let target = head.slice_ref(read.path?.as_bytes());
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::from_bytes(read.method?.as_bytes()).ok()?;
    parts.version = if read.version? == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    // The guard reads the target itself; what a library cannot read of it is left for it to judge.
    parts.uri = Uri::from_maybe_shared(target.clone()).unwrap_or_default();
    parts.headers = fields(head, read.headers)?;
    Some((parts, target))
}

/// May a connection carry another request after this answer?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reusable {
    No,
    Yes,
}

impl Reusable {
    /// As the answer's head says.
    pub fn of(head: &response::Parts) -> Self {
        let closes =
            head.version == Version::HTTP_10 || policies::headers::hop::nominates(&head.headers, "close");
        if closes { Self::No } else { Self::Yes }
    }
}

fn fields(head: &Bytes, read: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(read.len() + 8);
    for field in read {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).ok()?;
        fields.append(name, value);
    }
    Some(fields)
}

/// A request's head as it leaves.
pub fn outgoing(method: &Method, target: &str, fields: &HeaderMap) -> Buffer {
    let mut bytes = Buffer::take();
    bytes.put_slice(method.as_str().as_bytes());
    bytes.put_u8(b' ');
    bytes.put_slice(target.as_bytes());
    bytes.put_slice(b" HTTP/1.1\r\n");
    put(&mut bytes, fields);
    bytes.put_slice(b"\r\n");
    bytes
}

/// An answer's head as it leaves, without the empty line at its end.
pub fn answer(status: StatusCode, fields: &HeaderMap) -> Buffer {
    let mut bytes = begun(status, fields);
    if !fields.contains_key(header::DATE) {
        date(&mut bytes);
    }
    bytes
}

/// The head of an answer before the answer, whole.
pub fn interim(status: StatusCode, fields: &HeaderMap) -> Buffer {
    let mut bytes = begun(status, fields);
    bytes.put_slice(b"\r\n");
    bytes
}

fn begun(status: StatusCode, fields: &HeaderMap) -> Buffer {
    let mut bytes = Buffer::take();
    bytes.put_slice(b"HTTP/1.1 ");
    bytes.put_slice(status.as_str().as_bytes());
    bytes.put_u8(b' ');
    bytes.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    bytes.put_slice(b"\r\n");
    put(&mut bytes, fields);
    bytes
}

/// The last chunk of a body, and what follows it.
pub fn last_chunk(trailers: Option<&HeaderMap>) -> Buffer {
    let mut bytes = Buffer::take();
    bytes.put_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        put(&mut bytes, trailers);
    }
    bytes.put_slice(b"\r\n");
    bytes
}

/// What follows the last chunk, the empty line at its end included.
pub fn trailers(bytes: &Bytes) -> Option<HeaderMap> {
    let mut slots = slots(bytes);
    match httparse::parse_headers(bytes, &mut slots).ok()? {
        httparse::Status::Complete((_, read)) => fields(bytes, read),
        httparse::Status::Partial => None,
    }
}

fn put(bytes: &mut BytesMut, fields: &HeaderMap) {
    for (name, value) in fields {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
}

/// RFC 9110 §6.6.1: a recipient with a clock that gets an answer without Date and passes it on puts one in. Written once
/// a second.
fn date(bytes: &mut BytesMut) {
    thread_local! {
        static NOW: std::cell::RefCell<(u64, String)> = const { std::cell::RefCell::new((0, String::new())) };
    }
    let since = shell::clock::unix().as_secs();
    NOW.with_borrow_mut(|(second, text)| {
        if *second != since {
            *second = since;
            *text = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(since));
        }
        bytes.put_slice(b"date: ");
        bytes.put_slice(text.as_bytes());
        bytes.put_slice(b"\r\n");
    });
}
