//! The head of an HTTP/1 answer, from its bytes to its parts. Libraries forgive a service more than a client: folded
//! lines, spaces before colons, bare line feeds, two empty lines to begin with. Here none of it is an answer.
//!
//! It knows nothing of what the fields mean: that is [`crate::guard::inspect_answer`]'s work, afterwards.

use bytes::Bytes;
use http::header::HeaderMap;
use http::response::{Parts, Response};
use http::{StatusCode, Version};

use super::lines::{Lines, USUAL, field};
use super::request::append;
use crate::guard::refusal::Refusal;
use crate::guard::rules::FieldLimits;
use crate::verdict::{Denial, Fault};
use crate::why::Witness;

/// Room for the status line beside the fields.
const STATUS_LINE_ROOM: usize = 1024;
/// Whoever sends more trailers has something else in mind.
const TRAILERS_MAX: usize = 1024;
/// What every answer begins with.
const BEGINNING: &[u8] = b"HTTP/1.";

/// Where the head ends that these bytes begin with, if they hold all of it. The first `looked` bytes were looked at before
/// and are not looked at again. Bytes that can become no head are refused as soon as they are seen: nobody waits for the
/// rest of them.
pub fn answer_end(bytes: &[u8], looked: usize, limits: FieldLimits) -> Result<Option<usize>, Fault> {
    if bytes.iter().zip(BEGINNING).any(|(byte, expected)| byte != expected) {
        return Err(Fault::AnswerMalformed);
    }
    let room = limits.bytes_max.saturating_add(STATUS_LINE_ROOM);
    let within = bytes.get(..room).unwrap_or(bytes);
    for feed in memchr::memchr_iter(b'\n', within.get(looked..).unwrap_or_default()) {
        let behind = looked + feed + 1;
        let line = within.get(..behind).unwrap_or_default();
        if !line.ends_with(b"\r\n") {
            return Err(Fault::AnswerMalformed);
        }
        if line.ends_with(b"\r\n\r\n") {
            return Ok(Some(behind));
        }
    }
    if bytes.len() > room { Err(Fault::AnswerTooLarge) } else { Ok(None) }
}

/// Reads a whole head, the empty line at its end included. On `Err` nothing of the answer is passed on and its connection is
/// closed. The values share the head's memory.
pub fn answer(head: &Bytes, limits: FieldLimits, why: &mut impl Witness) -> Result<Parts, Fault> {
    read(head, limits).map_err(|refusal| {
        why.note("guard", || refusal.because.to_owned());
        match refusal.denial {
            Denial::HeadersTooLarge => Fault::AnswerTooLarge,
            _ => Fault::AnswerMalformed,
        }
    })
}

fn read(bytes: &Bytes, limits: FieldLimits) -> Result<Parts, Refusal> {
    let Some(head) = bytes.strip_suffix(b"\r\n\r\n") else {
        return Err(bad("the head does not end with an empty line"));
    };
    if bytes.len() > limits.bytes_max.saturating_add(STATUS_LINE_ROOM) {
        return Err(TOO_LARGE);
    }
    let mut lines = Lines::of(head);
    let (version, status) = status_line(lines.next().unwrap_or(Ok(b""))?)?;
    let mut headers = HeaderMap::with_capacity(USUAL);
    for line in lines {
        // Counted before it is kept: the map has a bound of its own, and panics there.
        if headers.len() == limits.count_max {
            return Err(TOO_LARGE);
        }
        let (name, value) = field(line?)?;
        append(&mut headers, name, bytes.slice_ref(value))?;
    }
    let (mut parts, ()) = Response::new(()).into_parts();
    (parts.version, parts.status, parts.headers) = (version, status, headers);
    Ok(parts)
}

/// What follows the last chunk of a body, the empty line at its end included, cut into fields. Nothing, if it cannot be cut.
/// The values share its memory.
pub fn trailers(bytes: &Bytes) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    let lines = Lines::of(bytes.strip_suffix(b"\r\n\r\n")?);
    for line in lines {
        let (name, value) = field(line.ok()?).ok().filter(|_| fields.len() < TRAILERS_MAX)?;
        append(&mut fields, name, bytes.slice_ref(value)).ok()?;
    }
    Some(fields)
}

/// RFC 9112 §4: `HTTP-version SP status-code SP [ reason-phrase ]`. Many leave the last space out when no reason follows,
/// and nobody misunderstands it.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Refusal> {
    let (version, rest) = line.split_at_checked(9).ok_or(NO_STATUS_LINE)?;
    let version = match version {
        b"HTTP/1.0 " => Version::HTTP_10,
        b"HTTP/1.1 " => Version::HTTP_11,
        _ => return Err(bad("the version is neither HTTP/1.1 nor HTTP/1.0")),
    };
    let (digits, reason) = rest.split_at_checked(3).ok_or(NO_STATUS_LINE)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(reason.first(), None | Some(b' ')) {
        return Err(NO_STATUS_LINE);
    }
    crate::guard::fields::check_value(reason, crate::guard::Permission::Allow)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| bad("the status is below 100"))?;
    Ok((version, status))
}

const NO_STATUS_LINE: Refusal = bad("the status line is not a version, three digits and a reason");
const TOO_LARGE: Refusal =
    Refusal::new(Denial::HeadersTooLarge, "the head of the answer is larger than allowed");

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHeader, because)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::guard::{Asked, Rules, inspect_answer};
    use crate::why::Silent;

    const LIMITS: FieldLimits = FieldLimits::OF_ANSWERS;

    /// What a head says: `version status end name=value ...`; or what is wrong.
    fn said(head: &str) -> String {
        let Ok(parts) = answer(&Bytes::copy_from_slice(head.as_bytes()), LIMITS, &mut Silent) else {
            return "no".into();
        };
        let asked = Asked { method: &http::Method::GET, upgrade: None };
        match inspect_answer(&parts, &asked, &Rules::default(), &mut Silent) {
            Err(_) => "unfit".into(),
            Ok(end) => {
                let fields = parts.headers.iter();
                let fields: String = fields.map(|(name, value)| format!(" {name}={value:?}")).collect();
                format!("{:?} {} {end:?}{fields}", parts.version, parts.status.as_u16())
            }
        }
    }

    #[test]
    fn a_head_says_one_thing_or_nothing() {
        let rows: &[(&str, &str)] = &[
            ("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 UntilClose"),
            ("HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 UntilClose"),
            ("HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 UntilClose"),
            ("HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200 UntilClose"),
            ("HTTP/1.1 200 Tr\u{e8}s bien\r\n\r\n", "HTTP/1.1 200 UntilClose"),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.1 103 None link=\"</a>\""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 Length(5) content-length=\"5\""),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding:CHUNKED\r\n\r\n",
                "HTTP/1.1 200 Chunked transfer-encoding=\"CHUNKED\"",
            ),
            ("HTTP/1.1 200 OK\r\nA:\t b c \t\r\na:\r\n\r\n", "HTTP/1.1 200 UntilClose a=\"b c\" a=\"\""),
            // One end, told once.
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", "unfit"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n", "unfit"),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "unfit"),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "unfit"),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "unfit"),
            // Lines.
            ("HTTP/1.1 200 OK\nA: b\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n\r\n", "no"),
            ("\r\nHTTP/1.1 200 OK\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n", "no"),
            ("\r\n\r\n", "no"),
            ("", "no"),
            // Fields.
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nContent Length: 5\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: b\u{b}\r\n\r\n", "no"),
            ("HTTP/1.1 200 OK\r\nA: \u{7f}\r\n\r\n", "no"),
            // The status line.
            ("HTTP/1.2 200 OK\r\n\r\n", "no"),
            ("HTTP/2 200 OK\r\n\r\n", "no"),
            ("HTTP/2.0 200 OK\r\n\r\n", "no"),
            ("HTTP/1.1\r\n\r\n", "no"),
            ("HTTP/11 200 OK\r\n\r\n", "no"),
            ("http/1.1 200 OK\r\n\r\n", "no"),
            ("ICY 200 OK\r\n\r\n", "no"),
            ("HTTP/1.1  200 OK\r\n\r\n", "no"),
            ("HTTP/1.1\t200 OK\r\n\r\n", "no"),
            (" HTTP/1.1 200 OK\r\n\r\n", "no"),
            ("HTTP/1.1 20 OK\r\n\r\n", "no"),
            ("HTTP/1.1 2000 OK\r\n\r\n", "no"),
            ("HTTP/1.1 +20 OK\r\n\r\n", "no"),
            ("HTTP/1.1 2e2 OK\r\n\r\n", "no"),
            ("HTTP/1.1 099 OK\r\n\r\n", "no"),
            ("HTTP/1.1 000 OK\r\n\r\n", "no"),
            ("HTTP/1.1 200OK\r\n\r\n", "no"),
            ("HTTP/1.1 200\tOK\r\n\r\n", "no"),
            ("HTTP/1.1 200 O\0K\r\n\r\n", "no"),
            ("HTTP/1.1 600 OK\r\n\r\n", "unfit"),
            ("HTTP/1.1 999 OK\r\n\r\n", "unfit"),
            ("GET / HTTP/1.1\r\n\r\n", "no"),
            ("<html>\r\n\r\n", "no"),
        ];
        for (head, expected) in rows {
            assert_eq!(said(head), *expected, "{head:?}");
        }
    }

    #[test]
    fn trailers_are_cut_as_heads_are() {
        let cut = |bytes: String| trailers(&Bytes::from(bytes)).map(|fields| format!("{fields:?}"));
        assert_eq!(cut("A:\t b\r\na: c\r\n\r\n".into()).as_deref(), Some(r#"{"a": "b", "a": "c"}"#));
        for bytes in
            ["", "\r\n", "A: b\r\n", "A: b\n\r\n", "A : b\r\n\r\n", "A: b\r\n c\r\n\r\n", "A: \0\r\n\r\n"]
        {
            assert_eq!(cut(bytes.into()), None, "{bytes:?}");
        }
        assert!(cut("a: b\r\n".repeat(1024) + "\r\n").is_some());
        assert_eq!(cut("a: b\r\n".repeat(1025) + "\r\n"), None);
    }

    #[test]
    fn heads_are_bounded() {
        let outcome = |fields: String| {
            let head = Bytes::from(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            let end = answer_end(&head, 0, LIMITS);
            answer(&head, LIMITS, &mut Silent).map(|parts| (parts.headers.len(), end == Ok(Some(head.len()))))
        };
        assert_eq!(outcome("a: b\r\n".repeat(200)), Ok((200, true)));
        assert_eq!(outcome("a: b\r\n".repeat(201)), Err(Fault::AnswerTooLarge));
        assert_eq!(outcome(format!("a: {}\r\n", "b".repeat(127 * 1024))), Ok((1, true)));
        assert_eq!(outcome(format!("a: {}\r\n", "b".repeat(129 * 1024))), Err(Fault::AnswerTooLarge));
        let endless = [b"HTTP/1.1 200 ".as_slice(), &vec![b'x'; 130 * 1024]].concat();
        assert_eq!(answer_end(&endless, 0, LIMITS), Err(Fault::AnswerTooLarge));
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
        for size in 1..bytes.len() {
            let (mut looked, mut found) = (0, None);
            for so_far in (1..=bytes.len()).step_by(size).chain([bytes.len()]) {
                found = answer_end(&bytes[..so_far], looked, LIMITS).unwrap();
                if found.is_some() {
                    break;
                }
                looked = so_far;
            }
            assert_eq!(found, Some(25), "in parts of {size}");
        }
    }

    #[test]
    fn what_can_become_no_head_is_not_waited_for() {
        for bytes in ["S", "HTTQ", "HTTP/2", "\r\n", "HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\r\nA: b\n", "\n"] {
            assert_eq!(answer_end(bytes.as_bytes(), 0, LIMITS), Err(Fault::AnswerMalformed), "{bytes:?}");
        }
        for bytes in ["", "H", "HTTP/1.", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 OK\r\n\r"] {
            assert_eq!(answer_end(bytes.as_bytes(), 0, LIMITS), Ok(None), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_head_makes_it_panic(head in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            for head in [head.clone(), [b"HTTP/1.1 200 OK\r\n".as_slice(), &head, b"\r\n\r\n"].concat()] {
                let _ = answer_end(&head, 0, LIMITS);
                let _ = answer(&Bytes::from(head), LIMITS, &mut Silent);
            }
        }
    }
}
