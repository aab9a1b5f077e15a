//! The signature algorithms we know, and sets of them. What is not in this list (`none` above all) does not exist.

use std::fmt;

pub use jsonwebtoken::Algorithm;

/// Every algorithm, with its name in a token (RFC 7518 section 3.1, RFC 8037 section 3.1).
const KNOWN: [(Algorithm, &str); 12] = [
    (Algorithm::ES256, "ES256"),
    (Algorithm::ES384, "ES384"),
    (Algorithm::EdDSA, "EdDSA"),
    (Algorithm::HS256, "HS256"),
    (Algorithm::HS384, "HS384"),
    (Algorithm::HS512, "HS512"),
    (Algorithm::PS256, "PS256"),
    (Algorithm::PS384, "PS384"),
    (Algorithm::PS512, "PS512"),
    (Algorithm::RS256, "RS256"),
    (Algorithm::RS384, "RS384"),
    (Algorithm::RS512, "RS512"),
];

/// The name RFC 9864 gives to what used to be called EdDSA on this curve.
const ED25519: &str = "Ed25519";

/// The algorithm of this name, by exact case; none if we do not know it.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    let known = KNOWN.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm);
    known.or_else(|| (name == ED25519).then_some(Algorithm::EdDSA))
}

/// Some of the algorithms we know.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// All of them.
    pub fn all() -> Self {
        KNOWN.iter().map(|(algorithm, _)| *algorithm).collect()
    }

    /// Is it one of these?
    pub fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & bit(algorithm) != 0
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as a number, for hashing.
    pub(super) fn bits(self) -> u16 {
        self.0
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | bit(algorithm)))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = KNOWN.iter().filter(|(algorithm, _)| self.contains(*algorithm));
        f.debug_set().entries(members.map(|(_, name)| name)).finish()
    }
}

/// An algorithm the library learns one day and we do not know has no bit, so it is in no set.
fn bit(algorithm: Algorithm) -> u16 {
    KNOWN.iter().position(|(known, _)| *known == algorithm).map_or(0, |place| 1 << place)
}
