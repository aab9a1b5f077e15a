//! Which scopes a caller needs, as a small boolean expression.

use std::fmt;

use super::scope_text::{self, ScopeRuleError};
use crate::verdict::Denial;
use crate::why::Witness;

/// The scopes a caller has, in no order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scopes(Box<[Box<str>]>);

impl Scopes {
    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Does the caller have this one? Compared whole and by case, as RFC 6749 section 3.3 demands.
    pub fn holds(&self, scope: &str) -> bool {
        self.0.iter().any(|held| **held == *scope)
    }

    /// One after the other, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(scopes: I) -> Self {
        Self(scopes.into_iter().map(Box::from).collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{scope}")?;
        }
        Ok(())
    }
}

/// Which scopes a caller needs: `"orders:read | orders:write"`, `"a & (b | c)"`. `&` binds more tightly than `|`.
///
/// Its `Display` is the same rule with every pair of brackets that matters and no other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopeRule(pub(super) Need);

/// The tree behind a rule. `All` and `Any` hold two or more parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// Every part.
    All(Vec<Need>),
    /// At least one part.
    Any(Vec<Need>),
    /// This scope.
    Scope(Box<str>),
}

impl ScopeRule {
    /// Reads a rule. The error names the offset of what is wrong and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ScopeRuleError> {
        scope_text::parse(text).map(Self)
    }

    /// Lets the caller pass if its scopes satisfy the rule; otherwise `scope-missing`.
    pub fn check(&self, scopes: &Scopes, why: &mut impl Witness) -> Result<(), Denial> {
        if self.0.met_by(scopes) {
            why.note("scope", || format!("`{self}` is satisfied"));
            return Ok(());
        }
        why.note("scope", || match scopes.is_empty() {
            true => format!("needs `{self}`, and the caller has no scope"),
            false => format!("needs `{self}`, and the caller has only `{scopes}`"),
        });
        Err(Denial::ScopeMissing)
    }
}

impl Need {
    fn met_by(&self, scopes: &Scopes) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.met_by(scopes)),
            Self::Any(parts) => parts.iter().any(|part| part.met_by(scopes)),
            Self::Scope(scope) => scopes.holds(scope),
        }
    }
}

impl fmt::Display for ScopeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, sign) = match self {
            Self::All(parts) => (parts, " & "),
            Self::Any(parts) => (parts, " | "),
            Self::Scope(scope) => return f.write_str(scope),
        };
        for (i, part) in parts.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { sign })?;
            match (self, part) {
                (Self::All(_), Self::Any(_)) => write!(f, "({part})")?,
                _ => write!(f, "{part}")?,
            }
        }
        Ok(())
    }
}
