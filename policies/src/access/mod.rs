//! May this caller do this?
//!
//! Four independent rules, each a compiled value with one deciding method that answers `Result<(), Denial>` and
//! tells a [`Witness`](crate::why::Witness) why: [`ScopeRule`] over a caller's scopes, [`ClaimRule`] over its token,
//! [`AddressRules`] over its address, [`PeerRules`] over its mesh identity. A caller must satisfy every rule a route
//! has; taking an alternative away from a rule never lets more callers in (property tests in `tests.rs`).
//!
//! This room never asks whether the caller is who it claims to be: that is `identity`, which stands above and hands
//! its findings in. Read [`ScopeRule`] first; it is the shape of all four.

mod address;
mod claim;
mod peer;
mod scope;
mod scope_text;

pub use address::{AddressRules, AddressSettings};
pub use claim::{ClaimPath, ClaimRule, ClaimRuleError};
pub use peer::{PeerRuleError, PeerRules};
pub use scope::{ScopeRule, Scopes};
pub use scope_text::{Expected, ScopeRuleError};

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
