//! The head of an HTTP/1 request, from its bytes to its parts.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

use super::lines::USUAL;
use super::{Raw, TOO_MANY, bad, examine, told};
use crate::guard::Rules;
use crate::guard::refusal::Refusal;
use crate::verdict::Denial;
use crate::why::Witness;

/// A request's head that can be cut into fields in one way only, cut.
#[derive(Debug)]
pub struct Request {
    /// Method, version and fields. The `uri` is left empty: a library would show it repaired, so only the guard reads the
    /// target.
    pub parts: Parts,
    /// What the bytes tell that no library does.
    pub raw: Raw,
    /// The target, byte by byte as it came.
    pub target: Bytes,
}

/// Reads a whole head, the empty line at its end included. Target and values share the head's memory.
pub fn request(head: &Bytes, rules: &Rules, why: &mut impl Witness) -> Result<Request, Denial> {
    read(head, rules).map_err(|refusal| told(refusal, why))
}

fn read(head: &Bytes, rules: &Rules) -> Result<Request, Refusal> {
    let mut fields = HeaderMap::with_capacity(USUAL);
    let (asked, raw) = examine(head, rules, |name, value| append(&mut fields, name, head.slice_ref(value)))?;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(asked.method)
        .map_err(|_| Refusal::new(Denial::BadMethod, "the method is not a token"))?;
    parts.version = match asked.version {
        super::Version::Http10 => Version::HTTP_10,
        super::Version::Http11 => Version::HTTP_11,
    };
    parts.headers = fields;
    Ok(Request { parts, raw, target: head.slice_ref(asked.target) })
}

/// Puts in a field as it came. The library's types hold nothing that the guard would not take.
pub(super) fn append(fields: &mut HeaderMap, name: &[u8], value: Bytes) -> Result<(), Refusal> {
    let name = HeaderName::from_bytes(name).map_err(|_| bad("a header name is not a token"))?;
    let value =
        HeaderValue::from_maybe_shared(value).map_err(|_| bad("a header value holds a control byte"))?;
    fields.try_append(name, value).map(|_| ()).map_err(|_| TOO_MANY)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::why::Silent;

    #[test]
    fn what_is_read_is_what_was_sent() {
        let head = Bytes::from("PATCH /a/../b?c HTTP/1.0\r\nA:\t b c \t\r\nHOST: x\r\na:\r\n\r\n");
        let read = request(&head, &Rules::default(), &mut Silent).unwrap();
        assert_eq!((read.parts.method, read.parts.version), (Method::PATCH, Version::HTTP_10));
        assert_eq!(read.target, "/a/../b?c");
        let fields: Vec<_> = read.parts.headers.iter().collect();
        assert_eq!(format!("{fields:?}"), r#"[("a", "b c"), ("a", ""), ("host", "x")]"#);
    }
}
