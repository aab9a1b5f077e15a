//! An answer's head made of any bytes is refused, or has one end, is understood by another parser in the same way, and means
//! the same when it is written again; and it does not matter in which parts it came.
#![no_main]

use bytes::Bytes;
use http::response::Parts;
use http::{Method, Version};
use libfuzzer_sys::fuzz_target;
use policies::guard::{AnswerBody, Asked, FieldLimits, Rules, inspect_answer, raw};
use policies::why::Silent;

const LIMITS: FieldLimits = FieldLimits::OF_ANSWERS;

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    look(data, usize::from(*cut));
    // Most bytes are no status line: here they are fields.
    look(&[b"HTTP/1.1 200 OK\r\n".as_slice(), data, b"\r\n\r\n"].concat(), usize::from(*cut));
});

fn look(bytes: &[u8], cut: usize) {
    let end = raw::answer_end(bytes, 0, LIMITS);
    let before = cut.min(bytes.len());
    match raw::answer_end(&bytes[..before], 0, LIMITS) {
        Ok(None) => assert_eq!(raw::answer_end(bytes, before, LIMITS), end),
        settled => assert_eq!(settled, end),
    }
    let Ok(Some(end)) = end else { return };
    let head = Bytes::copy_from_slice(&bytes[..end]);
    let Ok(parts) = raw::answer(&head, LIMITS, &mut Silent) else { return };
    another_parser_agrees(&head, &parts);
    let again = raw::answer(&written(&parts), LIMITS, &mut Silent).expect("what was read can be read again");
    assert_eq!(
        (again.version, again.status, &again.headers),
        (parts.version, parts.status, &parts.headers)
    );
    for method in [Method::GET, Method::HEAD, Method::POST] {
        let asked = Asked { method: &method, upgrade: None };
        let ends = inspect_answer(&parts, &asked, &Rules::default(), &mut Silent);
        assert_eq!(inspect_answer(&again, &asked, &Rules::default(), &mut Silent), ends);
        if let Ok(ends) = ends {
            one_end(&head, ends);
        }
    }
}

fn written(parts: &Parts) -> Bytes {
    let version = if parts.version == Version::HTTP_11 { "HTTP/1.1" } else { "HTTP/1.0" };
    let mut bytes = format!("{version} {}\r\n", parts.status.as_u16()).into_bytes();
    for (name, value) in &parts.headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.into()
}

/// What we take, a parser that takes more reads in the same way.
fn another_parser_agrees(head: &[u8], parts: &Parts) {
    let mut slots = [httparse::EMPTY_HEADER; 256];
    let mut other = httparse::Response::new(&mut slots);
    let read = other.parse(head).expect("what we take, others take");
    assert_eq!(read, httparse::Status::Complete(head.len()));
    assert_eq!(other.code, Some(parts.status.as_u16()));
    assert_eq!(other.version == Some(1), parts.version == Version::HTTP_11);
    assert_eq!(other.headers.len(), parts.headers.len());
    for name in parts.headers.keys() {
        let theirs = other.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_str()));
        let ours = parts.headers.get_all(name).iter();
        assert!(theirs.map(|field| field.value).eq(ours.map(|value| value.as_bytes())), "{name}");
    }
}

/// Whoever looks for a length or a coding in the bytes finds no more than what we say.
fn one_end(head: &[u8], ends: AnswerBody) {
    let count = |name: &str| {
        let lower = head.to_ascii_lowercase();
        let wanted = [b"\n", name.as_bytes(), b":"].concat();
        lower.windows(wanted.len()).filter(|window| *window == wanted).count()
    };
    let found = (count("content-length"), count("transfer-encoding"));
    match ends {
        AnswerBody::Chunked => assert_eq!(found, (0, 1)),
        AnswerBody::Length(_) => assert_eq!(found, (1, 0)),
        AnswerBody::UntilClose => assert_eq!(found, (0, 0)),
        AnswerBody::None => assert!(found.0 + found.1 <= 1),
        AnswerBody::Stream | AnswerBody::Tunnel => panic!("nobody asked for {ends:?}"),
    }
}
