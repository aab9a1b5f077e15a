//! What may differ between the two roads, each with its reason. Everything else is a bug of one of them.

use super::answers::Body as AnswerBody;
use super::asks::{Ask, Body};
use super::message::{End, Head};
use super::upstream::{Then, When};
use super::{Case, Exchange, Speaks, Story, Told};

/// Values made anew for each request, or read from a clock.
const MADE: [&str; 6] = ["b3", "date", "traceparent", "x-banyan-deadline", "x-request-id", "x-case"];

/// Leaves out of a case what cannot be told twice alike, on whichever road.
pub fn tellable(mut case: Case) -> Case {
    let last = case.exchanges.len() - 1;
    for (index, exchange) in case.exchanges.iter_mut().enumerate() {
        if index != last {
            // Behind half a request there is no other one.
            exchange.ask.only = None;
        }
        if case.together {
            // Behind a request that asks for another protocol nothing follows before the answer.
            exchange.ask.fields.retain(|field| !field.to_ascii_lowercase().contains("upgrade"));
        }
        if case.speaks == Speaks::Http2 {
            exchange.ask.version = "HTTP/2";
            // After a request with a body Pingora may leave the next stream without an answer.
            if index != last || case.together {
                exchange.ask.body = Body::None;
            }
        }
        for answer in &mut exchange.answers {
            // Whoever answers before the request's end may be heard before or after the rest of it has left.
            if index != last || case.together {
                answer.when = When::AtItsEnd;
            }
            // When several requests are on their way, the end of a connection, or what nobody asked for, may come before or
            // after its next use.
            if case.together {
                (answer.then, answer.stray) = (Then::Keep, "");
            }
        }
    }
    case
}

/// The differences that nobody can justify, one in a line.
pub fn unjustified(case: &Case, pingora: &Story, short: &Story) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: String, one: String, other: String| {
        if one != other {
            found.push(format!("{what}: {one} by Pingora, {other} on the short road"));
        }
    };
    for (index, (one, other)) in pingora.told.iter().zip(&short.told).enumerate() {
        let Some(exchange) = case.exchanges.get(index) else { continue };
        if PARTINGS.iter().any(|(_, parts)| parts(exchange, one, other)) {
            return found;
        }
        let (first, second) = (plain(one, exchange), plain(other, exchange));
        for (name, first, second) in aspects(&first, &second) {
            compare(format!("{index}: {name}"), first, second);
        }
        if ENDINGS.iter().any(|(_, ends)| ends(exchange, one, other)) {
            return found;
        }
    }
    compare("answers".into(), pingora.told.len().to_string(), short.told.len().to_string());
    compare("kept".into(), pingora.kept.to_string(), short.kept.to_string());
    found
}

type So = fn(&Exchange, &Told, &Told) -> bool;

/// Where the roads part: neither this exchange nor what follows on its connection is compared.
const PARTINGS: &[(&str, So)] = &[
    (
        "Pingora looks at the first Connection only, and passes over what is nominated there and is not the client's to \
         remove. The road refuses it, as the sidecar does.",
        |exchange, _, _| is_nominated_oddly(&exchange.ask),
    ),
    (
        "Of an answer with both Content-Length and Transfer-Encoding Pingora drops the first. To the road it is no answer.",
        |exchange, _, _| {
            exchange.answers.iter().any(|answer| {
                matches!(answer.body, AnswerBody::Whole(bytes) if bytes.contains("Length: 5\r\nTransfer-Encoding"))
            })
        },
    ),
    (
        "Which is first, the answer of a service that waits for nothing, or the refusal of a body?",
        |exchange, _, _| is_early(exchange) && (!exchange.ask.is_whole() || is_too_large(&exchange.ask)),
    ),
    (
        "A connection from a pool that gives nothing has died there, and what may be sent again is. Pingora says so of one that \
         breaks off in the middle of a head, too; and the two have other connections in their pools.",
        |exchange, pingora, short| is_broken(exchange) && attempts(pingora) != attempts(short),
    ),
    (
        "Half an answer to a client of HTTP/1.0 ends as a whole one would by Pingora, and with an error on the road.",
        |exchange, _, short| exchange.ask.version == "HTTP/1.0" && short.end == End::Cut,
    ),
    (
        "By HTTP/2 Pingora may take the end of a service's connection, with which its answer ends, for a break while it still \
         tells it that the request has ended.",
        |exchange, pingora, short| {
            let unsaid = exchange.answers.iter().any(|answer| matches!(answer.body, AnswerBody::Unsaid(_)));
            unsaid
                && pingora.end == End::Cut
                && short.head.as_ref().is_some_and(|head| head.line.starts_with("HTTP/2"))
        },
    ),
    (
        "Pingora takes a head before the answer for its beginning: after it there is no other attempt, and no answer of ours.",
        |exchange, pingora, _| {
            let interims = exchange.answers.iter().any(|answer| !answer.interims.is_empty());
            interims && (pingora.end == End::Cut || failed(pingora))
        },
    ),
];

/// After these the connections of the two roads have nothing more in common.
const ENDINGS: &[(&str, So)] = &[
    ("Pingora ends the connection after an attempt that failed. The road need not.", |_, pingora, short| {
        failed(pingora) && says_close(pingora) && !says_close(short)
    }),
    (
        "A service that answers early may be heard before or after the rest of the request has left; the connection is only \
         kept if all of it had.",
        |exchange, _, _| is_early(exchange),
    ),
    (
        "In HTTP/1.0 a connection that stays is an extension, which Pingora knows and the road does not.",
        |exchange, _, _| exchange.ask.version == "HTTP/1.0",
    ),
];

fn is_early(exchange: &Exchange) -> bool {
    exchange.answers.iter().any(|answer| answer.when == When::AtOnce)
}

/// Is there an answer that breaks off?
fn is_broken(exchange: &Exchange) -> bool {
    let nothing = |body: &AnswerBody| matches!(body, AnswerBody::Whole(""));
    exchange.answers.iter().any(|answer| answer.only.is_some() || nothing(&answer.body))
}

fn attempts(told: &Told) -> Vec<&[String]> {
    told.arrived.iter().map(|arrived| arrived.head.all("x-banyan-attempt")).collect()
}

/// Does the client say something of its connection that Pingora understands otherwise? It looks at the first `Connection` only,
/// and passes over what is nominated there and is not the client's to remove.
fn is_nominated_oddly(ask: &Ask) -> bool {
    let fields: Vec<_> = ask.fields.iter().map(|field| field.to_ascii_lowercase()).collect();
    let lines = fields.iter().flat_map(|field| field.split("\r\n"));
    let connections: Vec<_> = lines.filter(|line| line.starts_with("connection:")).collect();
    connections.len() > 1
        || connections.iter().any(|line| line.contains("authorization") || line.contains("a b"))
}

/// Is this an answer of ours after an attempt that failed?
fn failed(told: &Told) -> bool {
    told.head.as_ref().is_some_and(|head| head.says("content-type", "application/problem+json"))
        && status(told).starts_with('5')
}

fn says_close(told: &Told) -> bool {
    told.head.as_ref().is_some_and(|head| head.says("connection", "close"))
}

fn status(told: &Told) -> &str {
    told.head.as_ref().and_then(|head| head.line.split(' ').nth(1)).unwrap_or_default()
}

fn is_about(told: &Told, slug: &str) -> bool {
    super::message::text(&told.body).contains(&format!("\"slug\":\"{slug}\""))
}

/// What is told of an exchange, aspect by aspect.
fn aspects(one: &Told, other: &Told) -> Vec<(String, String, String)> {
    let mut all = vec![
        ("end".to_owned(), format!("{:?}", one.end), format!("{:?}", other.end)),
        ("body".to_owned(), shown(&one.body), shown(&other.body)),
        ("trailers".to_owned(), format!("{:?}", one.trailers), format!("{:?}", other.trailers)),
        ("arrivals".to_owned(), one.arrived.len().to_string(), other.arrived.len().to_string()),
        ("interims".to_owned(), one.interims.len().to_string(), other.interims.len().to_string()),
    ];
    let nothing = Head::default();
    let (first, second) = (one.head.as_ref().unwrap_or(&nothing), other.head.as_ref().unwrap_or(&nothing));
    heads("answer", first, second, &mut all);
    for (one, other) in one.interims.iter().zip(&other.interims) {
        heads("interim", one, other, &mut all);
    }
    for (one, other) in one.arrived.iter().zip(&other.arrived) {
        heads("request", &one.head, &other.head, &mut all);
        all.push(("request's body".to_owned(), shown(&one.body), shown(&other.body)));
        all.push(("request's end".to_owned(), format!("{:?}", one.end), format!("{:?}", other.end)));
        all.push((
            "request's trailers".to_owned(),
            format!("{:?}", one.trailers),
            format!("{:?}", other.trailers),
        ));
    }
    all
}

fn heads(whose: &str, one: &Head, other: &Head, all: &mut Vec<(String, String, String)>) {
    all.push((format!("{whose}'s line"), one.line.clone(), other.line.clone()));
    let names: std::collections::BTreeSet<_> = one.fields.keys().chain(other.fields.keys()).collect();
    for name in names {
        let (one, other) = (format!("{:?}", one.all(name)), format!("{:?}", other.all(name)));
        all.push((format!("{whose}'s {name}"), one, other));
    }
}

/// A body in a few words.
fn shown(bytes: &[u8]) -> String {
    let text = super::message::text(bytes);
    match bytes.len() {
        ..=200 => format!("{text:?}"),
        length => {
            let sum =
                bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            format!("{length} bytes ({sum:x})")
        }
    }
}

/// What remains of an exchange when all is taken out that may differ.
fn plain(told: &Told, exchange: &Exchange) -> Told {
    let mut told = told.clone();
    let failed = failed(&told);
    for trailers in told.arrived.iter().map(|arrived| &arrived.trailers).chain([&told.trailers]) {
        assert!(!trailers.keys().any(|name| ["content-length", "host"].contains(&name.as_str())), "{told:?}");
    }
    let id = told.head.as_ref().map(|head| head.all("x-request-id").concat()).unwrap_or_default();
    if !id.is_empty()
        && let Ok(text) = String::from_utf8(told.body.clone())
    {
        told.body = text.replace(&id, "ID").into_bytes();
    }
    for head in told.arrived.iter_mut().map(|arrived| &mut arrived.head) {
        made(head);
    }
    for head in told.interims.iter_mut().chain(&mut told.head) {
        made(head);
        // The reason means nothing (RFC 9112 §4): the road writes the standard one, Pingora the target's. And a server answers
        // in its own version (RFC 9110 §6.2), where Pingora says HTTP/1.0 to whoever speaks it.
        head.line = head.line.split(' ').nth(1).unwrap_or_default().to_owned();
        // In HTTP/1.1 that is what no `Connection` says.
        if head.says("connection", "keep-alive") && exchange.ask.version == "HTTP/1.1" {
            head.fields.remove("connection");
        }
        // Of two Dates Pingora passes on one.
        if let Some(dates) = head.fields.get_mut("date") {
            dates.truncate(1);
        }
    }
    if failed && let Some(head) = &mut told.head {
        head.fields.remove("connection");
    }
    if told.arrived.len() > 1 {
        // Heads before an answer that is tried again: whether they have left by then is a matter of time.
        told.interims.clear();
    }
    for arrived in &mut told.arrived {
        // Pingora drops the trailers of requests, and takes the announcement out; the road passes both on.
        arrived.head.fields.remove("trailer");
        arrived.trailers.clear();
        if arrived.body.is_empty() {
            // Pingora leaves out that a body which turned out to be empty was sent in chunks.
            arrived.head.fields.remove("transfer-encoding");
        }
    }
    if told.end == End::Cut {
        // What of a broken answer had left before it broke is a matter of time. That it is broken is not.
        (told.head, told.body) = (None, Vec::new());
        told.interims.clear();
    }
    let broke_off =
        ["answer-malformed", "answer-truncated", "upstream-reset"].iter().any(|slug| is_about(&told, slug));
    if (broke_off || (failed && exchange.ask.method == "HEAD"))
        && let Some(head) = &mut told.head
    {
        // Did it break off in the head, or before, or was it none? Pingora does not always say; what follows is the same.
        told.body = b"(broke off)".to_vec();
        head.fields.remove("content-length");
    }
    if exchange.ask.version == "HTTP/1.0"
        && let Some(head) = &mut told.head
    {
        // Pingora sends chunks, and heads before the answer, even to those who do not know them.
        head.fields.remove("transfer-encoding");
        head.fields.remove("connection");
        told.interims.clear();
    }
    // Pingora drops the trailers of answers; the road passes on those that are the service's to say.
    told.trailers.clear();
    if is_early(exchange)
        && let Some(head) = &mut told.head
    {
        head.fields.remove("connection");
    }
    if is_early(exchange) || !exchange.ask.is_whole() || is_too_large(&exchange.ask) {
        // How much of the request had left when it came to its end is a matter of time.
        told.arrived.clear();
    }
    told
}

fn made(head: &mut Head) {
    for (name, values) in &mut head.fields {
        if MADE.contains(&name.as_str()) {
            values.fill("(made)".to_owned());
        }
    }
}

/// Is it refused when its body is seen to be larger than its route takes?
fn is_too_large(ask: &Ask) -> bool {
    ask.target.contains("small") && ask.data().len() > 16
}
