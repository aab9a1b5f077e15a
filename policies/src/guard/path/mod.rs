//! One spelling for each path. Read [`normalise`].
//!
//! Two steps: `spell` gives every character its one spelling, `dots` then takes out what only says how to walk
//! (`.`, `..`, doubled slashes). In this order, so that `%2e%2e` is found. What some other server could read as a walk
//! and we do not (`..;x`, `%2F`, a backslash, overlong UTF-8) is refused, not guessed at.

mod dots;
mod spell;

use std::borrow::Cow;

use super::refusal::Refusal;
use super::rules::Permission;

/// How paths are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRules {
    /// `;` in a path, as in `/cart;jsessionid=1`. Servers that know such parameters drop them before they look the
    /// path up, so a rule for `/admin` should not be one for the exact path alone while they are allowed.
    pub parameters: Permission,
    /// `%2F`, `%5C` and the raw backslash.
    pub separators: Separators,
    /// Two slashes in a row.
    pub slashes: Slashes,
}

impl Default for PathRules {
    fn default() -> Self {
        Self { parameters: Permission::Allow, separators: Separators::default(), slashes: Slashes::default() }
    }
}

/// What some servers take for a slash and others do not.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Separators {
    /// Forwarded as they are; refused only where they would make a dot segment.
    Keep,
    /// The request is refused.
    #[default]
    Refuse,
}

/// What two slashes in a row become.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Slashes {
    /// Two slashes.
    Keep,
    /// One slash.
    #[default]
    Merge,
    /// The request is refused.
    Refuse,
}

/// The one spelling of a path, borrowed if it already was that.
///
/// Escapes of characters that need none are decoded, other escapes get capital digits, `.` and `..` are resolved,
/// slashes merged. The result begins with `/`, is never longer than `raw` (save that nothing becomes `/`), and
/// normalises to itself. Refused are: a `..` above the root; broken escapes; escapes of control bytes and of what is
/// not UTF-8; bytes that do not belong in a path; and all that [`PathRules`] refuse.
pub fn normalise<'a>(raw: &'a str, rules: &PathRules) -> Result<Cow<'a, str>, Refusal> {
    if raw.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    let spelled = spell::spell(raw, rules)?;
    Ok(match dots::resolve(&spelled, rules)? {
        Some(resolved) => Cow::Owned(resolved),
        None => spelled,
    })
}
