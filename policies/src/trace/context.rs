//! The place of one request in its trace, whatever format it came in.

use std::num::{NonZeroU64, NonZeroU128};

use super::{Format, State};

/// One span as its callees hear of it. Ids cannot be zero: both W3C and B3 forbid that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    /// The trace.
    pub trace_id: NonZeroU128,
    /// The span. W3C calls it `parent-id`: it is the parent of whatever the receiver does.
    pub span_id: NonZeroU64,
    /// The span above this one. Only B3 carries it.
    pub parent_id: Option<NonZeroU64>,
    /// Is it recorded?
    pub sampling: Sampling,
    /// Was the trace id rolled?
    pub randomness: Randomness,
    /// What other tracing systems have to say. Only W3C carries it.
    pub state: State,
}

/// Whether a trace is recorded. The four states of B3; of W3C's two, a set flag is `Keep` and an unset one `Drop`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sampling {
    /// Recorded whatever the load: somebody is looking for a fault.
    Debug,
    /// Not recorded.
    Drop,
    /// Recorded.
    Keep,
    /// Nobody has decided yet, or nobody whom we believe. W3C cannot say this and says "not recorded".
    #[default]
    Undecided,
}

impl Sampling {
    /// Is the span recorded, as things stand?
    pub const fn records(self) -> bool {
        matches!(self, Self::Debug | Self::Keep)
    }
}

/// Are the low 56 bits of a trace id known to be random? Trace Context level 2 has a flag for it, which must be
/// handed on as it came for as long as the trace id is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Randomness {
    /// They are.
    Random,
    /// They may be.
    #[default]
    Unknown,
}

impl Context {
    /// The first span of a new trace, from two random numbers.
    pub fn new_root(trace_roll: u128, span_roll: u64) -> Self {
        Self {
            trace_id: NonZeroU128::new(trace_roll).unwrap_or(NonZeroU128::MIN),
            span_id: NonZeroU64::new(span_roll).unwrap_or(NonZeroU64::MIN),
            parent_id: None,
            sampling: Sampling::Undecided,
            randomness: Randomness::Random,
            state: State::default(),
        }
    }

    /// A span under this one, from a random number: same trace, same decision, an id that is not the parent's.
    #[must_use]
    pub fn child(&self, span_roll: u64) -> Self {
        let rolled = NonZeroU64::new(span_roll).filter(|rolled| *rolled != self.span_id);
        // One roll in 2^63 is no use; the complement of an id is never the id, and zero only for all ones.
        let other = || NonZeroU64::new(!self.span_id.get()).unwrap_or(NonZeroU64::MIN);
        Self { span_id: rolled.unwrap_or_else(other), parent_id: Some(self.span_id), ..self.clone() }
    }

    /// The span of a request that has just arrived: under what came in, or the first of a new trace. Sampling is
    /// what the caller decided; let a [`Sampler`](super::Sampler) decide what is still undecided.
    pub fn begin(incoming: Option<&Incoming>, trace_roll: u128, span_roll: u64) -> Self {
        match incoming {
            Some(Incoming::Context { context, .. }) => context.child(span_roll),
            Some(Incoming::Decision { sampling, .. }) => {
                Self { sampling: *sampling, ..Self::new_root(trace_roll, span_roll) }
            }
            None => Self::new_root(trace_roll, span_roll),
        }
    }
}

/// What a caller sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Incoming {
    /// Its span.
    Context {
        /// Which.
        context: Context,
        /// In which format it came.
        format: Format,
    },
    /// A decision without a trace, which only B3 has (`b3: 0`).
    Decision {
        /// Which.
        sampling: Sampling,
        /// In which format it came.
        format: Format,
    },
}

impl Incoming {
    /// In which format it came.
    pub const fn format(&self) -> Format {
        match self {
            Self::Context { format, .. } | Self::Decision { format, .. } => *format,
        }
    }
}
