//! Logs as JSON lines on standard output, spans by OTLP over HTTP to `OTEL_EXPORTER_OTLP_ENDPOINT`.

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::settings::Settings;

/// Begins to log and to trace. What it returns is flushed and ended last.
pub(crate) fn start(service: &'static str, settings: &Settings) -> SdkTracerProvider {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let mut provider =
        SdkTracerProvider::builder().with_resource(Resource::builder().with_service_name(service).build());
    let mut wrong = None;
    if let Some(collector) = settings.text("OTEL_EXPORTER_OTLP_ENDPOINT") {
        match exporter(collector) {
            Ok(exporter) => provider = provider.with_batch_exporter(exporter),
            Err(why) => wrong = Some(why),
        }
    }
    let provider = provider.build();
    let filter = settings.text("LOG").unwrap_or("info,sqlx=warn,lapin=error").to_owned();
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(service)).with_location(false);
    // A second service in one process (tests) logs as the first does.
    let _first = tracing_subscriber::registry()
        .with(lines.with_filter(EnvFilter::new(filter)))
        .with(spans.with_filter(EnvFilter::new("info,hyper=off,reqwest=off,h2=off,sqlx=off,lapin=off")))
        .try_init();
    if let Some(why) = wrong {
        tracing::warn!(why, "no spans are sent");
    }
    provider
}

fn exporter(collector: &str) -> Result<SpanExporter, String> {
    let client = Sender { client: reqwest::Client::new(), runtime: Handle::current() };
    SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .build()
        .map_err(|error| error.to_string())
}

/// Batches leave from a thread of the SDK, which has no runtime for a client.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let response = client.execute(request.try_into()?).await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        let (status, body) = sent.await??;
        Ok(http::Response::builder().status(status).body(body)?)
    }
}
