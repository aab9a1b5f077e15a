//! Which workloads may call this service, by their SPIFFE identity.

use std::fmt;

use crate::spiffe::{SpiffeError, SpiffeId};
use crate::verdict::Denial;
use crate::why::Witness;

/// A stand-in for `*` while the standard's own parser checks the rest of a pattern. Any valid segment would do.
const STAND_IN: &str = "any";

/// The workloads that may call. An empty list lets nobody in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerRules(Box<[Pattern]>);

/// Why a pattern cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PeerRuleError {
    /// The pattern, with its stars replaced, is no SPIFFE ID.
    #[error("`{pattern}` is not a SPIFFE ID or the start of one: {error}")]
    Malformed {
        /// The pattern.
        pattern: String,
        /// What the standard says.
        error: SpiffeError,
    },
    /// A short form, and nobody said relative to which trust domain.
    #[error(
        "`{pattern}` leaves the trust domain out, and this proxy has none of its own; write spiffe://..."
    )]
    NoTrustDomain {
        /// The pattern.
        pattern: String,
    },
    /// A star that is not a whole path segment.
    #[error("in `{pattern}` a `*` stands for a whole path segment, or at the end for all that follow")]
    Star {
        /// The pattern.
        pattern: String,
    },
}

impl PeerRules {
    /// Compiles patterns: an exact `spiffe://td/ns/shop/sa/orders`; `*` in place of one segment
    /// (`spiffe://td/ns/*/sa/orders`) or, last, of one or more (`spiffe://td/ns/shop/*`); and the short form
    /// `ns/shop/sa/orders`, which means the same below `trust_domain`. The trust domain itself is never a star: who
    /// vouches is not a matter of taste.
    pub fn compile(allow: &[String], trust_domain: Option<&str>) -> Result<Self, PeerRuleError> {
        allow.iter().map(|text| Pattern::parse(text, trust_domain)).collect::<Result<_, _>>().map(Self)
    }

    /// Lets the peer pass if a pattern fits it. A peer without identity is `peer-unknown`, another `peer-denied`.
    pub fn check(&self, peer: Option<&SpiffeId>, why: &mut impl Witness) -> Result<(), Denial> {
        let Some(peer) = peer else {
            why.note("peers", || "the caller has no mesh identity".to_owned());
            return Err(Denial::PeerUnknown);
        };
        match self.0.iter().find(|pattern| pattern.fits(peer)) {
            Some(pattern) => {
                why.note("peers", || format!("{peer} is allowed by `{pattern}`"));
                Ok(())
            }
            None => {
                why.note("peers", || format!("{peer} fits none of {} patterns", self.0.len()));
                Err(Denial::PeerDenied)
            }
        }
    }
}

/// A whole SPIFFE ID, kept as text, in which some path segments are stars.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pattern {
    text: Box<str>,
    stars: Stars,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stars {
    None,
    Some,
}

impl Pattern {
    fn parse(text: &str, trust_domain: Option<&str>) -> Result<Self, PeerRuleError> {
        let pattern = text.to_owned();
        let whole = match (text.starts_with("ns/"), trust_domain) {
            (false, _) => pattern.clone(),
            (true, Some(trust_domain)) => format!("spiffe://{trust_domain}/{text}"),
            (true, None) => return Err(PeerRuleError::NoTrustDomain { pattern }),
        };
        let segments =
            whole.split('/').map(|s| if s == "*" { STAND_IN } else { s }).collect::<Vec<_>>().join("/");
        // The third part of `spiffe://td/...` is the trust domain.
        if segments.contains('*') || whole.split('/').nth(2) == Some("*") {
            return Err(PeerRuleError::Star { pattern });
        }
        SpiffeId::parse(&segments).map_err(|error| PeerRuleError::Malformed { pattern, error })?;
        let stars = if whole.contains('*') { Stars::Some } else { Stars::None };
        Ok(Self { text: whole.into(), stars })
    }

    fn fits(&self, peer: &SpiffeId) -> bool {
        match self.stars {
            Stars::None => *self.text == *peer.as_str(),
            Stars::Some => segments_fit(&self.text, peer.as_str()),
        }
    }
}

/// Segment by segment; both texts are well-formed, so the slashes of one lie against the slashes of the other.
fn segments_fit(pattern: &str, peer: &str) -> bool {
    let mut theirs = peer.split('/');
    let mut ours = pattern.split('/').peekable();
    while let Some(segment) = ours.next() {
        let Some(their) = theirs.next() else { return false };
        if segment == "*" && ours.peek().is_none() {
            return true;
        }
        if segment != "*" && segment != their {
            return false;
        }
    }
    theirs.next().is_none()
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
