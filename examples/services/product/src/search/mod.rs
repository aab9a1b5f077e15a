//! Search by an inverted index: for each word the products it leads to, and how much it says about them.
//!
//! Both databases have a full-text search of their own, and they agree in nothing: how they cut words, how they rank, how
//! they are asked. This one is a table and works the same on both. `words.rs` cuts; `index.rs` writes and asks.

mod index;
mod words;

pub(crate) use index::{find, forget, put};
pub(crate) use words::Query;
