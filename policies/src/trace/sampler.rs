//! Which traces are recorded.

use super::{Caller, Context, Sampling};

/// 2^53: the numbers up to here are exact as `f64`. Of the 56 random bits of a trace id the upper 53 are used.
const STEPS: f64 = 9_007_199_254_740_992.0;

/// Decides at the beginning of a request. To keep every failed trace is a choice at its end, and the shell's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Which share of traces is kept, from 0 to 1. One in a hundred by default.
    pub ratio: f64,
    /// Whether a decision that was made before us stands.
    pub parent: Parent,
}

/// Whether a decision that was made before us stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Parent {
    /// It stands; a trace is recorded whole or not at all.
    #[default]
    Follow,
    /// We decide for ourselves.
    Ignore,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { ratio: 0.01, parent: Parent::default() }
    }
}

impl Sampler {
    /// The decision: never [`Sampling::Undecided`].
    ///
    /// For ids from ourselves or a believed caller it is the trace id's low 56 bits that decide, the same way
    /// OpenTelemetry's consistent sampling does (keep what is at least `1 - ratio` of the way up), so that every
    /// hop with the same ratio keeps the same traces, and one with a larger ratio keeps those too. A stranger could
    /// choose ids that are always kept; for those it is `roll`.
    pub fn decide(&self, context: &Context, ids_from: Caller, roll: u64) -> Sampling {
        if self.parent == Parent::Follow && context.sampling != Sampling::Undecided {
            return context.sampling;
        }
        let roll = match ids_from {
            Caller::Believed => low_56_bits(context.trace_id.get()),
            Caller::Stranger => roll & MASK_56,
        };
        // Exact: 53 bits. A ratio that is no number keeps nothing.
        let at_least = (1.0 - self.ratio) * STEPS;
        if (roll >> 3) as f64 >= at_least { Sampling::Keep } else { Sampling::Drop }
    }
}

/// Trace Context level 2, §3.2.2.5.2: "at least the right-most 7 bytes".
const MASK_56: u64 = (1 << 56) - 1;

fn low_56_bits(trace_id: u128) -> u64 {
    u64::try_from(trace_id & u128::from(MASK_56)).unwrap_or(MASK_56)
}
