//! How much: who has had their share, and when there will be more.
//!
//! Every limit is a GCRA ([`Gcra`], compiled from a [`Quota`]): per caller one number, the moment at which the
//! caller's bucket will be full again. [`Buckets`] keeps those numbers for all limits of the process in bounded
//! memory. [`lease`] is the arithmetic for limits that several replicas share through a store: the shell does the
//! talking, this room says what to ask and what to answer meanwhile.
//!
//! Must not know: which policy a key belongs to, what a caller is, what a store speaks, what the answer looks like
//! on the wire. Read [`Gcra`] first, then [`Buckets::check`]. Tests: `tests.rs` and the `tests` beside each file.

mod buckets;
pub mod lease;
mod quota;
mod table;

pub use buckets::{BucketKey, Buckets, Joint};
pub use quota::{BadQuota, Gcra, Grant, Outcome, Quota, grant};

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
