//! Which formats are read and written, and whom we believe.

use http::{HeaderMap, HeaderName};

use super::baggage::{BAGGAGE, baggage};
use super::{Context, Incoming, Outgoing, Sampling, State, b3, state, traceparent};
use crate::headers::{Fields, remove_where};
use crate::why::{Silent, Witness};

pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A way to write a trace context into a header.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Format {
    /// `x-b3-traceid` and its sisters.
    B3Multi,
    /// `b3`.
    B3Single,
    /// `traceparent` and `tracestate`, from W3C.
    TraceContext,
}

/// Is the caller believed? Only peers of our own trust domain and configured networks are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// It is: its decisions are followed.
    Believed,
    /// It is not: its trace may go on, but what is recorded is our own policy.
    Stranger,
}

/// What becomes of a stranger's trace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Strangers {
    /// It goes on, undecided.
    #[default]
    Keep,
    /// A new one begins.
    Restart,
}

/// Is B3 answered with B3, whatever else is written?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Echo {
    /// A context that came in B3 goes on in the same form of B3 as well.
    #[default]
    AsReceived,
    /// Only what is configured is written.
    Never,
}

/// What the document says about trace context. The default reads everything, W3C first, and writes W3C, and B3
/// where B3 came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Propagation {
    /// The formats that are read; the first that is present speaks.
    pub read: Vec<Format>,
    /// The formats that are always written.
    pub write: Vec<Format>,
    /// Whether the format that came in is written too.
    pub echo: Echo,
    /// What becomes of a stranger's trace.
    pub strangers: Strangers,
}

impl Default for Propagation {
    fn default() -> Self {
        Self {
            read: vec![Format::TraceContext, Format::B3Single, Format::B3Multi],
            write: vec![Format::TraceContext],
            echo: Echo::default(),
            strangers: Strangers::default(),
        }
    }
}

/// What one format found.
pub(super) enum Arrived {
    /// None of its fields.
    Absent,
    /// Its fields, but they say nothing that may be used.
    Malformed,
    /// Something usable.
    Sent(Incoming),
}

impl Arrived {
    pub(super) fn of(read: Option<Incoming>) -> Self {
        read.map_or(Self::Malformed, Self::Sent)
    }
}

impl Format {
    /// The field that says which trace it is.
    const fn field(self) -> &'static str {
        match self {
            Self::B3Multi => "x-b3-traceid",
            Self::B3Single => "b3",
            Self::TraceContext => "traceparent",
        }
    }

    /// The format that this field belongs to. By text, which the compiler tells apart by length first: asked of every field
    /// of every request.
    fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            "b3" => Some(Self::B3Single),
            "traceparent" | "tracestate" => Some(Self::TraceContext),
            "x-b3-flags" | "x-b3-parentspanid" | "x-b3-sampled" | "x-b3-spanid" | "x-b3-traceid" => {
                Some(Self::B3Multi)
            }
            _ => None,
        }
    }

    fn read(self, headers: &HeaderMap) -> Arrived {
        match self {
            Self::B3Multi => b3::read_multi(headers),
            Self::B3Single => b3::read_single(headers),
            Self::TraceContext => read_trace_context(headers),
        }
    }
}

/// Trace Context §3.3: a `tracestate` without a usable `traceparent` is not even looked at, and one that cannot be
/// parsed "MUST NOT affect the parsing of traceparent".
fn read_trace_context(headers: &HeaderMap) -> Arrived {
    let mut lines = headers.get_all(&TRACEPARENT).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Arrived::Absent,
        (Some(line), None) => state::trim(line.as_bytes()),
        (Some(_), Some(_)) => return Arrived::Malformed,
    };
    let with_state = |context| Context { state: State::read(&headers.get_all(&TRACESTATE)), ..context };
    let context = traceparent::read(line).map(with_state);
    Arrived::of(context.map(|context| Incoming::Context { context, format: Format::TraceContext }))
}

impl Propagation {
    /// What the caller sent, as far as it is believed. `None` means that a new trace begins.
    ///
    /// The first format that is present speaks. If it is malformed the trace begins anew; the others are not asked,
    /// so that nobody chooses among parsers by sending nonsense.
    pub fn extract(&self, headers: &HeaderMap, caller: Caller, why: &mut impl Witness) -> Option<Incoming> {
        // One look at each field that is there costs less than a search for each of the many that could be.
        let any = headers.keys().any(|name| Format::of(name).is_some());
        for format in self.read.iter().filter(|_| any) {
            match format.read(headers) {
                Arrived::Absent => {}
                Arrived::Malformed => {
                    why.note("trace", || format!("a new trace begins: {} is malformed", format.field()));
                    return None;
                }
                Arrived::Sent(incoming) => return self.believe(incoming, caller, why),
            }
        }
        why.note("trace", || "a new trace begins: the caller sent none".to_owned());
        None
    }

    fn believe(&self, incoming: Incoming, caller: Caller, why: &mut impl Witness) -> Option<Incoming> {
        match (caller, self.strangers, incoming) {
            (Caller::Believed, _, incoming) => Some(incoming),
            (Caller::Stranger, Strangers::Keep, Incoming::Context { context, format }) => {
                why.note("trace", || {
                    "a stranger's trace goes on; what it decided is not believed".to_owned()
                });
                let context = Context { sampling: Sampling::Undecided, ..context };
                Some(Incoming::Context { context, format })
            }
            (Caller::Stranger, ..) => {
                why.note("trace", || "a new trace begins: the caller is a stranger".to_owned());
                None
            }
        }
    }

    /// The fields for a request that is sent on as `context`, and the names of those that must go first.
    pub fn outgoing(&self, context: &Context, came_in: Option<Format>) -> Outgoing {
        let mut outgoing = Outgoing::default();
        let b3 = |format: &Format| *format != Format::TraceContext;
        let echo = came_in.filter(|format| self.echo == Echo::AsReceived && b3(format));
        let echo = echo.filter(|format| !self.write.contains(format));
        for format in self.write.iter().copied().chain(echo) {
            outgoing.write(format, context);
        }
        outgoing
    }

    /// Is it one of the fields we understand or write? All of them leave a request before [`Propagation::outgoing`] is put
    /// in: what came in speaks of another span than ours.
    fn is_stale(&self, name: &HeaderName) -> bool {
        Format::of(name).is_some_and(|format| self.read.contains(&format) || self.write.contains(&format))
    }

    /// Takes out what came in and puts in what goes on, and of the baggage what may.
    pub fn inject(&self, context: &Context, came_in: Option<Format>, fields: &mut impl Fields) {
        let told = baggage(fields.all(), &mut Silent);
        remove_where(fields, |name| *name == BAGGAGE || self.is_stale(name));
        for (name, value) in self.outgoing(context, came_in) {
            fields.set(name, value);
        }
        if let Some(told) = told {
            fields.set(BAGGAGE.clone(), told);
        }
    }
}
