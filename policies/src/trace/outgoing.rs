//! The fields that carry a context on.

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::propagation::{TRACEPARENT, TRACESTATE};
use super::{Context, Format, b3, traceparent};

/// The fields to set on a request, each once, replacing what was there. See [`Propagation`](super::Propagation).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outgoing {
    /// `traceparent`, `tracestate` and `b3` have room; the five of old B3 cost an allocation.
    fields: SmallVec<[(HeaderName, HeaderValue); 3]>,
}

impl Outgoing {
    pub(super) fn write(&mut self, format: Format, context: &Context) {
        match format {
            Format::B3Multi => {
                b3::write_multi(context, |name, value| self.fields.push((name.clone(), value)));
            }
            Format::B3Single => self.put(&b3::SINGLE, b3::write_single(context).bytes()),
            Format::TraceContext => {
                self.put(&TRACEPARENT, traceparent::write(context).bytes());
                let state = context.state.value().map(|state| (TRACESTATE.clone(), state.clone()));
                self.fields.extend(state);
            }
        }
    }

    fn put(&mut self, name: &HeaderName, bytes: &[u8]) {
        let value = HeaderValue::from_bytes(bytes).ok();
        self.fields.extend(value.map(|value| (name.clone(), value)));
    }
}

impl IntoIterator for Outgoing {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = smallvec::IntoIter<[(HeaderName, HeaderValue); 3]>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}
