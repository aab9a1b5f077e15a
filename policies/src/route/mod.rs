//! Which rule speaks for this request. The most specific route wins, whatever the order in the document.
//!
//! Read [`Table`] first. Its author writes [`Host`] and [`Path`] patterns and the matchers of a [`Pattern`] as
//! text; they are compiled here, with an error that points at the byte. [`Table::find`] walks a trie of path
//! segments, so its cost does not grow with the number of routes, and tells a witness why each candidate lost.
//! The order of specificity is in `order.rs`; [`Table::order`] publishes it.
//!
//! This room must not know what a route is for: it deals in indices. It must not repair a path either: it gets
//! the normalised one, and the same bytes are forwarded. Tests: `tests.rs`.

mod allowed;
mod build;
mod conflict;
mod expression;
mod host;
mod matcher;
mod method;
mod order;
mod params;
mod path;
mod pattern;
mod regexes;
mod search;
mod sites;
mod table;
mod trie;

#[cfg(test)]
mod tests;

pub use allowed::Allowed;
pub use conflict::Conflict;
pub use expression::Expression;
pub use host::Host;
pub use matcher::{HeaderMatch, HeaderTest, QueryMatch, QueryTest};
pub use order::Place;
pub use params::Params;
pub use path::Path;
pub use pattern::{BadPattern, Pattern};
pub use table::{Ask, Found, Table};
