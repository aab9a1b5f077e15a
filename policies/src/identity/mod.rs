//! Is the caller who it claims to be?
//!
//! Verification only. Keys are handed in by a shell that fetched them, time is an argument, and what the caller may
//! then do is `access`'s business. Two kinds of proof are known here: a signed token ([`TokenCheck`], which ties
//! together an [`Issuer`], its [`Keyring`](jwks::Keyring) and a [`TokenCache`](cache::TokenCache)) and an API key
//! ([`ApiKeys`](api_key::ApiKeys)). The third, a certificate, is verified by TLS and read in `spiffe.rs`.
//!
//! One sentence rules the room: nothing a token says about how it shall be checked is believed. The algorithm comes
//! from the key, the key from the issuer, the issuer from the document. And "this token is bad" (a `Denial`, 401) is
//! never confused with "we cannot know" (a `Fault`, 503). Read `verify.rs` first.

mod algorithm;
pub mod api_key;
pub mod cache;
mod claims;
mod issuer;
mod json;
pub mod jwks;
pub mod keys;
mod last;
mod material;
mod provider;
mod token;
mod verify;

pub use algorithm::{Algorithm, AlgorithmSet, algorithm};
pub use claims::Claims;
pub use issuer::{Audience, Issuer, IssuerError, IssuerSettings, TokenPlace};
pub use last::LastToken;
pub use provider::install_provider;
pub use verify::{Asked, Refused, TokenCheck};

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
