//! Reads the text of a scope rule.
//!
//! ```text
//! any  = all *( "|" all )
//! all  = part *( "&" part )
//! part = scope / "(" any ")"
//! ```

use std::fmt;

use super::scope::Need;

/// A rule names a handful of scopes; a kilobyte is already a mistake.
const TEXT_BYTES_MAX: usize = 1024;

/// Brackets in brackets: far more than anybody can read, and a bound on recursion.
const DEPTH_MAX: usize = 16;

/// Where and why a scope rule cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeRuleError {
    /// Byte offset into the text of what was found.
    pub offset: usize,
    /// What could have stood there.
    pub expected: Expected,
    /// What stands there; nothing at the end of the text.
    pub found: Option<char>,
}

/// What could have stood at the place of an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// `)`, or an operator that goes on.
    Closing,
    /// An operator, or the end.
    Operator,
    /// A scope or `(`.
    Scope,
    /// A rule with fewer brackets in brackets.
    Shallower,
    /// A shorter text.
    Shorter,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "`)`, `|` or `&`",
            Self::Operator => "`|`, `&` or the end",
            Self::Scope => "a scope or `(`",
            Self::Shallower => "at most 16 brackets in each other",
            Self::Shorter => "at most 1024 bytes",
        })
    }
}

impl fmt::Display for ScopeRuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at offset {}: expected {}, found ", self.offset, self.expected)?;
        match self.found {
            Some(character) => write!(f, "{character:?}"),
            None => f.write_str("the end of the rule"),
        }
    }
}

impl std::error::Error for ScopeRuleError {}

pub(super) fn parse(text: &str) -> Result<Need, ScopeRuleError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    if text.len() > TEXT_BYTES_MAX {
        reader.at = text.floor_char_boundary(TEXT_BYTES_MAX);
        return Err(reader.wrong(Expected::Shorter));
    }
    let need = reader.any()?;
    match reader.peek() {
        None => Ok(need),
        Some(_) => Err(reader.wrong(Expected::Operator)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<Need, ScopeRuleError> {
        let first = self.all()?;
        let mut parts = vec![first];
        while self.took('|') {
            parts.push(self.all()?);
        }
        Ok(joined(parts, Need::Any))
    }

    fn all(&mut self) -> Result<Need, ScopeRuleError> {
        let first = self.part()?;
        let mut parts = vec![first];
        while self.took('&') {
            parts.push(self.part()?);
        }
        Ok(joined(parts, Need::All))
    }

    fn part(&mut self) -> Result<Need, ScopeRuleError> {
        if self.took('(') {
            return self.bracketed();
        }
        let rest = self.rest();
        let end = rest.find(|c| !is_scope_character(c)).unwrap_or(rest.len());
        let (scope, _) = rest.split_at(end);
        if scope.is_empty() {
            return Err(self.wrong(Expected::Scope));
        }
        self.at += end;
        Ok(Need::Scope(scope.into()))
    }

    fn bracketed(&mut self) -> Result<Need, ScopeRuleError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(Expected::Shallower));
        }
        let need = self.any()?;
        self.depth -= 1;
        if self.took(')') { Ok(need) } else { Err(self.wrong(Expected::Closing)) }
    }

    fn took(&mut self, sign: char) -> bool {
        let next = self.peek() == Some(sign);
        self.at += if next { sign.len_utf8() } else { 0 };
        next
    }

    /// The next character that is not a space; the reader stands on it afterwards.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&mut self, expected: Expected) -> ScopeRuleError {
        let found = self.peek();
        ScopeRuleError { offset: self.at, expected, found }
    }
}

fn joined(mut parts: Vec<Need>, several: fn(Vec<Need>) -> Need) -> Need {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            several(parts)
        }
    }
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`, less the four signs of our own.
fn is_scope_character(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '(' | ')' | '&' | '|')
}
