//! The target: which of its four forms it has, and where path and query lie in it.
//!
//! It is read from the bytes on the wire, by our own few lines, because a general URI parser would take `//host/path`
//! for an authority and drop a fragment without a word.

use http::{Method, Version};

use super::refusal::Refusal;
use super::rules::Rules;
use crate::request::{Incoming, Secure};
use crate::verdict::Denial;

/// The form of a target, RFC 9112 §3.2. The absolute form (a request as to a proxy) counts as [`Form::Origin`] once
/// its authority has been compared with Host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// `OPTIONS *`: the server as such.
    Asterisk,
    /// `CONNECT host:port`: a tunnel.
    Authority,
    /// A path and perhaps a query.
    Origin,
}

/// A target taken apart, nothing normalised yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub(super) authority: Option<&'a str>,
    pub(super) form: Form,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) scheme: Option<Secure>,
    /// Path and query as they were sent.
    pub(super) sent: &'a str,
}

pub(super) fn read<'a>(incoming: &Incoming<'a>, rules: &Rules) -> Result<Target<'a>, Refusal> {
    if incoming.target.len() > rules.target_bytes_max {
        return Err(Refusal::new(Denial::TargetTooLong, "the target is longer than allowed"));
    }
    let text = printable(incoming.target)?;
    let method = &incoming.head.method;
    let target = match text.as_bytes() {
        _ if *method == Method::CONNECT => authority_form(incoming, text)?,
        b"*" if *method == Method::OPTIONS => Target { form: Form::Asterisk, ..origin_form(text) },
        b"*" => return Err(bad("the target `*` is for OPTIONS only")),
        [b'/', ..] => origin_form(text),
        _ => absolute_form(text)?,
    };
    check_query(target.query)?;
    Ok(Target { scheme: target.scheme.or(http2_scheme(incoming)?), ..target })
}

/// Visible ASCII and no fragment. RFC 9112 §3.2 has clients drop the fragment; a server that is sent one may route
/// by what stands after it.
fn printable(target: &[u8]) -> Result<&str, Refusal> {
    match target.iter().find(|byte| !byte.is_ascii_graphic() || **byte == b'#') {
        None => {}
        Some(b'#') => return Err(bad("the target has a fragment")),
        Some(_) => return Err(bad("the target holds a space, a control byte or a byte outside ASCII")),
    }
    std::str::from_utf8(target).map_err(|_| bad("the target is not ASCII"))
}

fn origin_form(text: &str) -> Target<'_> {
    let (path, query) = match memchr::memchr(b'?', text.as_bytes()).map(|mark| text.split_at(mark)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (text, None),
    };
    Target { authority: None, form: Form::Origin, path, query, scheme: None, sent: text }
}

fn absolute_form(text: &str) -> Result<Target<'_>, Refusal> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(bad("the target is neither a path nor a URL"));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Ok(Target { authority: Some(authority), scheme: Some(known_scheme(scheme)?), ..origin_form(path) })
}

/// HTTP/1 has the authority in the target, HTTP/2 in `:authority`; RFC 9110 §9.3.6 wants a port.
fn authority_form<'a>(incoming: &Incoming<'a>, text: &'a str) -> Result<Target<'a>, Refusal> {
    let inside = incoming.head.uri.authority().map_or("", http::uri::Authority::as_str);
    let authority = if incoming.head.version == Version::HTTP_2 { inside } else { text };
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("CONNECT needs a host and a port"));
    }
    Ok(Target { authority: Some(authority), form: Form::Authority, ..origin_form("/") })
}

fn http2_scheme(incoming: &Incoming<'_>) -> Result<Option<Secure>, Refusal> {
    if incoming.head.version != Version::HTTP_2 {
        return Ok(None);
    }
    incoming.head.uri.scheme_str().map(known_scheme).transpose()
}

fn known_scheme(scheme: &str) -> Result<Secure, Refusal> {
    if scheme.eq_ignore_ascii_case("http") {
        Ok(Secure::Plain)
    } else if scheme.eq_ignore_ascii_case("https") {
        Ok(Secure::Tls)
    } else {
        Err(bad("the scheme of the target is neither http nor https"))
    }
}

/// A query is the service's own business and is forwarded as it is. What no browser sends raw, and the HTTP
/// library cannot carry, is refused here rather than there.
fn check_query(query: Option<&str>) -> Result<(), Refusal> {
    match query {
        Some(query) if query.bytes().any(|byte| matches!(byte, b'"' | b'<' | b'>')) => {
            Err(bad("the query holds a raw quote or angle bracket"))
        }
        _ => Ok(()),
    }
}

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadTarget, because)
}
