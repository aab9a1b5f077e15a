//! What a token must say, beyond its scopes.

use std::fmt;

use serde_json::{Map, Value};

use crate::verdict::Denial;
use crate::why::Witness;

/// Tokens nest three or four objects deep at most.
const SEGMENTS_MAX: usize = 8;

/// Where in a token a claim stands: `tenant`, `realm_access.roles`.
///
/// Dots lead into objects, but a path with a `/` in it is one name taken whole: issuers name their own claims by URL
/// (`https://shop.example/roles`), and such a name is full of dots that lead nowhere.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ClaimPath(Box<[Box<str>]>);

impl ClaimPath {
    /// Reads a path. Refuses an empty name and more than eight of them.
    pub fn parse(text: &str) -> Result<Self, ClaimRuleError> {
        if text.contains('/') {
            return Self::of([text]);
        }
        Self::of(text.split('.'))
    }

    /// The path that leads through exactly these names, whatever characters they hold.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ClaimRuleError> {
        let names: Box<[Box<str>]> = names.into_iter().take(SEGMENTS_MAX + 1).map(Box::from).collect();
        if names.len() > SEGMENTS_MAX {
            return Err(ClaimRuleError::PathTooDeep);
        }
        if names.is_empty() || names.iter().any(|name| name.is_empty()) {
            return Err(ClaimRuleError::PathEmpty);
        }
        Ok(Self(names))
    }

    /// What stands there, if anything does.
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(&**first)?, |value, name| value.get(&**name))
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A claim a token must have, with one of some values: equal to it, or an array that contains it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRule {
    path: ClaimPath,
    any_of: Box<[Value]>,
}

/// Why a claim rule cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimRuleError {
    /// No value would satisfy it.
    #[error("a claim rule needs at least one value that satisfies it")]
    NoValue,
    /// A name in the path is empty.
    #[error("a claim's path is one or more names with dots between them, none empty")]
    PathEmpty,
    /// More than eight names.
    #[error("a claim's path is at most eight names long")]
    PathTooDeep,
}

impl ClaimRule {
    /// The rule that the claim at `path` is, or contains, one of `any_of`. An empty list is refused: nothing would
    /// satisfy it, and somebody would take it for "anything".
    pub fn new(path: ClaimPath, any_of: Vec<Value>) -> Result<Self, ClaimRuleError> {
        if any_of.is_empty() {
            return Err(ClaimRuleError::NoValue);
        }
        Ok(Self { path, any_of: any_of.into() })
    }

    /// Lets the caller pass if its claims satisfy the rule; otherwise `claim-mismatch`. Values are compared with
    /// their types: the number 1 is not the string "1".
    pub fn check(&self, claims: &Map<String, Value>, why: &mut impl Witness) -> Result<(), Denial> {
        let satisfied = match self.path.find(claims) {
            Some(Value::Array(values)) => values.iter().any(|value| self.any_of.contains(value)),
            Some(value) => self.any_of.contains(value),
            None => false,
        };
        why.note("claim", || self.words(self.path.find(claims), satisfied));
        if satisfied { Ok(()) } else { Err(Denial::ClaimMismatch) }
    }

    fn words(&self, found: Option<&Value>, satisfied: bool) -> String {
        let wanted = self.any_of.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
        match (found, satisfied) {
            (None, _) => format!("`{}` must be {wanted}, and the token has no such claim", self.path),
            (Some(_), true) => format!("`{}` is {wanted}", self.path),
            // The value itself stays out: claims are personal data, and remarks end up in tickets.
            (Some(_), false) => format!("`{}` must be {wanted}, and it is something else", self.path),
        }
    }
}
