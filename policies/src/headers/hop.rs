//! Hop-by-hop fields: what was said to us about this connection goes no further. RFC 9110 §7.6.1.
//!
//! Call [`request`] before our own fields are set. The other order lets `Connection: x-forwarded-for` remove what we
//! say about the client.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::names::{is_hop_by_hop, is_protected};
use super::{Fields, list, remove_where};
use crate::verdict::Denial;

/// How many fields one message may nominate. Real ones nominate one or two.
const NOMINATIONS_MAX: usize = 16;

/// A protocol a connection can change to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

impl Upgrade {
    /// Its name in the Upgrade field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
        }
    }
}

/// What the next connection is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Onward {
    /// Who writes Transfer-Encoding.
    pub framing: Framing,
    /// What the next hop speaks.
    pub next: Next,
    /// The tunnel being made: asked for, on a request; granted, on a 101.
    pub upgrade: Option<Upgrade>,
}

/// Who frames the body towards the next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// An engine that reads Transfer-Encoding to know how to write the body (Pingora). It stays; the guard has seen
    /// to it that it says `chunked` and nothing else.
    ByField,
    /// An engine that knows by itself (hyper). Transfer-Encoding goes.
    ByItself,
}

/// What the next hop speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Strips a request. Refuses nominations that are no field names, too many of them, and those of fields that are
/// not the client's to remove.
pub fn request(fields: &mut impl Fields, onward: Onward) -> Result<(), Denial> {
    let nominated = nominated(fields.all())?;
    let trailers = onward.next == Next::Http2 && wants_trailers(fields.all());
    strip(fields, &nominated, onward);
    if trailers {
        // gRPC servers answer only those who say that they read trailers.
        fields.set(header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(())
}

/// Strips an answer. Never refuses: nominations that make no sense are passed over, since the client has done nothing
/// wrong and the field they meant, if any, does no harm.
pub fn answer(fields: &mut impl Fields, onward: Onward) {
    let nominated: SmallVec<[HeaderName; 4]> = options(fields.all())
        // What nearly all of them say, and what is stripped anyway.
        .filter(|option| !option.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| !is_protected(name) && *name != header::SET_COOKIE)
        .take(NOMINATIONS_MAX)
        .collect();
    strip(fields, &nominated, onward);
}

/// Does Connection name this option?
pub fn nominates(headers: &HeaderMap, option: &str) -> bool {
    options(headers).any(|named| named.eq_ignore_ascii_case(option.as_bytes()))
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::CONNECTION).iter().flat_map(|value| list::members(value.as_bytes()))
}

/// The nominated names, without those that are stripped anyway.
fn nominated(headers: &HeaderMap) -> Result<SmallVec<[HeaderName; 4]>, Denial> {
    let mut names = SmallVec::new();
    for option in options(headers) {
        let name = HeaderName::from_bytes(option).map_err(|_| Denial::BadHeader)?;
        if is_protected(&name) || names.len() == NOMINATIONS_MAX {
            return Err(Denial::BadHeader);
        }
        if !is_hop_by_hop(&name) && name != "close" {
            names.push(name);
        }
    }
    Ok(names)
}

fn strip(fields: &mut impl Fields, nominated: &[HeaderName], onward: Onward) {
    remove_where(fields, |name| is_hop_by_hop(name) || nominated.contains(name));
    // HTTP/2 has no Transfer-Encoding, whoever frames.
    if onward.framing == Framing::ByItself || onward.next == Next::Http2 {
        fields.remove(&header::TRANSFER_ENCODING);
    }
    if let (Some(upgrade), Next::Http1) = (onward.upgrade, onward.next) {
        fields.set(header::CONNECTION, HeaderValue::from_static("upgrade"));
        fields.set(header::UPGRADE, HeaderValue::from_static(upgrade.as_str()));
    }
}

/// Does whoever sent this read what follows a body? RFC 9110 §10.1.4.
pub fn wants_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TE).iter().flat_map(|value| list::members(value.as_bytes()));
    codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}
