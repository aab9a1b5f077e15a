//! Heads of HTTP/1.1 as they leave, as bytes. Those that come are read by `policies::guard::raw`.

use bytes::{BufMut, BytesMut};
use http::header::{self, HeaderMap};
use http::{Method, StatusCode, Version, response};

use super::buffers::Buffer;

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
