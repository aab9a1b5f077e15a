//! May we try again, should we stop trying, how long may it take. One engine a file, each pure: the time and the
//! roll are arguments, what must be remembered is a value the shell keeps.
//!
//! In the order a request meets them: [`deadline`] (how long it may take), [`fault`] (failures on purpose),
//! [`bulkhead`] (room at the target), [`breaker`] (is the target failing), then per attempt `balance::Set::pick`,
//! and afterwards [`outlier`] (is this endpoint failing), [`retry`] with its [`budget`], [`hedge`], and at the very
//! end [`fallback`]. Whatever sends a request a second time asks [`repeat`] first: it is the one place that knows
//! when that is safe.

pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod deadline;
pub mod fallback;
pub mod fault;
pub mod hedge;
pub mod outlier;
pub mod repeat;
pub mod retry;
mod spell;

#[cfg(test)]
#[cfg(loom)]
mod loom_tests;
