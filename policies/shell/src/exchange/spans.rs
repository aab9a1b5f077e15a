//! The spans of a request that is recorded: one for the request, one for each attempt, in OpenTelemetry's words.

use std::time::{Duration, SystemTime};

use opentelemetry::Value;
use policies::balance::Outcome;
use policies::observe::{Record, protocol};
use policies::time::Tick;

use super::Exchange;
use super::attempt::Current;
use crate::telemetry::{Kind, Span};

impl Exchange {
    pub(super) fn is_recorded(&self) -> bool {
        let sampled = self.asked.as_ref().is_some_and(|asked| asked.trace.context.sampling.records());
        sampled && self.core.telemetry.wants_spans()
    }

    fn at(&self, tick: Tick) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.began_at + tick.since(self.began.tick)
    }

    /// The span of an attempt that is over.
    pub(super) fn span_of(&self, current: &Current, outcome: Outcome, now: Tick) {
        let Some(asked) = self.asked.as_ref().filter(|_| self.is_recorded()) else { return };
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("http.request.method", asked.method.as_str().to_owned().into()),
            ("server.address", current.endpoints.name(current.index).to_owned().into()),
            ("banyan.target", current.target.name.clone().into()),
        ];
        if self.calls.made > 1 {
            attributes.push(("http.request.resend_count", i64::from(self.calls.made - 1).into()));
        }
        if let Some(status) = self.told.status {
            attributes.push(("http.response.status_code", i64::from(status.as_u16()).into()));
        }
        self.core.telemetry.span(Span {
            trace_id: current.context.trace_id.get(),
            span_id: current.context.span_id.get(),
            parent_id: asked.trace.context.span_id.get(),
            kind: Kind::Client,
            name: asked.method.as_str().to_owned(),
            began: self.at(current.began),
            took: now.since(current.began),
            attributes,
            failed: (outcome == Outcome::Failure)
                .then(|| self.told.because.map_or("failed", |because| because.slug())),
        });
    }

    /// The span of the request.
    pub(super) fn server_span(&self, record: &Record<'_>) {
        let Some(asked) = self.asked.as_ref().filter(|_| self.is_recorded()) else { return };
        let mut attributes: Vec<(&'static str, Value)> = vec![
            ("http.request.method", record.method.as_str().to_owned().into()),
            ("url.path", record.path.to_owned().into()),
            (
                "url.scheme",
                if record.secure == policies::request::Secure::Tls { "https" } else { "http" }.into(),
            ),
            ("server.address", record.host.to_owned().into()),
            ("network.protocol.version", protocol(record.version).into()),
            ("client.address", record.client.map(|client| client.to_string()).unwrap_or_default().into()),
            ("banyan.route", record.route.to_owned().into()),
            ("banyan.generation", i64::try_from(record.generation).unwrap_or_default().into()),
            ("banyan.request_id", record.request_id.to_owned().into()),
        ];
        if let Some(status) = record.status {
            attributes.push(("http.response.status_code", i64::from(status).into()));
        }
        if let Some(slug) = record.slug {
            attributes.push(("error.type", slug.into()));
        }
        let server_error = record.status.is_none_or(|status| status >= 500);
        self.core.telemetry.span(Span {
            trace_id: asked.trace.context.trace_id.get(),
            span_id: asked.trace.context.span_id.get(),
            parent_id: asked.trace.parent.map_or(0, std::num::NonZeroU64::get),
            kind: Kind::Server,
            // Low in cardinality, as the conventions ask: the route, never the path.
            name: format!("{} {}", record.method, record.route),
            began: SystemTime::UNIX_EPOCH + self.began_at,
            took: record.took.max(Duration::from_micros(1)),
            attributes,
            failed: server_error.then_some(record.slug.unwrap_or("server-error")),
        });
    }
}
