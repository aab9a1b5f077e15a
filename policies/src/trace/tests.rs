//! Trace Context, Baggage and B3 as decision tables; what is written is always read back; nonsense never hurts.

mod b3;
mod baggage;
mod properties;
mod sampler;
mod w3c;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::why::{Notes, Silent};

pub(super) const TRACE: u128 = 0x1234_5678_9012_3456_7890_1234_5678_9012;
pub(super) const SPAN: u64 = 0x1234_5678_9012_3456;
/// A traceparent that nothing is wrong with.
pub(super) const GOOD: &str = "00-12345678901234567890123456789012-1234567890123456-01";

pub(super) fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers
            .append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

pub(super) fn extract(fields: &[(&str, &str)], caller: Caller) -> Option<Incoming> {
    Propagation::default().extract(&headers(fields), caller, &mut Silent)
}

/// What a proxy sends on for a request that came with these fields: one span for the request, one for the attempt.
pub(super) fn sent_on(fields: &[(&str, &str)]) -> HeaderMap {
    let propagation = Propagation::default();
    let mut headers = headers(fields);
    let incoming = propagation.extract(&headers, Caller::Believed, &mut Silent);
    let attempt = Context::begin(incoming.as_ref(), 0xaaaa, 0xbbbb).child(0xcccc);
    propagation.inject(&attempt, incoming.as_ref().map(Incoming::format), &mut headers);
    headers
}

pub(super) fn field<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    assert!(headers.get_all(name).iter().count() <= 1, "{name} is sent once");
    headers.get(name).map(|value| value.to_str().unwrap())
}
