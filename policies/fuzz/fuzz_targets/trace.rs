//! Any trace headers are read or dropped; what goes on is well-formed and is read back as the same trace.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use policies::trace::{Caller, Context, Propagation};
use policies::why::Silent;

const NAMES: [&str; 8] = [
    "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags",
];

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(20) {
        let Some((which, value)) = line.split_first() else { continue };
        let name = NAMES[usize::from(*which) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let _ = policies::trace::baggage(&headers, &mut Silent);
    let propagation = Propagation::default();
    for caller in [Caller::Believed, Caller::Stranger] {
        let incoming = propagation.extract(&headers, caller, &mut Silent);
        let context = Context::begin(incoming.as_ref(), 7, 9);
        let mut onward = HeaderMap::new();
        propagation.inject(&context, incoming.as_ref().map(|incoming| incoming.format()), &mut onward);
        let again = propagation.extract(&onward, Caller::Believed, &mut Silent).expect("what we write can be read");
        assert_eq!(Context::begin(Some(&again), 7, 9).trace_id, context.trace_id);
    }
});
