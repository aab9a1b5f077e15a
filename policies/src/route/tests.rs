//! Decision tables for patterns, precedence and fallback; the agreement of the trie with a reference that reads
//! every pattern; attacks on the lookup.

mod patterns;
mod precedence;
mod reference;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;
use crate::why::{Notes, Silent};

/// A request as `METHOD host/path?query name:value name:value`.
pub(super) struct Request {
    method: Method,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Request {
    pub(super) fn new(text: &str) -> Self {
        let mut words = text.split(' ');
        let method = words.next().unwrap().parse().unwrap();
        let target = words.next().unwrap();
        let (host, rest) = target.split_at(target.find('/').unwrap());
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let field = |word: &str| {
            let (name, value) = word.split_once(':').unwrap();
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in words.map(field) {
            headers.append(name, value);
        }
        Self { method, host: host.to_owned(), path: path.to_owned(), query, headers }
    }

    pub(super) fn ask(&self) -> Ask<'_> {
        Ask {
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            method: &self.method,
            headers: &self.headers,
        }
    }
}

/// A pattern as `METHODS host/path ?name=value ?name ?name~regex name:value name name!absent name~regex`. A path
/// that begins with `~` is a regular expression; `-` stands for any method.
pub(super) fn pattern(text: &str) -> Pattern {
    let mut words = text.split(' ');
    let methods = words.next().unwrap();
    let target = words.next().unwrap();
    let (host, path) = target.split_at(target.find(['/', '~']).unwrap());
    let methods = if methods == "-" { "" } else { methods };
    let mut pattern = Pattern {
        name: text.to_owned(),
        hosts: if host.is_empty() { vec![] } else { vec![Host::parse(host).unwrap()] },
        paths: vec![path.strip_prefix('~').map_or_else(|| Path::parse(path), Path::regex).unwrap()],
        methods: methods.split(',').filter(|m| !m.is_empty()).map(|m| m.parse().unwrap()).collect(),
        ..Pattern::default()
    };
    for word in words {
        match word.strip_prefix('?') {
            Some(query) => pattern.query.push(query_match(query)),
            None => pattern.headers.push(header_match(word)),
        }
    }
    pattern
}

fn query_match(word: &str) -> QueryMatch {
    let (name, test) = if let Some((name, value)) = word.split_once('=') {
        (name, QueryTest::Exact(value.to_owned()))
    } else if let Some((name, regex)) = word.split_once('~') {
        (name, QueryTest::Regex(Expression::parse(regex).unwrap()))
    } else {
        (word, QueryTest::Present)
    };
    QueryMatch { name: name.to_owned(), test }
}

fn header_match(word: &str) -> HeaderMatch {
    let (name, test) = if let Some((name, value)) = word.split_once(':') {
        (name, HeaderTest::Exact(value.to_owned()))
    } else if let Some((name, regex)) = word.split_once('~') {
        (name, HeaderTest::Regex(Expression::parse(regex).unwrap()))
    } else if let Some(name) = word.strip_prefix('!') {
        (name, HeaderTest::Absent)
    } else {
        (word, HeaderTest::Present)
    };
    HeaderMatch { name: name.parse().unwrap(), test }
}

pub(super) fn table(patterns: &[&str]) -> Table {
    Table::build(patterns.iter().map(|text| pattern(text)).collect()).unwrap()
}

/// Finds in the patterns, once in this order and once in the other: what wins must not depend on it. The answer
/// is the winning pattern's text with its parameters, `405` with what is allowed, or `404`.
pub(super) fn find(patterns: &[&str], request: &str) -> String {
    let request = Request::new(request);
    let backwards: Vec<_> = patterns.iter().rev().copied().collect();
    let [one, two] = [patterns, &backwards].map(|patterns| {
        let table = table(patterns);
        match table.find(&request.ask(), &mut Silent) {
            Found::Route { index, params } => {
                let params = params.iter().map(|(name, value)| format!(" {name}={value}"));
                format!("{}{}", patterns[index], params.collect::<String>())
            }
            Found::MethodNotAllowed { allowed } => format!("405 {allowed}"),
            Found::Nothing => "404".to_owned(),
        }
    });
    assert_eq!(one, two, "the order in the document matters for {patterns:?}");
    one
}

pub(super) fn check(patterns: &[&str], rows: &[(&str, &str)]) {
    for (request, expected) in rows {
        assert_eq!(find(patterns, request), *expected, "{request} in {patterns:?}");
    }
}

/// What was said about a request.
pub(super) fn notes(patterns: &[&str], request: &str) -> Vec<String> {
    let mut notes = Notes::default();
    table(patterns).find(&Request::new(request).ask(), &mut notes);
    notes.0.into_iter().map(|note| note.words).collect()
}
