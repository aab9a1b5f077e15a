//! Highest random weight ("rendezvous") hashing: each endpoint draws a number from the key and its own name, the
//! highest gets the call.
//!
//! Chosen over a ring or a table because targets have few endpoints: no table to rebuild, exact shares by weight,
//! and when an endpoint is gone, ejected or tried, exactly its keys move, to wherever their second highest is. The
//! price is one logarithm per endpoint and pick, about 12 ns. All replicas must agree on who is highest, so the hash is
//! written down here and does not come from a library that may change it.

use super::rolls::{mix, unit};

/// The hash of a key (user, header value, cookie): the same on every replica, for ever. FNV-1a, scattered.
/// It does not resist an attacker who wants many keys on one endpoint: use a key the caller cannot choose freely.
pub fn key_hash(key: &[u8]) -> u64 {
    let folded = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(folded)
}

/// What an endpoint (by the hash of its name) draws for a key. Weights enter so that an endpoint of weight 2 wins
/// twice as often as one of weight 1, and a changed weight moves no more keys than it must.
pub(super) fn score(key: u64, name: u64, weight: u32) -> f64 {
    // -ln(u)/w is the waiting time for the first event at rate w; the shortest wait wins in proportion to w.
    let draw = unit(mix(key ^ name)) + f64::EPSILON;
    f64::from(weight) / -draw.ln()
}
