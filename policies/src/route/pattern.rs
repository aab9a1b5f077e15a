//! What a route asks for, and how its text can be wrong.

use std::fmt;

use http::Method;

use super::{HeaderMatch, Host, Path, QueryMatch};

/// What a request must look like for a route to speak for it. The default asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    /// What conflicts and explanations call the route; no two routes need differ in it.
    pub name: String,
    /// Any of these hosts; none listed means any host.
    pub hosts: Vec<Host>,
    /// Any of these paths; none listed means any path (`/**`).
    pub paths: Vec<Path>,
    /// Any of these methods; none listed means any method. A route for GET also answers HEAD, as long as no route
    /// for the same host and path names HEAD itself.
    pub methods: Vec<Method>,
    /// All of these must hold.
    pub headers: Vec<HeaderMatch>,
    /// All of these must hold.
    pub query: Vec<QueryMatch>,
}

/// Text that is no pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BadPattern {
    /// The regular expression is malformed; says what its parser said.
    Regex {
        /// In the words of the regex library.
        reason: String,
    },
    /// The regular expression, or the automaton it compiles to, is larger than a route may be.
    RegexTooLarge {
        /// The limit it ran into.
        bytes_max: usize,
    },
    /// Something else stood where the pattern should go on.
    Unexpected {
        /// Where, in bytes from the beginning of the text.
        offset: usize,
        /// What would have been right.
        expected: &'static str,
        /// What stood there; nothing if the text ended.
        found: Option<char>,
    },
}

impl BadPattern {
    /// The error that points at `offset` of `text`.
    pub(super) fn at(text: &str, offset: usize, expected: &'static str) -> Self {
        let found = text.get(offset..).and_then(|rest| rest.chars().next());
        Self::Unexpected { offset, expected, found }
    }
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Regex { reason } => write!(f, "not a regular expression: {reason}"),
            Self::RegexTooLarge { bytes_max } => {
                write!(f, "this regular expression needs more than the {bytes_max} bytes a route may use")
            }
            Self::Unexpected { offset, expected, found: Some(found) } => {
                write!(f, "expected {expected} at byte {offset}, found `{}`", found.escape_debug())
            }
            Self::Unexpected { offset, expected, found: None } => {
                write!(f, "expected {expected} at byte {offset}, found the end")
            }
        }
    }
}

impl std::error::Error for BadPattern {}
