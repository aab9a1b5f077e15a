//! The pages: what each shows, and the few that do something.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use policies::request::Way;
use policies::spiffe::SpiffeId;
use serde_json::{Value, json};

use crate::explain::{Question, explain};
use crate::reload::Plans;

/// The statuses of these pages. They are about the pages, not about anybody's request.
const FINE: u16 = 200;
pub(super) const BAD: u16 = 400;
pub(super) const UNAUTHORIZED: u16 = 401;
pub(super) const FORBIDDEN: u16 = 403;
pub(super) const BROKEN: u16 = 500;
const NOWHERE: u16 = 404;
const NOT_THAT_WAY: u16 = 405;
const UNREADY: u16 = 503;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "banyan

GET   /live /ready       is it alive; does it take requests
GET   /metrics           Prometheus
GET   /config            every setting in effect, and where it comes from
GET   /generations       the last documents, and what changed with each
GET   /targets /limits /connections
GET   /explain?method=GET&url=http://shop.example/orders/42&header=name:value
POST  /rollback?to=N     puts generation N in force again (needs the token)
POST  /drain             takes nothing new, and ends when the last request has (needs the token)
";

/// What the pages show and do.
pub struct Hooks {
    /// The plans over time.
    pub plans: Arc<Plans>,
    /// Does it take requests?
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// All metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The targets and how they are.
    pub targets: Arc<dyn Fn() -> Value + Send + Sync>,
    /// The limits and how full they are.
    pub limits: Arc<dyn Fn() -> Value + Send + Sync>,
    /// The connections.
    pub connections: Arc<dyn Fn() -> Value + Send + Sync>,
    /// Begins to drain.
    pub drain: Arc<dyn Fn() + Send + Sync>,
}

/// An answer.
pub(super) struct Page {
    pub status: u16,
    pub kind: &'static str,
    pub body: String,
}

impl Page {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Self { status, kind: TEXT, body: body.to_owned() }
    }

    fn json(value: &Value) -> Self {
        Self { status: FINE, kind: JSON, body: format!("{value:#}\n") }
    }
}

/// Answers a request that was let in. It may take as long as compiling a document does.
pub(super) fn page(hooks: &Hooks, head: &Parts, body: &[u8]) -> Page {
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let (fits, how) = match (path, &head.method) {
        ("/rollback" | "/drain", method) => (method == Method::POST, "POST\n"),
        ("/explain", &Method::POST) => (true, ""),
        (_, method) => (matches!(*method, Method::GET | Method::HEAD), "GET\n"),
    };
    if !fits {
        return Page::text(NOT_THAT_WAY, how);
    }
    match path {
        "/rollback" | "/drain" => change(hooks, path, query),
        "/" => Page::text(FINE, INDEX),
        "/live" => Page::text(FINE, "alive\n"),
        "/ready" if (hooks.is_ready)() => Page::text(FINE, "ready\n"),
        "/ready" => Page::text(UNREADY, "draining\n"),
        "/metrics" => Page { status: FINE, kind: "text/plain; version=0.0.4", body: (hooks.metrics)() },
        "/config" => {
            let lines = policies::describe::effective(&hooks.plans.document());
            Page::text(FINE, &lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        }
        "/generations" => match serde_json::to_value(hooks.plans.status()) {
            Ok(status) => Page::json(&status),
            Err(error) => Page::text(BAD, &error.to_string()),
        },
        "/targets" => Page::json(&(hooks.targets)()),
        "/limits" => Page::json(&(hooks.limits)()),
        "/connections" => Page::json(&(hooks.connections)()),
        "/explain" => explained(hooks, query, body),
        _ => Page::text(NOWHERE, INDEX),
    }
}

fn change(hooks: &Hooks, path: &str, query: &str) -> Page {
    if path == "/drain" {
        (hooks.drain)();
        return Page::text(FINE, "draining\n");
    }
    let to = match value(query, "to").map(|to| to.parse::<u64>()) {
        None => None,
        Some(Ok(to)) => Some(to),
        Some(Err(_)) => return Page::text(BAD, "`to` is the number of a generation\n"),
    };
    match hooks.plans.rollback(to) {
        Ok(number) => Page::json(&json!({ "generation": number })),
        Err(error) => Page::text(BAD, &format!("{error}\n")),
    }
}

fn explained(hooks: &Hooks, query: &str, body: &[u8]) -> Page {
    let pairs: Vec<(String, String)> =
        form(query).chain(form(std::str::from_utf8(body).unwrap_or_default())).collect();
    let last =
        |name: &str| pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut headers = HeaderMap::new();
    for (_, line) in pairs.iter().filter(|(name, _)| name == "header") {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        match parsed {
            Some((name, value)) => drop(headers.append(name, value)),
            None => return Page::text(BAD, &format!("`{line}` is no header\n")),
        }
    }
    let question = Question {
        method: last("method").unwrap_or_else(|| "GET".into()),
        url: last("url").unwrap_or_default(),
        headers,
        from: last("from").and_then(|from| from.parse().ok()),
        door: last("door").and_then(|door| Way::parse(&door)),
        peer: last("peer").and_then(|peer| SpiffeId::parse(peer).ok()),
        claims: None,
    };
    let (document, generation) = (hooks.plans.document(), hooks.plans.current().generation);
    match explain(&document, &hooks.plans.materials(), generation, &question) {
        Ok(words) => Page::text(FINE, &words),
        Err(problem) => Page::text(BAD, &format!("{problem}\n")),
    }
}

fn value(query: &str, name: &str) -> Option<String> {
    form(query).find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The pairs of a form, decoded.
fn form(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()]
                    .map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
                if let [Some(high), Some(low)] = digits {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                }
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
