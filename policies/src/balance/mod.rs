//! Which endpoint of a target gets the next call, given what is known about each and one random number.
//!
//! Knows names, addresses, loads and marks of health; knows no socket, no name resolution and no clock. Who makes
//! an endpoint suspect is `resilience::outlier` and the shell's health probes: this room only respects their marks.
//! Read [`Set`] first, then [`EndpointState`]. A call is: [`Set::pick`], [`Set::depart`], and at the end
//! [`Flight::finish`] with an [`Outcome`].
//!
//! Whom a pick may return, in this order, the first group that is not empty:
//! 1. endpoints that are in service and not yet tried for this request;
//! 2. endpoints in service, tried or not;
//! 3. ejected ones (suspected because of how calls went): if all are suspect the suspicion proves little, and a
//!    call that may succeed beats one that is refused for certain;
//! 4. never one whose health probe fails: the service itself said no.

mod decaying;
mod endpoint;
mod outcome;
pub mod probe;
mod rendezvous;
mod rolls;
mod schedule;
mod set;
pub(crate) mod window;

use std::time::Duration;

pub use endpoint::{EndpointState, Flight};
pub use outcome::Outcome;
pub use rendezvous::key_hash;
pub use set::{Ask, Endpoint, Listed, Set};

/// How a target's calls are spread over its endpoints.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The rule that picks.
    pub policy: Policy,
    /// The time in which the memory of a slow answer fades to half.
    pub half_life: Duration,
    /// How long a fresh endpoint's share takes to grow from a tenth to its full size. Zero: full at once.
    pub slow_start: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::LeastLoad,
            // Half in 7 s is a time constant of 10 s, what Finagle and Linkerd settled on for peak EWMA.
            half_life: Duration::from_secs(7),
            // Long enough for caches and just-in-time compilers, short enough for a scale-up under a peak.
            slow_start: Duration::from_secs(10),
        }
    }
}

/// The rule that picks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// The same key goes to the same endpoint. When an endpoint leaves, only its keys move. A request without a
    /// key goes by least load. Slow start does not apply: staying put is what was asked for.
    Hash,
    /// The lighter of two endpoints drawn at random: latency (peak EWMA, failures counted as very slow calls)
    /// times calls in flight, over weight. A weight is a capacity: it tells under load, not when all are idle.
    #[default]
    LeastLoad,
    /// In turn, by weight, the turns of a heavy endpoint spread out evenly.
    RoundRobin,
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
