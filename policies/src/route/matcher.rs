//! Conditions on header fields and on the query.
//!
//! A field or parameter may come several times. A condition looks at every one of them, never only at the first,
//! and holds if any of them satisfies it.

use std::fmt;

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::Expression;

/// A condition on one header field.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// Which field.
    pub name: HeaderName,
    /// What must hold.
    pub test: HeaderTest,
}

/// What must hold of a header field. Values are compared byte by byte.
#[derive(Clone, Debug)]
pub enum HeaderTest {
    /// It is not there.
    Absent,
    /// One of its lines is exactly this.
    Exact(String),
    /// It is there, whatever it says.
    Present,
    /// One of its lines matches, from end to end.
    Regex(Expression),
}

/// A condition on one query parameter.
#[derive(Clone, Debug)]
pub struct QueryMatch {
    /// Its name, decoded.
    pub name: String,
    /// What must hold.
    pub test: QueryTest,
}

/// What must hold of a query parameter.
#[derive(Clone, Debug)]
pub enum QueryTest {
    /// No parameter of that name.
    Absent,
    /// One of its values, decoded, is exactly this.
    Exact(String),
    /// It is there, with or without a value.
    Present,
    /// One of its values, decoded, matches from end to end.
    Regex(Expression),
}

impl HeaderMatch {
    pub(super) fn holds(&self, headers: &HeaderMap) -> bool {
        match &self.test {
            HeaderTest::Absent => !headers.contains_key(&self.name),
            HeaderTest::Exact(value) => headers.get_all(&self.name).iter().any(|line| line == value.as_str()),
            HeaderTest::Present => headers.contains_key(&self.name),
            HeaderTest::Regex(expression) => {
                headers.get_all(&self.name).iter().any(|line| expression.matches(line.as_bytes()))
            }
        }
    }
}

impl QueryMatch {
    pub(super) fn holds(&self, query: Option<&str>) -> bool {
        let found =
            query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).any(|pair| self.fits(pair));
        found != matches!(self.test, QueryTest::Absent)
    }

    fn fits(&self, pair: &str) -> bool {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let same_name = decode(name).eq(self.name.bytes());
        same_name
            && match &self.test {
                QueryTest::Exact(wanted) => decode(value).eq(wanted.bytes()),
                QueryTest::Absent | QueryTest::Present => true,
                QueryTest::Regex(expression) if !value.contains(['%', '+']) => {
                    expression.matches(value.as_bytes())
                }
                QueryTest::Regex(expression) => {
                    expression.matches(&decode(value).collect::<SmallVec<[u8; 128]>>())
                }
            }
    }
}

impl HeaderTest {
    /// How much it pins down; less is more.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Regex(_) => 1,
            Self::Present => 2,
            Self::Absent => 3,
        }
    }
}

impl QueryTest {
    /// How much it pins down; less is more.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Regex(_) => 1,
            Self::Present => 2,
            Self::Absent => 3,
        }
    }
}

/// The bytes a service will see: form encoding (WHATWG URL §5.1), `+` for a space and `%xx` for a byte. A `%` that
/// begins no escape stands for itself, as everywhere.
fn decode(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match *rest {
            [] => return None,
            [b'%', high, low, ref after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(high) << 4 | digit(low), after)
            }
            [b'+', ref after @ ..] => (b' ', after),
            [byte, ref after @ ..] => (byte, after),
        };
        rest = after;
        Some(byte)
    })
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20) - b'a' + 10,
    }
}

impl fmt::Display for HeaderMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            HeaderTest::Absent => write!(f, "header {} is absent", self.name),
            HeaderTest::Exact(value) => write!(f, "header {} is `{value}`", self.name),
            HeaderTest::Present => write!(f, "header {} is present", self.name),
            HeaderTest::Regex(expression) => {
                write!(f, "header {} matches `{}`", self.name, expression.text())
            }
        }
    }
}

impl fmt::Display for QueryMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            QueryTest::Absent => write!(f, "query {} is absent", self.name),
            QueryTest::Exact(value) => write!(f, "query {} is `{value}`", self.name),
            QueryTest::Present => write!(f, "query {} is present", self.name),
            QueryTest::Regex(expression) => write!(f, "query {} matches `{}`", self.name, expression.text()),
        }
    }
}
