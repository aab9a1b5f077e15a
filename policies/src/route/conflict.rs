//! Why a set of patterns makes no table.

use std::fmt;

use http::Method;

/// Something that no order can settle. `Display` is one sentence for the document's author.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Conflict {
    /// The regular expressions of one host are too large together.
    RegexesTooLarge {
        /// Which host.
        host: String,
    },
    /// Two routes answer the same requests. Reported once for two routes, however many requests they share.
    SameRequests {
        /// The index of the route that stands first in the document.
        first: usize,
        /// The index of the other.
        second: usize,
        /// What they are called.
        names: [String; 2],
        /// A host that both speak for.
        host: String,
        /// A path that both match.
        path: String,
        /// A method that both answer; nothing if both answer any.
        method: Option<Method>,
    },
    /// More combinations of host and path than a table may have.
    TooManyPlaces {
        /// How many it may have.
        most: usize,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RegexesTooLarge { host } => {
                write!(f, "the regular expressions of the routes for host {host} are too large together")
            }
            Self::SameRequests { first, second, names: [one, two], host, path, method } => {
                let method = method.as_ref().map_or("any method", Method::as_str);
                write!(
                    f,
                    "routes {first} `{one}` and {second} `{two}` both answer {method} for host {host}, "
                )?;
                write!(f, "path {path}: give one of them a condition that the other has not")
            }
            Self::TooManyPlaces { most } => {
                write!(f, "the routes have more than {most} combinations of host and path")
            }
        }
    }
}

impl std::error::Error for Conflict {}
