//! Headers in which we tell services who the caller is. Only we may set them.

use http::{HeaderName, HeaderValue};

use super::forwarded::is_written;
use super::names::{is_alias, is_hearsay, is_hop_by_hop, is_protected};
use super::{Fields, remove_where};
use crate::verdict::Denial;

/// Longest identity put into a header. Claims are short; a long one is a mistake or an attack on the service's limits.
const VALUE_BYTES_MAX: usize = 4096;

/// The names of the identity headers of a plan.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IdentityNames(Vec<HeaderName>);

/// A header that cannot carry an identity, because it has another meaning.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the header `{0}` has a meaning of its own and cannot carry an identity")]
pub struct TakenName(pub HeaderName);

impl IdentityNames {
    /// Refuses names that routing, framing or our own contract rest on, and Connection and its kin.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Result<Self, TakenName> {
        let names: Vec<_> = names.into_iter().collect();
        // `X-Forwarded-User` and its like are what many services read.
        let taken = |name: &&HeaderName| {
            is_hop_by_hop(name) || is_written(name) || (is_protected(name) && !is_hearsay(name))
        };
        match names.iter().find(taken) {
            Some(name) => Err(TakenName(name.clone())),
            None => Ok(Self(names)),
        }
    }

    /// Takes out every inbound copy, spelled with hyphens or underscores: always, trusted peer or not, before
    /// anybody is asked who the caller is. A header left standing because the identity check did not set it is a
    /// forged identity.
    pub fn strip(&self, fields: &mut impl Fields) {
        for name in &self.0 {
            fields.remove(name);
        }
        let aliased = |name: &HeaderName| self.0.iter().any(|identity| is_alias(identity, name));
        if fields.all().keys().any(aliased) {
            remove_where(fields, aliased);
        }
    }

    /// Sets one of them. Refuses a value that a header cannot carry unchanged: control bytes, white space at an end
    /// (parsers take it off), more than 4 KiB. The name must be one of ours; another one is refused as well.
    pub fn set(&self, fields: &mut impl Fields, name: &HeaderName, value: &str) -> Result<(), Denial> {
        let fits = value.len() <= VALUE_BYTES_MAX && value.trim_ascii() == value && self.0.contains(name);
        match HeaderValue::from_str(value) {
            Ok(value) if fits => {
                fields.set(name.clone(), value);
                Ok(())
            }
            _ => Err(Denial::BadHeader),
        }
    }
}
