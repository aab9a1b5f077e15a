//! Trace context on the wire: W3C Trace Context and Baggage, and B3, by the letter. Reads and writes; no SDK.
//!
//! Read [`Propagation`] first: it says which formats are read and written and extracts what came in; then
//! [`Context`], the place of one request in its trace; [`Sampler`] decides whether it is recorded; [`baggage`]
//! says what may be sent on.
//!
//! This room must not know what becomes of a span, nor make a random number: ids are rolled by the shell. Nothing
//! here refuses a request: what is malformed is as good as absent. Tests: `tests.rs`.

mod b3;
mod baggage;
mod context;
mod hex;
mod outgoing;
mod propagation;
mod sampler;
mod state;
mod traceparent;

#[cfg(test)]
mod tests;

pub use baggage::baggage;
pub use context::{Context, Incoming, Randomness, Sampling};
pub use outgoing::Outgoing;
pub use propagation::{Caller, Echo, Format, Propagation, Strangers};
pub use sampler::{Parent, Sampler};
pub use state::State;
