//! Around every request: a server span that goes on from the caller's, a line in the log, two metrics.

use std::sync::LazyLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt;
use prometheus::{HistogramVec, IntCounterVec, register_histogram_vec, register_int_counter_vec};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// `None` only if the names were taken, and then there is nothing to count with.
static REQUESTS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    register_int_counter_vec!("shop_requests_total", "Requests answered.", &["method", "path", "status"]).ok()
});
static SECONDS: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    register_histogram_vec!("shop_request_seconds", "How long answers took.", &["method", "path"]).ok()
});

pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    // The pattern and not the path: a label for each order would be a label without end.
    let path = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    if matches!(path.as_str(), "/health" | "/metrics") {
        return next.run(request).await;
    }
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {path}"),
        otel.kind = "server",
        http.request.method = %method,
        http.route = path,
        http.response.status_code = tracing::field::Empty,
        user.id = tracing::field::Empty,
    );
    let parent = global_extract(request.headers());
    let _ = span.set_parent(parent);
    let trace_id = span.context().span().span_context().trace_id();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    let took = began.elapsed();
    if let Some(requests) = &*REQUESTS {
        requests.with_label_values(&[method.as_str(), &path, status.as_str()]).inc();
    }
    if let Some(seconds) = &*SECONDS {
        seconds.with_label_values(&[method.as_str(), &path]).observe(took.as_secs_f64());
    }
    tracing::info!(
        %method, path, status = status.as_u16(), ms = took.as_secs_f64() * 1e3, %trace_id, "answered"
    );
    response
}

fn global_extract(headers: &HeaderMap) -> opentelemetry::Context {
    struct From<'h>(&'h HeaderMap);
    impl Extractor for From<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.get(name).and_then(|value| value.to_str().ok())
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(axum::http::HeaderName::as_str).collect()
        }
    }
    opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&From(headers)))
}
