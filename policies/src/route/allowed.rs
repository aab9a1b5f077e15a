//! What a 405 answer must say: the methods that would have been answered here.

use std::fmt;

use http::Method;
use smallvec::SmallVec;

use super::method::Methods;

/// A document may name more extension methods for one path than anybody needs to hear.
const EXTENSIONS_MAX: usize = 8;

/// The methods some route answers for this host, path, header and query: the value of the `Allow` header, which
/// RFC 9110 §15.5.6 demands in a 405 answer. At most the known methods and eight extensions; `Display` writes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Allowed<'r> {
    known: Methods,
    extensions: SmallVec<[&'r Method; EXTENSIONS_MAX]>,
}

impl<'r> Allowed<'r> {
    pub(super) fn add(&mut self, named: Methods, methods: &'r [Method]) {
        self.known = self.known.and(named.offered());
        if named.meets(Methods::OTHER) {
            for method in methods.iter().filter(|method| Methods::bit(method) == Methods::OTHER) {
                if self.extensions.len() < EXTENSIONS_MAX && !self.extensions.contains(&method) {
                    self.extensions.push(method);
                }
            }
        }
    }

    /// Nobody would have answered any method.
    pub fn is_empty(&self) -> bool {
        self.known == Methods::NONE
    }

    /// The methods: the known ones in a fixed order, then the extensions.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.known.known().chain(self.extensions.iter().copied())
    }
}

impl fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, method) in self.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{method}")?;
        }
        Ok(())
    }
}
