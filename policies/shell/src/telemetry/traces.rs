//! Spans, sent to a collector by OTLP over HTTP. Which requests are recorded, and under which ids, was decided before; here
//! finished spans wait in a bounded line and leave in batches. A collector that is dead, slow or silent costs spans, which
//! are counted, and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::mpsc;

use super::TelemetryError;

/// Spans that wait for the exporter.
const WAITING_MAX: usize = 8192;
/// Spans in one batch, and how long the first of them waits for others.
const BATCH_MAX: usize = 512;
const BATCH_WITHIN: Duration = Duration::from_secs(1);
/// A collector that takes longer is as good as dead.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);
/// An answer to an export is a word.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What a span is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An attempt at a target.
    Client,
    /// A request of a client.
    Server,
}

/// A finished span.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace.
    pub trace_id: u128,
    /// The span.
    pub span_id: u64,
    /// The span above it; zero if it is the first.
    pub parent_id: u64,
    /// What it is about.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What is known of it, in OpenTelemetry's words.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub failed: Option<&'static str>,
}

/// Where spans are told.
pub struct Traces {
    spans: Option<mpsc::Sender<Told>>,
    dropped: Arc<AtomicU64>,
}

enum Told {
    Span(Box<Span>),
    Flush(Arc<(Mutex<bool>, Condvar)>),
}

impl Traces {
    /// Begins to export to this collector; without one nothing is recorded.
    pub fn start(name: &str, collector: Option<&str>) -> Result<Self, TelemetryError> {
        let dropped = Arc::<AtomicU64>::default();
        let Some(collector) = collector else { return Ok(Self { spans: None, dropped }) };
        let told =
            |error: &dyn std::fmt::Display| TelemetryError::Otlp(collector.to_owned(), error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| told(&error))?;
        let endpoint = format!("{}/v1/traces", collector.trim_end_matches('/'));
        let uri = endpoint.parse::<http::Uri>().map_err(|error| told(&error))?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new(&uri).map_err(|error| told(&error))?)
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_WITHIN)
            .build()
            .map_err(|error| told(&error))?;
        exporter.set_resource(&resource(name));
        let (spans, mut waiting) = mpsc::channel(WAITING_MAX);
        let lost = dropped.clone();
        let thread = std::thread::Builder::new().name("banyan-traces".into());
        thread
            .spawn(move || runtime.block_on(export(&exporter, &mut waiting, &lost)))
            .map_err(|error| told(&error))?;
        Ok(Self { spans: Some(spans), dropped })
    }

    /// Is there a collector?
    pub fn are_wanted(&self) -> bool {
        self.spans.is_some()
    }

    /// Tells of a span, if there is room.
    pub fn tell(&self, span: Span) {
        let Some(spans) = &self.spans else { return };
        if spans.try_send(Told::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Spans that were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was told has left, but no longer than this.
    pub fn close(&self, limit: Duration) {
        let Some(spans) = &self.spans else { return };
        let (done, until) = (Arc::new((Mutex::new(false), Condvar::new())), Instant::now() + limit);
        // A full line empties while somebody takes from it.
        while spans.try_send(Told::Flush(done.clone())).is_err() {
            if Instant::now() >= until || spans.is_closed() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let (flag, bell) = &*done;
        let guard = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = bell.wait_timeout_while(guard, limit, |done| !*done);
    }
}

fn resource(name: &str) -> Resource {
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| name.to_owned());
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", name),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build()
}

/// Batches of what waits, one after the other.
async fn export(exporter: &SpanExporter, waiting: &mut mpsc::Receiver<Told>, lost: &AtomicU64) {
    loop {
        let (mut batch, mut flushed, mut closed) = (Vec::new(), Vec::new(), false);
        // Counted from the first span of a batch, however many follow it.
        let mut until = None;
        while batch.len() < BATCH_MAX && flushed.is_empty() {
            let next = match until {
                None => waiting.recv().await.map(Some),
                Some(until) => match tokio::time::timeout_at(until, waiting.recv()).await {
                    Ok(told) => told.map(Some),
                    Err(_) => Some(None),
                },
            };
            match next {
                Some(Some(Told::Span(span))) => batch.push(data(*span)),
                Some(Some(Told::Flush(done))) => flushed.push(done),
                Some(None) => break,
                None => {
                    closed = true;
                    break;
                }
            }
            until.get_or_insert_with(|| tokio::time::Instant::now() + BATCH_WITHIN);
        }
        let count = batch.len() as u64;
        if count > 0 {
            let exported = tokio::time::timeout(EXPORT_WITHIN, exporter.export(batch)).await;
            if !matches!(exported, Ok(Ok(()))) {
                lost.fetch_add(count, Ordering::Relaxed);
            }
        }
        for done in flushed {
            let (flag, bell) = &*done;
            *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
            bell.notify_all();
        }
        if closed {
            return;
        }
    }
}

fn data(span: Span) -> SpanData {
    let context = SpanContext::new(
        TraceId::from_bytes(span.trace_id.to_be_bytes()),
        SpanId::from_bytes(span.span_id.to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    SpanData {
        span_context: context,
        parent_span_id: SpanId::from_bytes(span.parent_id.to_be_bytes()),
        parent_span_is_remote: span.kind == Kind::Server,
        span_kind: match span.kind {
            Kind::Client => SpanKind::Client,
            Kind::Server => SpanKind::Server,
        },
        name: span.name.into(),
        start_time: span.began,
        end_time: span.began + span.took,
        attributes: span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("banyan").build(),
    }
}

/// Carries exports: the crates' own client would bring a second TLS library.
#[derive(Debug)]
struct Sender(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Sender {
    /// The system's authorities are read only for a collector that shows a certificate: a small image has none, and what is
    /// not asked for must not keep a gateway from starting.
    fn new(collector: &http::Uri) -> Result<Self, std::io::Error> {
        let ring = rustls::crypto::ring::default_provider();
        let connector = hyper_rustls::HttpsConnectorBuilder::new();
        let connector = if collector.scheme() == Some(&http::uri::Scheme::HTTPS) {
            connector.with_provider_and_native_roots(ring)?
        } else {
            let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring));
            let tls = tls.with_safe_default_protocol_versions().map_err(std::io::Error::other)?;
            let nobody = rustls::RootCertStore::empty();
            connector.with_tls_config(tls.with_root_certificates(nobody).with_no_client_auth())
        };
        let connector = connector.https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.request(Request::from_parts(head, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}
