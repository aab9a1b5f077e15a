//! B3, the format of Zipkin: one `b3` field, or several `x-b3-*` fields.

use std::num::{NonZeroU64, NonZeroU128};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::hex::{self, Line};
use super::propagation::Arrived;
use super::state::trim;
use super::{Context, Format, Incoming, Randomness, Sampling, State};

/// `{trace}-{span}-{sampling}-{parent}`, all of them at their longest.
const SINGLE_BYTES: usize = 32 + 1 + 16 + 1 + 1 + 1 + 16;

pub(super) static SINGLE: HeaderName = HeaderName::from_static("b3");
pub(super) static TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
pub(super) static SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
pub(super) static PARENT_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
pub(super) static SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
pub(super) static FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// Reads the single field. It is not made to be repeated: two of them are malformed.
pub(super) fn read_single(headers: &HeaderMap) -> Arrived {
    let mut lines = headers.get_all(&SINGLE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Arrived::Absent,
        (Some(line), None) => Arrived::of(single(trim(line.as_bytes()))),
        (Some(_), Some(_)) => Arrived::Malformed,
    }
}

fn single(value: &[u8]) -> Option<Incoming> {
    let format = Format::B3Single;
    if let Some(sampling) = decision(value) {
        return Some(Incoming::Decision { sampling, format });
    }
    let mut fields = value.split(|byte| *byte == b'-');
    let (trace_id, span_id) = (fields.next()?, fields.next()?);
    let sampling = match fields.next() {
        Some(field) => decision(field)?,
        None => Sampling::Undecided,
    };
    let parent_id = fields.next();
    let context = context(trace_id, span_id, parent_id, sampling)?;
    fields.next().is_none().then_some(Incoming::Context { context, format })
}

fn decision(field: &[u8]) -> Option<Sampling> {
    match field {
        b"0" => Some(Sampling::Drop),
        b"1" => Some(Sampling::Keep),
        b"d" => Some(Sampling::Debug),
        _ => None,
    }
}

/// B3: "16 or 32 lower-hex characters" for a trace, 16 for a span. A short trace id is padded with zeros on the
/// left, as Trace Context asks for; whether any of it was rolled nobody says.
fn context(trace: &[u8], span: &[u8], parent: Option<&[u8]>, sampling: Sampling) -> Option<Context> {
    let trace_id = hex::read_32(trace).or_else(|| hex::read_16(trace).map(u128::from));
    let parent_id = match parent {
        Some(parent) => Some(NonZeroU64::new(hex::read_16(parent)?)?),
        None => None,
    };
    Some(Context {
        trace_id: NonZeroU128::new(trace_id?)?,
        span_id: NonZeroU64::new(hex::read_16(span)?)?,
        parent_id,
        sampling,
        randomness: Randomness::Unknown,
        state: State::default(),
    })
}

/// Reads the several fields. B3: "When extracting state headers, the first value wins."
pub(super) fn read_multi(headers: &HeaderMap) -> Arrived {
    let first = |name: &HeaderName| headers.get(name).map(|value| trim(value.as_bytes()));
    let (trace_id, span_id, parent_id) = (first(&TRACE_ID), first(&SPAN_ID), first(&PARENT_ID));
    let (sampled, flags) = (first(&SAMPLED), first(&FLAGS));
    let format = Format::B3Multi;
    let sampling = match (flags, sampled) {
        // "Debug implies an accept decision"; "Absent or any other value can be ignored."
        (Some(b"1"), _) => Sampling::Debug,
        // "a lenient implementation may accept" the words.
        (_, Some(b"1" | b"true")) => Sampling::Keep,
        (_, Some(b"0" | b"false")) => Sampling::Drop,
        (_, Some(_)) => return Arrived::Malformed,
        (_, None) => Sampling::Undecided,
    };
    match (trace_id, span_id, parent_id) {
        (None, None, None) if sampling == Sampling::Undecided => Arrived::Absent,
        (None, None, None) => Arrived::Sent(Incoming::Decision { sampling, format }),
        (Some(trace_id), Some(span_id), parent_id) => {
            let context = context(trace_id, span_id, parent_id, sampling);
            Arrived::of(context.map(|context| Incoming::Context { context, format }))
        }
        _ => Arrived::Malformed,
    }
}

/// Writes the single field.
pub(super) fn write_single(context: &Context) -> Line<SINGLE_BYTES> {
    let line = Line::new()
        .hex(context.trace_id.get().to_be_bytes())
        .text(b"-")
        .hex(context.span_id.get().to_be_bytes());
    let (line, decided) = match context.sampling {
        Sampling::Debug => (line.text(b"-d"), true),
        Sampling::Drop => (line.text(b"-0"), true),
        Sampling::Keep => (line.text(b"-1"), true),
        Sampling::Undecided => (line, false),
    };
    // The parent's place is after the decision's; without a decision it has none.
    match context.parent_id {
        Some(parent) if decided => line.text(b"-").hex(parent.get().to_be_bytes()),
        _ => line,
    }
}

/// Writes the several fields.
pub(super) fn write_multi(context: &Context, mut put: impl FnMut(&HeaderName, HeaderValue)) {
    let mut id = |name: &HeaderName, line: Line<32>| {
        if let Ok(value) = HeaderValue::from_bytes(line.bytes()) {
            put(name, value);
        }
    };
    id(&TRACE_ID, Line::new().hex(context.trace_id.get().to_be_bytes()));
    id(&SPAN_ID, Line::new().hex(context.span_id.get().to_be_bytes()));
    if let Some(parent) = context.parent_id {
        id(&PARENT_ID, Line::new().hex(parent.get().to_be_bytes()));
    }
    match context.sampling {
        Sampling::Debug => put(&FLAGS, HeaderValue::from_static("1")),
        Sampling::Drop => put(&SAMPLED, HeaderValue::from_static("0")),
        Sampling::Keep => put(&SAMPLED, HeaderValue::from_static("1")),
        Sampling::Undecided => {}
    }
}
