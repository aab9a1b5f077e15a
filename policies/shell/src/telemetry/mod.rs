//! What is told: metrics, the access log, traces, the process log. All of it off the request's path: whoever does not take
//! what is told loses it, and a counter says how much.
//!
//! Read [`Telemetry`] (one per process) and [`Worker`] (one per core).

mod access_log;
mod metrics;
pub mod process_log;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use policies::balance::Outcome;
use policies::observe::Record;

pub use access_log::{AccessLog, LogTo};
use metrics::Dropped;
pub use metrics::{Gauges, Metrics, RouteCells};
pub use traces::{Kind, Span, Traces};

/// Everything that is told by this process.
pub struct Telemetry {
    /// Counters and gauges.
    pub metrics: Metrics,
    log: AccessLog,
    traces: Traces,
}

/// One worker's voice.
pub struct Worker {
    number: usize,
    telemetry: Arc<Telemetry>,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum TelemetryError {
    #[error("the access log cannot be written to {0}: {1}")]
    AccessLog(String, std::io::Error),
    #[error("traces cannot be sent to {0}: {1}")]
    Otlp(String, String),
}

impl Telemetry {
    /// Opens the access log and the way to the collector. Neither has to be there later. `name` is ours in traces, unless
    /// `OTEL_SERVICE_NAME` gives another.
    pub fn start(
        name: &str,
        log: &LogTo,
        collector: Option<&str>,
        workers: usize,
    ) -> Result<Arc<Self>, TelemetryError> {
        Ok(Arc::new(Self {
            metrics: Metrics::new(workers),
            log: AccessLog::start(log, workers)?,
            traces: Traces::start(name, collector)?,
        }))
    }

    /// The voice of one worker.
    pub fn worker(self: &Arc<Self>, number: usize) -> Worker {
        Worker { number, telemetry: self.clone() }
    }

    /// All metrics, in Prometheus' text.
    pub fn scrape(&self) -> String {
        self.metrics.scrape(Dropped {
            access_lines: self.log.dropped(),
            process_lines: process_log::dropped(),
            spans: self.traces.dropped(),
        })
    }

    /// Opens the access log's file again: somebody has moved it away.
    pub fn reopen(&self) {
        self.log.reopen();
    }

    /// Writes what is still to be written, for as long as that may take.
    pub fn close(&self, limit: Duration) {
        self.traces.close(limit);
        self.log.close(limit);
    }
}

impl Worker {
    /// A request is over.
    pub fn finished(&self, cells: &RouteCells, record: &Record<'_>) {
        self.telemetry.metrics.count(self.number, cells, record);
        self.telemetry.log.tell(self.number, record);
    }

    /// A request was refused before any policy looked at it.
    pub fn malformed(&self, slug: &'static str) {
        self.telemetry.metrics.malformed(slug);
    }

    /// An attempt is over.
    pub fn attempt(&self, cells: &RouteCells, outcome: Outcome) {
        self.telemetry.metrics.attempt(self.number, cells, outcome);
    }

    /// Are spans wanted at all?
    pub fn wants_spans(&self) -> bool {
        self.telemetry.traces.are_wanted()
    }

    /// A span is over.
    pub fn span(&self, span: Span) {
        self.telemetry.traces.tell(span);
    }
}

/// What tests tell: a GET that was answered, about which nothing else is known.
#[cfg(test)]
fn an_answered_request() -> Record<'static> {
    Record {
        at: Duration::ZERO,
        took: Duration::from_millis(1),
        first_byte: None,
        generation: 1,
        way: policies::request::Way::Edge,
        request_id: "",
        client: None,
        method: &http::Method::GET,
        host: "",
        path: "/",
        version: http::Version::HTTP_11,
        secure: policies::request::Secure::Plain,
        route: "",
        target: "",
        endpoint: "",
        status: Some(200),
        slug: None,
        observed: &[],
        fell_back: None,
        attempts: 1,
        retries: 0,
        bytes_in: 0,
        bytes_out: 0,
        caller: None,
        priority: None,
        trace: None,
        user_agent: None,
    }
}
