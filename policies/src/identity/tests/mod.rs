//! The room's decision tables. `forge.rs` makes tokens, good and bad; each other file asks one question.

#![expect(clippy::needless_pass_by_value, reason = "rows of tables read better without `&`")]

mod api_key;
mod attacks;
mod cache;
mod claims;
mod find;
mod forge;
mod jwks;
mod keys;
mod last;
mod provider;
