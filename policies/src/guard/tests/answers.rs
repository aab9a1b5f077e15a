//! What a service may send.

use http::{Method, Response, response};

use super::*;
use crate::verdict::Fault;

/// `status VERSION`, then a line for each field.
fn answer(text: &str) -> response::Parts {
    let mut lines = text.split('\n');
    let (status, version) = lines.next().unwrap().split_once(' ').unwrap();
    let version = match version {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" => Version::HTTP_2,
        other => panic!("{other}"),
    };
    let mut builder = Response::builder().status(status.parse::<u16>().unwrap()).version(version);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        builder = builder.header(name, value.trim());
    }
    builder.body(()).unwrap().into_parts().0
}

fn check_answers(asked: Asked<'_>, rows: &[(&str, Result<AnswerBody, Fault>)]) {
    for (text, expected) in rows {
        assert_eq!(
            inspect_answer(&answer(text), &asked, &Rules::default(), &mut Silent),
            *expected,
            "{text}"
        );
    }
}

const MALFORMED: Result<AnswerBody, Fault> = Err(Fault::AnswerMalformed);

#[test]
fn an_answer_ends_in_one_way_only() {
    check_answers(
        Asked { method: &Method::GET, upgrade: None },
        &[
            ("200 HTTP/1.1\nContent-Length: 5", Ok(AnswerBody::Length(5))),
            ("200 HTTP/1.1\nTransfer-Encoding: chunked", Ok(AnswerBody::Chunked)),
            ("200 HTTP/1.1", Ok(AnswerBody::UntilClose)),
            ("200 HTTP/1.0", Ok(AnswerBody::UntilClose)),
            ("200 HTTP/2", Ok(AnswerBody::Stream)),
            ("204 HTTP/1.1", Ok(AnswerBody::None)),
            ("204 HTTP/1.1\nContent-Length: 0", Ok(AnswerBody::None)),
            ("304 HTTP/1.1\nContent-Length: 5", Ok(AnswerBody::None)),
            ("103 HTTP/1.1\nLink: </a>", Ok(AnswerBody::None)),
            ("200 HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked", MALFORMED),
            ("200 HTTP/1.1\nContent-Length: 5\nContent-Length: 5", MALFORMED),
            ("200 HTTP/1.1\nContent-Length: 5, 5", MALFORMED),
            ("200 HTTP/1.1\nContent-Length: -1", MALFORMED),
            ("200 HTTP/1.1\nTransfer-Encoding: gzip, chunked", MALFORMED),
            ("200 HTTP/1.0\nTransfer-Encoding: chunked", MALFORMED),
            ("200 HTTP/2\nTransfer-Encoding: chunked", MALFORMED),
            ("204 HTTP/1.1\nContent-Length: 5", MALFORMED),
            ("204 HTTP/1.1\nTransfer-Encoding: chunked", MALFORMED),
            ("100 HTTP/1.1\nContent-Length: 5", MALFORMED),
            ("304 HTTP/1.1\nContent-Length: x", MALFORMED),
            ("101 HTTP/1.1\nUpgrade: websocket", MALFORMED),
            ("600 HTTP/1.1", MALFORMED),
            ("999 HTTP/1.1", MALFORMED),
        ],
    );
}

#[test]
fn an_answer_to_head_has_no_body() {
    check_answers(
        Asked { method: &Method::HEAD, upgrade: None },
        &[
            ("200 HTTP/1.1\nContent-Length: 5", Ok(AnswerBody::None)),
            ("200 HTTP/1.1\nTransfer-Encoding: chunked", Ok(AnswerBody::None)),
            ("200 HTTP/1.1", Ok(AnswerBody::None)),
        ],
    );
}

#[test]
fn a_tunnel_opens_only_as_asked() {
    check_answers(
        Asked { method: &Method::GET, upgrade: Some(Upgrade::WebSocket) },
        &[
            ("101 HTTP/1.1\nUpgrade: WebSocket", Ok(AnswerBody::Tunnel)),
            ("101 HTTP/1.1\nUpgrade: h2c", MALFORMED),
            ("101 HTTP/1.1", MALFORMED),
            ("101 HTTP/1.1\nUpgrade: websocket\nContent-Length: 3", MALFORMED),
            ("200 HTTP/1.1\nContent-Length: 5", Ok(AnswerBody::Length(5))),
        ],
    );
    check_answers(
        Asked { method: &Method::CONNECT, upgrade: None },
        &[
            ("200 HTTP/1.1", Ok(AnswerBody::Tunnel)),
            ("403 HTTP/1.1\nContent-Length: 5", Ok(AnswerBody::Length(5))),
        ],
    );
}

#[test]
fn answer_heads_are_bounded() {
    let lines: String = (0..201).map(|index| format!("\nx-{index}: y")).collect();
    let large = format!("\nx: {}", "y".repeat(128 * 1024));
    for fields in [lines, large] {
        check_answers(
            Asked { method: &Method::GET, upgrade: None },
            &[(&format!("200 HTTP/1.1{fields}"), Err(Fault::AnswerTooLarge))],
        );
    }
}
