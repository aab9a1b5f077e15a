//! Bodies on their way: up to a target, and down to the client.

mod answer;
mod source;
mod upload;

pub use answer::{Answer, Passing};
pub use source::Source;
pub use upload::{Outgoing, Upload, Wrong};

/// A body that has to be broken off, so that nobody takes half of it for the whole.
#[derive(Debug, thiserror::Error)]
#[error("broken off")]
pub struct BrokenOff;
