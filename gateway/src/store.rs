//! (under construction)
/// Store.
pub struct Store;
