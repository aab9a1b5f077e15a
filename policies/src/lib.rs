//! Decides. Given a request, a plan and the time, says what shall happen. Touches nothing.
//!
//! No I/O, no async, no clock, no randomness: `now` and random numbers are arguments, files and sockets belong to
//! the gateway and the sidecar. Modules stand in the order of who may know whom: a module uses only modules listed
//! after it (a test reads the imports).

pub mod describe;
pub mod after;
pub mod reply;
pub mod admit;
pub mod plan;
pub mod state;
pub mod document;
pub mod route;
pub mod identity;
pub mod access;
pub mod limit;
pub mod overload;
pub mod resilience;
pub mod balance;
pub mod rewrite;
pub mod cors;
pub mod guard;
pub mod trace;
pub mod headers;
pub mod observe;
pub mod request;
pub mod spiffe;
pub mod verdict;
pub mod units;
pub mod digits;
pub mod why;
pub mod time;
mod sync;
