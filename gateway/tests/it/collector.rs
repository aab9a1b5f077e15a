//! An OpenTelemetry collector: takes what is exported, and reads it as any other would.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::outside::{Outside, outside};

/// The span of a request of a client.
pub const SERVER: i32 = SpanKind::Server as i32;
/// The span of an attempt at a target.
pub const CLIENT: i32 = SpanKind::Client as i32;

/// A collector, and what has arrived.
pub struct Collector {
    pub server: Outside,
    spans: Arc<Mutex<Vec<Span>>>,
}

/// A span that has arrived, and who sent it.
#[derive(Clone, Debug)]
pub struct Span {
    pub service: String,
    span: opentelemetry_proto::tonic::trace::v1::Span,
}

impl Deref for Span {
    type Target = opentelemetry_proto::tonic::trace::v1::Span;

    fn deref(&self) -> &Self::Target {
        &self.span
    }
}

impl Span {
    /// What it says of itself, in words; nothing if it says nothing.
    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.span.attributes, name)
    }
}

fn attribute(all: &[KeyValue], name: &str) -> String {
    match all.iter().find(|pair| pair.key == name).map(|pair| &pair.value) {
        Some(Some(AnyValue { value: Some(Value::StringValue(text)) })) => text.clone(),
        Some(Some(AnyValue { value: Some(Value::IntValue(number)) })) => number.to_string(),
        None => String::new(),
        other => panic!("{name} is {other:?}"),
    }
}

/// Starts a collector, on an address of the story's own.
pub fn collector(on: [u8; 4]) -> Collector {
    let spans = Arc::<Mutex<Vec<Span>>>::default();
    let arrived = spans.clone();
    let fine = |_: &[u8]| {
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n".to_owned()
    };
    let server = outside(on, fine, move |body| arrived.lock().unwrap().extend(read(body)));
    Collector { server, spans }
}

fn read(body: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for of in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let service = attribute(&of.resource.unwrap().attributes, "service.name");
        let all = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| Span { service: service.clone(), span }));
    }
    spans
}

impl Collector {
    /// All spans that have arrived, in their order.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}
