//! The `traceparent` field: W3C Trace Context, level 1 and 2.

use std::num::{NonZeroU64, NonZeroU128};

use super::hex::{self, Line};
use super::{Context, Randomness, Sampling, State};

/// Trace Context §3.2.2.2: `2HEXDIGLC "-" 32HEXDIGLC "-" 16HEXDIGLC "-" 2HEXDIGLC`.
const BYTES: usize = 55;

/// Trace Context §3.2.2.5: the lowest bit of `trace-flags` says recorded, the next (level 2) says random.
const SAMPLED: u8 = 0b01;
const RANDOM: u8 = 0b10;

/// Reads one field value. `None` is a value that no rule lets us use; the trace must start anew.
pub(super) fn read(value: &[u8]) -> Option<Context> {
    let (fixed, further) = value.split_at_checked(BYTES)?;
    let &[v1, v2, b'-', ref fields @ ..] = fixed else { return None };
    let version = hex::read_2(&[v1, v2])?;
    // Trace Context §3.2.2.1: "Version ff is forbidden".
    if version == 0xff {
        return None;
    }
    // Version 00 ends here. Of a higher one we read the fields we know: §3.2.4, the flags are "either at the end of
    // the string or followed by a dash".
    if !further.is_empty() && (version == 0 || !further.starts_with(b"-")) {
        return None;
    }
    let (trace_id, fields) = fields.split_at_checked(32)?;
    let (span_id, flags) = fields.strip_prefix(b"-")?.split_at_checked(16)?;
    let flags = hex::read_2(flags.strip_prefix(b"-")?)?;
    Some(Context {
        trace_id: NonZeroU128::new(hex::read_32(trace_id)?)?,
        span_id: NonZeroU64::new(hex::read_16(span_id)?)?,
        parent_id: None,
        sampling: if flags & SAMPLED == 0 { Sampling::Drop } else { Sampling::Keep },
        randomness: if flags & RANDOM == 0 { Randomness::Unknown } else { Randomness::Random },
        state: State::default(),
    })
}

/// Writes the field value: always version 00, and of the flags only those that it knows ("Vendors MUST set those
/// to zero", §3.2.2.5.3).
pub(super) fn write(context: &Context) -> Line<BYTES> {
    let sampled = if context.sampling.records() { SAMPLED } else { 0 };
    let random = if context.randomness == Randomness::Random { RANDOM } else { 0 };
    Line::new()
        .text(b"00-")
        .hex(context.trace_id.get().to_be_bytes())
        .text(b"-")
        .hex(context.span_id.get().to_be_bytes())
        .text(b"-")
        .hex([sampled | random])
}
