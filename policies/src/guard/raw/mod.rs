//! Heads of HTTP/1 as bytes, before any library has read, and repaired, them. Of a request here, of an answer in
//! [`answer`].
//!
//! Parsers forgive: a bare line feed, a folded line, both ways of framing at once. What they hand on shows nothing of
//! it. [`request`] and [`vet`] look at the bytes themselves and refuse what two parsers could cut into lines and fields in two
//! ways. They know nothing of what the fields mean: that is [`super::inspect`]'s work, afterwards.

mod answer;
mod lines;
mod request;

use self::lines::{Lines, field};
use super::fields::check_value;
use super::framing::plain_number;
use super::refusal::Refusal;
use super::{Permission, Rules};
use crate::verdict::Denial;
use crate::why::Witness;

pub use self::answer::{answer, answer_end, trailers};
pub(super) use self::lines::is_token;
pub use self::request::{Request, request};

/// The longest method anybody uses is `UPDATEREDIRECTREF`.
const METHOD_BYTES_MAX: usize = 32;

/// What the bytes tell that no library does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Raw {
    /// Is a protocol change asked for? Then what follows the head may be no HTTP.
    pub upgrade: Upgrading,
    /// The body's length, as far as it is told by one plain Content-Length; nothing if it is chunked.
    pub length: Option<u64>,
}

impl Raw {
    /// May what follows the head be no HTTP, once that is granted? A request with a body asks in passing: nobody tunnels those.
    pub fn asks_for_a_tunnel(&self) -> bool {
        self.upgrade == Upgrading::Asked && self.length == Some(0)
    }
}

/// Is a protocol change asked for?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upgrading {
    /// There is an Upgrade field.
    Asked,
    /// There is none.
    No,
}

/// Looks over a whole head, the empty line at its end included, for somebody else to read it. What it takes is what
/// [`request`] takes.
pub fn vet(head: &[u8], rules: &Rules, why: &mut impl Witness) -> Result<Raw, Denial> {
    let examined = examine(head, rules, |_, value| check_value(value, Permission::Allow));
    examined.map(|(_, raw)| raw).map_err(|refusal| told(refusal, why))
}

fn told(refusal: Refusal, why: &mut impl Witness) -> Denial {
    why.note("guard", || refusal.because.to_owned());
    refusal.denial
}

/// The host that a head names, port and all, if it names one at all. For a look ahead that decides nothing but the way it
/// takes: [`vet`] and [`super::inspect`] come after it.
pub fn host_named(head: &[u8]) -> Option<&str> {
    let field = |line: &'_ [u8]| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:"));
    let line = head.split(|byte| *byte == b'\n').find(|line| field(line))?;
    std::str::from_utf8(line.get(5..)?.trim_ascii()).ok()
}

/// Cuts a head into its lines and fields. `keep` gets each field, and looks at the bytes of its value.
fn examine<'a>(
    head: &'a [u8],
    rules: &Rules,
    mut keep: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Refusal>,
) -> Result<(RequestLine<'a>, Raw), Refusal> {
    let Some(head) = head.strip_suffix(b"\r\n\r\n") else {
        return Err(bad("the head does not end with an empty line"));
    };
    let mut lines = Lines::of(head);
    let asked = request_line(lines.next().unwrap_or(Ok(b""))?, rules)?;
    let mut seen = Seen::default();
    for line in lines {
        let (name, value) = field(line?)?;
        // Counted before it is kept: a map of fields has a bound of its own.
        if seen.count == rules.fields.count_max {
            return Err(TOO_MANY);
        }
        seen.count += 1;
        // RFC 9110 §5.1: names are case-insensitive. Most have another length than those that matter here.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => seen.host.add(value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => seen.upgrade.add(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => seen.length.add(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => seen.coding.add(value),
            _ => {}
        }
        keep(name, value)?;
    }
    host(&seen.host, asked.target, asked.version)?;
    let raw = Raw {
        length: length(&seen, asked.version)?,
        upgrade: if seen.upgrade.count > 0 { Upgrading::Asked } else { Upgrading::No },
    };
    Ok((asked, raw))
}

/// A field that matters to where the request ends or goes: how often it is there, and its last value.
#[derive(Default)]
struct Field<'a> {
    count: usize,
    value: &'a [u8],
}

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.count += 1;
        self.value = value;
    }
}

#[derive(Default)]
struct Seen<'a> {
    count: usize,
    coding: Field<'a>,
    host: Field<'a>,
    length: Field<'a>,
    upgrade: Field<'a>,
}

/// The length of the body, if it has one that is told. What is said here of framing is said again of the parsed head, by
/// the same rules: this is for the heads that no parser lets through.
fn length(seen: &Seen<'_>, version: Version) -> Result<Option<u64>, Refusal> {
    match (seen.length.count, seen.coding.count, version) {
        (0, 0, _) => Ok(Some(0)),
        (1, 0, _) => plain_number(seen.length.value)
            .map(Some)
            .ok_or(framing("Content-Length is not one plain number of at most 64 bits")),
        (0, 1, Version::Http11) if seen.coding.value.eq_ignore_ascii_case(b"chunked") => Ok(None),
        (0, 1, Version::Http11) => Err(framing("Transfer-Encoding is something else than one `chunked`")),
        (0, 1, Version::Http10) => Err(framing("Transfer-Encoding belongs to HTTP/1.1 only")),
        (1.., 1.., _) => Err(framing("Content-Length and Transfer-Encoding are both there")),
        _ => Err(framing("Content-Length or Transfer-Encoding is there twice")),
    }
}

/// RFC 9112 §3.2: exactly one Host in HTTP/1.1; and a target that names a host names the same one.
fn host(host: &Field<'_>, target: &[u8], version: Version) -> Result<(), Refusal> {
    match (host.count, version) {
        (1, _) | (0, Version::Http10) => {}
        _ => return Err(bad_host("there is not exactly one Host")),
    }
    let stands_in_none =
        |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b'@' | b'/' | b'?' | b'#' | b',' | b'\\');
    if host.value.iter().any(stands_in_none) {
        return Err(bad_host("Host holds a byte that stands in no host"));
    }
    if target.starts_with(b"/") {
        return Ok(());
    }
    let named = target.iter().position(|&byte| byte == b':');
    let rest = named.and_then(|colon| target.get(colon..)?.strip_prefix(b"://"));
    let authority = rest.and_then(|rest| rest.split(|byte| b"/?".contains(byte)).next());
    match authority {
        Some(authority) if host.count == 1 && !authority.eq_ignore_ascii_case(host.value) => {
            Err(bad_host("the target names another host than Host does"))
        }
        Some(authority) if authority.contains(&b'@') => Err(bad_host("the target names a user")),
        _ => Ok(()),
    }
}

/// The versions of HTTP/1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    Http10,
    Http11,
}

/// What the first line says.
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    version: Version,
}

/// RFC 9112 §3: `method SP request-target SP HTTP-version`, one space each.
fn request_line<'a>(line: &'a [u8], rules: &Rules) -> Result<RequestLine<'a>, Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad_target("the request line is not a method, a target and a version"));
    };
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refusal::new(Denial::BadMethod, "the method is not a token of at most 32 characters"));
    }
    if target.len() > rules.target_bytes_max {
        return Err(Refusal::new(Denial::TargetTooLong, "the target is longer than allowed"));
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(bad_target("the target holds a byte that has to be percent-encoded"));
    }
    // RFC 9112 §3.2: no form of target has a fragment. Libraries drop it without a word.
    if target.contains(&b'#') {
        return Err(bad_target("the target has a fragment"));
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        _ => return Err(Refusal::new(Denial::BadVersion, "the version is neither HTTP/1.1 nor HTTP/1.0")),
    };
    Ok(RequestLine { method, target, version })
}

const TOO_MANY: Refusal = Refusal::new(Denial::HeadersTooLarge, "there are more header fields than allowed");

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHeader, because)
}

const fn bad_host(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHost, because)
}

const fn framing(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadFraming, because)
}

const fn bad_target(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadTarget, because)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::why::Silent;

    /// The head with LF for each line end; what is said about it.
    fn vetted(head: &[u8]) -> String {
        let vetted = vet(head, &Rules::default(), &mut Silent);
        let read = request(&Bytes::copy_from_slice(head), &Rules::default(), &mut Silent);
        assert_eq!(read.map(|read| read.raw), vetted, "one pass, whoever reads what it has let through");
        match vetted {
            Ok(raw) => format!("{:?} {:?}", raw.upgrade, raw.length),
            Err(denial) => denial.slug().to_owned(),
        }
    }

    #[test]
    fn heads_are_cut_in_one_way_only() {
        let rows: &[(&str, &str)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "No Some(0)"),
            ("GET / HTTP/1.0\r\n\r\n", "No Some(0)"),
            ("POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH:  12 \r\n\r\n", "No Some(12)"),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "No None"),
            ("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "Asked Some(0)"),
            ("GET http://A/x HTTP/1.1\r\nHost: a\r\n\r\n", "No Some(0)"),
            // Framing.
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
                "bad-framing",
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "bad-framing"),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", "bad-framing"),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "bad-framing"),
            ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "bad-framing"),
            // Host.
            ("GET / HTTP/1.1\r\n\r\n", "bad-host"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad-host"),
            ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "bad-host"),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad-host"),
            ("GET http://u@b/ HTTP/1.0\r\n\r\n", "bad-host"),
            ("GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", "bad-target"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "bad-header"),
            // Lines.
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost: a\n\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "bad-header"),
            // Fields.
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", "bad-header"),
            ("GET / HTTP/1.1\r\nX\0: a\r\n\r\n", "bad-header"),
            // The request line.
            ("GET  / HTTP/1.1\r\n\r\n", "bad-target"),
            ("GET /a b HTTP/1.1\r\n\r\n", "bad-target"),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n", "bad-target"),
            ("GET /\u{7f} HTTP/1.1\r\n\r\n", "bad-target"),
            ("GET /\r\n\r\n", "bad-target"),
            (" GET / HTTP/1.1\r\n\r\n", "bad-target"),
            ("\r\n\r\n", "bad-target"),
            ("GE(T / HTTP/1.1\r\n\r\n", "bad-method"),
            ("GET / HTTP/1.2\r\n\r\n", "bad-version"),
            ("GET / http/1.1\r\n\r\n", "bad-version"),
            ("GET / HTTP/2.0\r\n\r\n", "bad-version"),
        ];
        for (head, expected) in rows {
            assert_eq!(vetted(head.as_bytes()), *expected, "{head:?}");
        }
    }

    #[test]
    fn what_is_too_long_says_so() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000));
        assert_eq!(vetted(long.as_bytes()), "target-too-long");
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(101));
        assert_eq!(vetted(many.as_bytes()), "headers-too-large");
        let method = format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(33));
        assert_eq!(vetted(method.as_bytes()), "bad-method");
    }

    proptest::proptest! {
        #[test]
        fn no_head_makes_it_panic(head in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            vetted(&head);
            vetted(&[b"GET / HTTP/1.1\r\n".as_slice(), &head, b"\r\n\r\n"].concat());
        }
    }
}
