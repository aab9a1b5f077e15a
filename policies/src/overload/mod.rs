//! How many requests a service can take at once, found out from its answers, and who goes first when there are more.
//!
//! A [`Limiter`] stands before one target, or before the app beside a sidecar. It lets a request in
//! ([`Limiter::enter`]) while fewer are in flight than the limit, keeps the last places for the more important ones, and
//! moves the limit by what it learns when they leave ([`Ticket::finish`]). Shedding before a queue grows is the point:
//! a request that is refused at once costs nobody anything.
//!
//! No locks: a handful of atomics, and the arithmetic (`gradient.rs`) is a pure function that whoever closes a
//! measuring window runs. Must not know: what a request is, whom it is for, why it failed. Health checks and the
//! admin page don't come through here at all: they are never shed.
//!
//! Read [`Limiter`] first. Tests: `tests.rs`, most of them a simulated server under load; `loom_tests.rs`.

mod gradient;
mod limiter;
mod window;

pub use gradient::Settings;
pub use limiter::{Limiter, Outcome, Shed, Ticket};

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
