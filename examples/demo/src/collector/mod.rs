//! Takes the spans of the gateway, the sidecars and the services (OTLP over HTTP), keeps the last traces, and shows them
//! on the demo's own page. Whatever is sent, it holds so many traces of so many spans and no more.

mod page;
mod trace;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use trace::{Span, Trace};

const TRACES_MAX: usize = 1_000;
const SPANS_MAX: usize = 300;
/// A batch of 512 spans is far below this.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The last traces.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    traces: Arc<Mutex<Traces>>,
}

#[derive(Debug, Default)]
struct Traces {
    by_id: HashMap<String, Trace>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Traces {
    fn add(&mut self, id: String, span: Span) {
        if !self.by_id.contains_key(&id) {
            if self.order.len() == TRACES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_id.remove(&oldest);
            }
            self.order.push_back(id.clone());
        }
        let trace = self.by_id.entry(id).or_default();
        // One that was sent twice is there once; and no span hangs below itself.
        if trace.spans.len() < SPANS_MAX && trace.spans.iter().all(|known| known.id != span.id) {
            trace.spans.push(span);
        }
    }
}

impl Collector {
    /// Takes what was sent. Nothing of it, if it cannot be read.
    pub fn take(&self, body: &[u8]) -> Result<(), prost::DecodeError> {
        let sent = ExportTraceServiceRequest::decode(body)?;
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        for of in sent.resource_spans {
            let attributes = of.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = trace::attribute(&attributes, "service.name").unwrap_or_default();
            for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                traces.add(hex(&span.trace_id), Span::read(&service, span));
            }
        }
        Ok(())
    }

    /// The trace of this id: 32 hexadecimal digits.
    pub fn trace(&self, id: &str) -> Option<Trace> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// The last ones, the newest first, with their ids.
    pub fn last(&self, many: usize) -> Vec<(String, Trace)> {
        let traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = traces.order.iter().rev().take(many);
        newest.filter_map(|id| Some((id.clone(), traces.by_id.get(id)?.clone()))).collect()
    }

    /// Serves on this port of loopback until the task is dropped; `summary` is what the page says of the shop.
    pub async fn serve(self, port: u16, summary: watch::Receiver<String>) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(listener, self.router(summary)).await
    }

    /// What it answers.
    pub fn router(self, summary: watch::Receiver<String>) -> Router {
        let pages = Router::new()
            .route("/", get(page::front))
            .route("/traces/{id}", get(page::one))
            .with_state((self.clone(), summary));
        let spans = Router::new().route("/v1/traces", post(exported)).with_state(self);
        pages.merge(spans).layer(DefaultBodyLimit::max(BATCH_BYTES_MAX))
    }
}

async fn exported(State(collector): State<Collector>, body: Bytes) -> impl IntoResponse {
    match collector.take(&body) {
        // An answer without fields has no bytes.
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/x-protobuf")]),
        Err(_) => (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/plain")]),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
