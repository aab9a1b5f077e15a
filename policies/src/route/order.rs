//! Which of two places is more specific. This file is the whole order; the trie and the sites walk in it.
//!
//! 1. Host: exact, then wildcards with more labels, then any.
//! 2. Path: patterns that say how long the path is; then regular expressions, longer text first; then open ends.
//!    Between two of one kind segment by segment from the left: literal before free, free before an open end.
//! 3. Methods: named before any. (For HEAD, a route that names HEAD before one that names GET.)
//! 4. More header conditions, then more query conditions.
//! 5. Between equals that still differ: exact before regex before present before absent, then by the alphabet, so
//!    that the order in the document never matters. What does not differ at all is a conflict.

use std::cmp::{Ordering, Reverse};

use super::host::Kind;
use super::path::{End, Segment, Shape};
use super::{Host, Path, Pattern};

/// One host and path a route speaks for, and where it stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The index of the route.
    pub route: usize,
    /// One of its hosts.
    pub host: Host,
    /// One of its paths.
    pub path: Path,
    /// In one line, what decides where it stands.
    pub reason: String,
}

/// `Less` is more specific.
pub(super) fn hosts(one: &Host, two: &Host) -> Ordering {
    let rank = |host: &Host| match &host.0 {
        Kind::Exact(_) => (0, Reverse(0)),
        Kind::Under(name) => (1, Reverse(name.split('.').count())),
        Kind::Any => (2, Reverse(0)),
    };
    rank(one).cmp(&rank(two)).then_with(|| one.to_string().cmp(&two.to_string()))
}

/// `Less` is more specific; `Equal` matches the same paths.
pub(super) fn paths(one: &Path, two: &Path) -> Ordering {
    match (&one.0, &two.0) {
        (Shape::Regex(one), Shape::Regex(two)) => {
            (Reverse(one.text().len()), one.text()).cmp(&(Reverse(two.text().len()), two.text()))
        }
        (
            Shape::Segments { segments: one, end: one_end },
            Shape::Segments { segments: two, end: two_end },
        ) => {
            let open = |end: &End| *end != End::Closed;
            open(one_end).cmp(&open(two_end)).then_with(|| segment_by_segment(one, two))
        }
        (Shape::Regex(_), Shape::Segments { end: End::Closed, .. })
        | (Shape::Segments { end: End::Open(_), .. }, Shape::Regex(_)) => Ordering::Greater,
        (Shape::Regex(_), Shape::Segments { .. }) | (Shape::Segments { .. }, Shape::Regex(_)) => {
            Ordering::Less
        }
    }
}

fn segment_by_segment(one: &[Segment], two: &[Segment]) -> Ordering {
    let pair = |(one, two): (&Segment, &Segment)| match (one, two) {
        (Segment::Free(_), Segment::Free(_)) => Ordering::Equal,
        (Segment::Free(_), Segment::Literal(_)) => Ordering::Greater,
        (Segment::Literal(_), Segment::Free(_)) => Ordering::Less,
        (Segment::Literal(one), Segment::Literal(two)) => one.cmp(two),
    };
    let differ = one.iter().zip(two).map(pair).find(|order| order.is_ne());
    differ.unwrap_or_else(|| two.len().cmp(&one.len()))
}

/// `Less` is more specific; `Equal` asks the same of a request, apart from which methods it names.
pub(super) fn rules(one: &Pattern, two: &Pattern) -> Ordering {
    let counts =
        |rule: &Pattern| (rule.methods.is_empty(), Reverse(rule.headers.len()), Reverse(rule.query.len()));
    counts(one).cmp(&counts(two)).then_with(|| conditions(one).cmp(&conditions(two)))
}

/// The conditions in an order of their own: headers first, then how much each pins down, then its words.
fn conditions(rule: &Pattern) -> Vec<(u8, u8, String)> {
    let headers = rule.headers.iter().map(|field| (0, field.test.rank(), field.to_string()));
    let query = rule.query.iter().map(|pair| (1, pair.test.rank(), pair.to_string()));
    let mut conditions: Vec<_> = headers.chain(query).collect();
    conditions.sort();
    conditions
}

/// The line that [`Place::reason`] holds.
pub(super) fn reason(host: &Host, path: &Path, rule: &Pattern) -> String {
    let host = match &host.0 {
        Kind::Exact(_) => "exact host".to_owned(),
        Kind::Under(name) => format!("wildcard host of {} labels", name.split('.').count()),
        Kind::Any => "any host".to_owned(),
    };
    let methods = match rule.methods.as_slice() {
        [] => "any method".to_owned(),
        named => named.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    };
    let conditions = [(rule.headers.len(), "header"), (rule.query.len(), "query")];
    let conditions = conditions.iter().filter(|(count, _)| *count > 0);
    let conditions: String = conditions.map(|(count, of)| format!(", {count} {of} condition(s)")).collect();
    format!("{host}, {}, {methods}{conditions}", path_reason(path))
}

fn path_reason(path: &Path) -> String {
    let Shape::Segments { segments, end } = &path.0 else {
        return "regular expression".to_owned();
    };
    let literal = segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count();
    let free = segments.len() - literal;
    let segments = match (literal, free) {
        (_, 0) => format!("{literal} literal segment(s)"),
        _ => format!("{literal} literal and {free} free segment(s)"),
    };
    if *end == End::Closed { segments } else { format!("{segments}, open end") }
}
