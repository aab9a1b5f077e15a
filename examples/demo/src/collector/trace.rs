//! A trace: the spans of one request, wherever they were made, and the tree they form.

use std::collections::HashSet;
use std::fmt::Write;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, status::StatusCode};

/// Attributes that tell a reader of a tree nothing new.
const DULL: &[&str] = &[
    "banyan.generation",
    "banyan.request_id",
    "busy_ns",
    "client.address",
    "http.request.method",
    "http.route",
    "idle_ns",
    "level",
    "network.protocol.version",
    "server.address",
    "target",
    "url.scheme",
];
const ATTRIBUTES_MAX: usize = 16;
const TEXT_CHARS_MAX: usize = 120;
/// A tree deeper than this is a mistake in somebody's parents.
const DEPTH_MAX: usize = 40;

/// A span, as far as a reader wants to know.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its id.
    pub id: Vec<u8>,
    /// The span it was made in; empty if there is none.
    pub parent: Vec<u8>,
    /// Who made it.
    pub service: String,
    /// What was done.
    pub name: String,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
    /// What it says of itself.
    pub attributes: Vec<(String, String)>,
    /// What happened meanwhile.
    pub events: Vec<String>,
    /// Did it fail?
    pub failed: bool,
}

/// The spans of one request.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// In the order of their arrival.
    pub spans: Vec<Span>,
}

impl Span {
    /// From what was sent.
    pub fn read(service: &str, span: otlp::Span) -> Self {
        let failed = span.status.is_some_and(|status| status.code() == StatusCode::Error);
        Self {
            id: span.span_id,
            parent: span.parent_span_id,
            service: cut(service),
            name: cut(&span.name),
            began: span.start_time_unix_nano,
            ended: span.end_time_unix_nano,
            attributes: told(span.attributes),
            events: span.events.into_iter().take(ATTRIBUTES_MAX).map(|event| cut(&event.name)).collect(),
            failed,
        }
    }

    /// How long it took, in milliseconds.
    pub fn ms(&self) -> f64 {
        self.ended.saturating_sub(self.began) as f64 / 1e6
    }

    fn line(&self, depth: usize, words: &mut String) {
        let mark = if self.failed { " FAILED" } else { "" };
        let place = format!("{}{}  {}", "  ".repeat(depth), self.service, self.name);
        let _ = write!(words, "{place:<64} {:>9.1} ms{mark}", self.ms());
        for (key, value) in &self.attributes {
            let _ = write!(words, "  {key}={value}");
        }
        for event in &self.events {
            let _ = write!(words, "  [{event}]");
        }
        words.push('\n');
    }
}

/// The text of an attribute, if there is one of this name.
pub fn attribute(all: &[KeyValue], name: &str) -> Option<String> {
    all.iter().find(|pair| pair.key == name).and_then(|pair| text(pair.value.as_ref()))
}

fn told(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    let told = attributes.into_iter().filter(|pair| !DULL.contains(&pair.key.as_str()));
    let told = told.filter(|pair| !pair.key.starts_with("thread.") && !pair.key.starts_with("code."));
    told.filter_map(|pair| Some((cut(&pair.key), text(pair.value.as_ref())?))).take(ATTRIBUTES_MAX).collect()
}

fn text(value: Option<&AnyValue>) -> Option<String> {
    Some(match value?.value.as_ref()? {
        Value::StringValue(text) => cut(text),
        Value::BoolValue(is) => is.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        _ => return None,
    })
}

fn cut(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).take(TEXT_CHARS_MAX).collect()
}

impl Trace {
    /// The span all others hang below: the first that has no parent here.
    pub fn root(&self) -> Option<&Span> {
        self.spans.iter().filter(|span| self.is_root(span)).min_by_key(|span| span.began)
    }

    fn is_root(&self, span: &Span) -> bool {
        !self.spans.iter().any(|other| other.id == span.parent)
    }

    /// Who took part, each once, in the order of their first spans.
    pub fn services(&self) -> Vec<&str> {
        let mut spans: Vec<_> = self.spans.iter().collect();
        spans.sort_by_key(|span| span.began);
        let mut services: Vec<&str> = Vec::new();
        for span in spans {
            if !services.contains(&span.service.as_str()) {
                services.push(&span.service);
            }
        }
        services
    }

    /// From the root down to this span.
    pub fn way<'t>(&'t self, to: &'t Span) -> Vec<&'t Span> {
        let parent = |span: &&'t Span| self.spans.iter().find(|other| other.id == span.parent);
        let mut way: Vec<_> = std::iter::successors(Some(to), parent).take(DEPTH_MAX).collect();
        way.reverse();
        way
    }

    /// The tree, one line for each span.
    pub fn tree(&self) -> String {
        self.drawn(None)
    }

    /// The tree along these ways, in few lines: what branches off is counted in one, and that a proxy hands on what it
    /// has taken goes without saying.
    pub fn tree_along(&self, ways: &[Vec<&Span>]) -> String {
        self.drawn(Some(&ways.iter().flatten().map(|span| span.id.as_slice()).collect()))
    }

    fn drawn(&self, along: Option<&HashSet<&[u8]>>) -> String {
        let mut words = String::new();
        let mut roots: Vec<_> = self.spans.iter().filter(|span| self.is_root(span)).collect();
        roots.sort_by_key(|span| span.began);
        let (drawn, folded): (Vec<_>, Vec<_>) = roots.into_iter().partition(|root| is_drawn(root, along));
        for root in drawn {
            self.branch(root, 0, along, &mut words);
        }
        self.fold(&folded, 0, &mut words);
        words
    }

    fn branch(&self, span: &Span, depth: usize, along: Option<&HashSet<&[u8]>>, words: &mut String) {
        let goes_without_saying = along.is_some() && self.is_handed_on(span);
        if !goes_without_saying {
            span.line(depth, words);
        }
        if depth == DEPTH_MAX {
            return;
        }
        let deeper = depth + usize::from(!goes_without_saying);
        let (drawn, folded): (Vec<_>, Vec<_>) =
            self.below(span).into_iter().partition(|below| is_drawn(below, along));
        for below in drawn {
            self.branch(below, deeper, along, words);
        }
        self.fold(&folded, deeper, words);
    }

    fn fold(&self, folded: &[&Span], depth: usize, words: &mut String) {
        if folded.is_empty() {
            return;
        }
        let many: usize = folded.iter().map(|span| 1 + self.many_below(span, depth)).sum();
        let mut names: Vec<_> = folded.iter().map(|span| span.name.as_str()).collect();
        names.dedup();
        let _ = writeln!(words, "{}(+ {many}: {})", "  ".repeat(depth), cut(&names.join(", ")));
    }

    /// A proxy's second span: its first is what it has taken, this one is what it sends.
    fn is_handed_on(&self, span: &Span) -> bool {
        let parent = self.spans.iter().find(|other| other.id == span.parent);
        let is_proxy = span.service == "gateway" || span.service.ends_with("-sidecar");
        is_proxy && parent.is_some_and(|parent| parent.service == span.service)
    }

    fn below(&self, span: &Span) -> Vec<&Span> {
        let mut below: Vec<_> = self.spans.iter().filter(|other| other.parent == span.id).collect();
        below.sort_by_key(|span| span.began);
        below
    }

    fn many_below(&self, span: &Span, depth: usize) -> usize {
        if depth == DEPTH_MAX {
            return 0;
        }
        self.below(span).iter().map(|child| 1 + self.many_below(child, depth + 1)).sum()
    }
}

fn is_drawn(span: &Span, along: Option<&HashSet<&[u8]>>) -> bool {
    along.is_none_or(|along| along.contains(span.id.as_slice()))
}
