//! Answers that are malformed, or could be read in two ways, and what the client sees of them: never half an answer as a whole
//! one, never bytes of one answer in another.

use gateway::settings::DataPath;

use super::message::{End, text};
use super::upstream::{Does, Then, When};
use super::{Road, Told, connect, receive, say};

/// What a service says to a GET, and what the client sees of it by Pingora and on the short road. A service that has spoken
/// waits, unless the name says that it closes.
const ANSWERS: &[(&str, &str, &str, &str)] = &[
    ("plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", "200 ok"),
    ("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "200 ok", "200 ok"),
    // One end, told once.
    (
        "two lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        MALFORMED,
        MALFORMED,
    ),
    (
        "equal lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        MALFORMED,
        MALFORMED,
    ),
    ("lengths in a list", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", MALFORMED, MALFORMED),
    ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", MALFORMED, MALFORMED),
    ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab", MALFORMED, MALFORMED),
    ("a hexadecimal length", "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nab", MALFORMED, MALFORMED),
    ("an empty length", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nab", MALFORMED, MALFORMED),
    (
        "too large a length",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nab",
        MALFORMED,
        MALFORMED,
    ),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "200 ab",
        MALFORMED,
    ),
    (
        "chunks and length",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "200 ab",
        MALFORMED,
    ),
    (
        "gzip, chunked",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
        MALFORMED,
    ),
    (
        "chunked, identity",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        MALFORMED,
        MALFORMED,
    ),
    (
        "chunked twice",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
        MALFORMED,
    ),
    ("xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", MALFORMED, MALFORMED),
    (
        "identity",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab",
        MALFORMED,
        MALFORMED,
    ),
    (
        "chunked in 1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        MALFORMED,
        MALFORMED,
    ),
    ("204 with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", MALFORMED, MALFORMED),
    ("103 with a body", "HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello", MALFORMED, MALFORMED),
    (
        "101 unasked",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        MALFORMED,
        MALFORMED,
    ),
    // Lines and fields.
    ("bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "200 ok", MALFORMED),
    ("one bare line feed", "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 2\r\n\r\nok", "200 ok", MALFORMED),
    ("a bare carriage return", "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "200 ok", MALFORMED),
    ("a folded first line", "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "200 ok", MALFORMED),
    ("a space in a name", "HTTP/1.1 200 OK\r\nX Y: 2\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("no name", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("no colon", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("NUL in a value", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    (
        "a control byte in a value",
        "HTTP/1.1 200 OK\r\nX: a\u{1}b\r\nContent-Length: 2\r\n\r\nok",
        MALFORMED,
        MALFORMED,
    ),
    ("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok", MALFORMED),
    // The status line.
    ("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("lower case", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("two digits", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("099", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("600", "HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok", MALFORMED, MALFORMED),
    ("a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", MALFORMED, MALFORMED),
    ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", MALFORMED, MALFORMED),
    ("a page without a head", "<html>hello</html>", MALFORMED, MALFORMED),
    // Bodies.
    (
        "a chunk that is longer",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "cut",
        "cut",
    ),
    (
        "a chunk of a negative size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
        "cut",
        "cut",
    ),
    (
        "a chunk without a size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
        "200 ",
        "cut",
    ),
    (
        "too large a chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab",
        "cut",
        "cut",
    ),
    (
        "bare line feeds around a chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n",
        "cut",
        "cut",
    ),
    (
        "a space behind a size",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n",
        "200 ab",
        "cut",
    ),
    (
        "a size in 0x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
        "cut",
        "cut",
    ),
    (
        "a trailer that is none",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX\r\n\r\n",
        "200 ab",
        "cut",
    ),
    (
        "the last chunk is missing, closes",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "cut",
        "cut",
    ),
    ("too short a body, closes", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "cut", "cut"),
    ("half a head, closes", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", RESET, "502 answer-truncated"),
    ("nothing, closes", "", RESET, RESET),
];

const MALFORMED: &str = "502 answer-malformed";
const RESET: &str = "502 upstream-reset";

/// What the client sees, in a few words.
fn seen(told: &Told) -> String {
    let body = text(&told.body);
    let slug = body.split("\"slug\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let status = told.head.as_ref().and_then(|head| head.line.split(' ').nth(1)).unwrap_or_default();
    match told.end {
        End::Whole => format!("{status} {}", slug.unwrap_or(&body)),
        End::Cut => "cut".to_owned(),
        end => format!("{end:?}"),
    }
}

fn hear(road: &Road, case: &str, says: &[u8], then: Then) -> String {
    let does = Does { when: When::AtItsEnd, says: says.to_vec(), cuts: Vec::new(), only: None, then };
    road.upstream.play(case, vec![does]);
    let mut client = connect(road);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Case: {case}\r\n\r\n");
    say(client.get_mut(), request.as_bytes(), &[]).unwrap();
    let told = receive(&mut client, "GET");
    road.upstream.arrived(case);
    // The next one gets its own answer, and nothing of this one.
    let fresh = road.probe(&mut connect(road), &format!("{case} after"));
    let kept = told.end == End::Whole && road.probe(&mut client, &format!("{case} again"));
    match (fresh, kept) {
        (true, true) => format!("{}, kept", seen(&told)),
        (true, false) => seen(&told),
        (false, _) => format!("{}, and the next got none", seen(&told)),
    }
}

#[test]
fn of_a_hostile_answer_the_client_sees_an_error_or_nothing() {
    let (pingora, short) = (Road::new(DataPath::Pingora), Road::new(DataPath::Short));
    let mut wrong = Vec::new();
    for (name, says, by_pingora, on_the_road) in ANSWERS {
        let then = if name.ends_with("closes") { Then::Close } else { Then::Keep };
        for (road, which, expected) in
            [(&pingora, "by Pingora", by_pingora), (&short, "on the road", on_the_road)]
        {
            let heard = hear(road, name, says.as_bytes(), then);
            let heard = heard.strip_suffix(", kept").unwrap_or(&heard);
            if heard != *expected {
                wrong.push(format!("{name} {which}: {heard} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn heads_of_answers_are_bounded() {
    let (pingora, short) = (Road::new(DataPath::Pingora), Road::new(DataPath::Short));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(201));
    let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(130 * 1024));
    let endless = format!("HTTP/1.1 200 {}", "b".repeat(300 * 1024));
    let fits = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "A: b\r\n".repeat(199));
    for (name, says) in [("many", &many), ("large", &large)] {
        let heard = hear(&pingora, name, says.as_bytes(), Then::Keep);
        assert!(heard.starts_with("502 answer-"), "{name} by Pingora: {heard}");
    }
    // Pingora would read on up to a megabyte.
    for (name, says) in [("many", &many), ("large", &large), ("endless", &endless)] {
        let heard = hear(&short, name, says.as_bytes(), Then::Keep);
        assert!(heard.starts_with("502 answer-too-large"), "{name}: {heard}");
    }
    for road in [&pingora, &short] {
        assert_eq!(hear(road, "fits", fits.as_bytes(), Then::Keep), "200 ok, kept");
    }
}
