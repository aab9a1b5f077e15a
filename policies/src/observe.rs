//! What is told of a request: the names of all metrics and log fields, the record of one request, and its line.
//!
//! Names stand here and nowhere else, so that log, metric and manual say the same word. Label values are bounded by what
//! the document names; everything a client chooses is cut, escaped, or left out: no token, no cookie, no query is ever
//! written. Read [`Record`].

mod line;

use std::net::IpAddr;
use std::time::Duration;

use http::{Method, Version};

pub use self::line::timestamp;
use self::line::{hexadecimal, millis, number, raw, text, word};
use crate::digits::address;
use crate::request::{Priority, Secure, Way};

/// A metric: its name, its help text, its labels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident $name:literal [$($label:literal)*] $help:literal)+) => {
        $(#[doc = $help] pub const $constant: Metric = Metric { name: $name, help: $help, labels: &[$($label),*] };)+
        /// All of them.
        pub const METRICS: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    ACCESS_LOG_DROPPED "banyan_access_log_dropped_total" [] "Lines of the access log that were dropped because nobody took them."
    ATTEMPTS "banyan_attempts_total" ["target" "outcome"] "Attempts at a target: success, failure, busy, neutral."
    BREAKER_STATE "banyan_breaker_state" ["name"] "0 closed, 1 half-open, 2 open."
    BUILD_INFO "banyan_build_info" ["version"] "1; the label says which version runs."
    BULKHEAD_INSIDE "banyan_bulkhead_inside" ["target"] "Requests at the target now."
    BULKHEAD_WAITING "banyan_bulkhead_waiting" ["target"] "Requests in the line for the target now."
    CERTIFICATE_EXPIRY "banyan_certificate_expiry_seconds" ["name"] "When the certificate ends, in seconds since 1970."
    CONFIG_FAILURES "banyan_config_reload_failures_total" [] "Documents that were refused since the start."
    CONFIG_GENERATION "banyan_config_generation" [] "The generation of the plan in force."
    CONFIG_GOOD "banyan_config_last_reload_success" [] "1 if the last document is in force, 0 if it was refused."
    CONNECTIONS "banyan_connections" [] "Connections of clients that are open now."
    CONNECTIONS_TOTAL "banyan_connections_total" ["outcome"] "Connections by what became of them at the door."
    DENIALS "banyan_denials_total" ["route" "slug"] "Requests that ended with a denial or a fault."
    DURATION "banyan_request_duration_seconds" ["route"] "From the first byte of a request to the last of its answer."
    ENDPOINTS "banyan_endpoints" ["target" "state"] "Endpoints of a target: serving, failed, ejected."
    KEYS_AGE "banyan_jwks_age_seconds" ["identity"] "Time since the issuer's keys were last fetched."
    KEYS_FAILURES "banyan_jwks_failures" ["identity"] "Fetches of the issuer's keys that failed since the last good one."
    MALFORMED "banyan_malformed_total" ["slug"] "Requests refused before any policy looked at them."
    OBSERVED "banyan_observed_total" ["route" "slug"] "Requests that a policy would have refused, if it did more than observe."
    OVERLOAD_LIMIT "banyan_overload_limit" ["target"] "How many requests the target can take at once, as far as was found out."
    PROCESS_LOG_DROPPED "banyan_process_log_dropped_total" [] "Lines of the process log that were dropped because nobody took them."
    REQUESTS "banyan_requests_total" ["direction" "route" "target" "method" "status"] "Requests."
    RETRIES "banyan_retries_total" ["route" "target"] "Attempts after the first."
    SHED "banyan_shed_total" ["target" "priority"] "Requests that were shed because more important work goes first."
    SPANS_DROPPED "banyan_spans_dropped_total" [] "Spans that were dropped because nobody took them."
    TCP_BYTES "banyan_tcp_bytes_total" ["target" "way"] "Bytes of connections that are no HTTP, up to the target and down from it."
    TCP_CONNECTIONS "banyan_tcp_connections_total" ["target" "outcome"] "Connections that are no HTTP: carried, denied, unreachable, loop."
    STORE_UP "banyan_limit_store_up" [] "1 if the store of shared limits answers."
}

/// Everything one finished request tells, lent by whoever knows it: most of it is counted and written down at once.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When it began, since 1970.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Until the first byte of its answer.
    pub first_byte: Option<Duration>,
    /// The generation of the plan that decided.
    pub generation: u64,
    /// Which door it came to.
    pub way: Way,
    /// Its name in every log.
    pub request_id: &'a str,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: &'a Method,
    /// The host, as understood.
    pub host: &'a str,
    /// The path, as understood. Never the query: it holds what nobody wants in a log.
    pub path: &'a str,
    /// HTTP/1.0, 1.1 or 2.
    pub version: Version,
    /// Did it arrive over TLS?
    pub secure: Secure,
    /// The route.
    pub route: &'a str,
    /// The target that answered, or was asked last.
    pub target: &'a str,
    /// Its endpoint.
    pub endpoint: &'a str,
    /// The status the client got; none if it got nothing.
    pub status: Option<u16>,
    /// The denial or fault it ended with.
    pub slug: Option<&'static str>,
    /// What policies that only observe would have said.
    pub observed: &'a [&'static str],
    /// The failure after which the fallback answered.
    pub fell_back: Option<&'static str>,
    /// Attempts made.
    pub attempts: u32,
    /// Of them, those after the first that a retry policy decided on.
    pub retries: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The token's subject, or the name of the API key.
    pub caller: Option<&'a str>,
    /// How important it was.
    pub priority: Option<Priority>,
    /// The trace it belongs to, and its own span.
    pub trace: Option<(u128, u64)>,
    /// What the client says it is.
    pub user_agent: Option<&'a [u8]>,
}

/// The method as a label: those outside of a fixed set are one.
pub fn method_label(method: &Method) -> &'static str {
    static KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = KNOWN.iter().position(|known| known == method);
    known.and_then(|at| NAMES.get(at)).copied().unwrap_or("other")
}

impl Record<'_> {
    /// Its line in the access log: JSON, without the line end. Fields that say nothing are left out.
    pub fn write(&self, line: &mut Vec<u8>) {
        raw(line, "{\"time\":\"");
        timestamp(line, self.at);
        line.push(b'"');
        text(line, ",\"request_id\":\"", self.request_id.as_bytes());
        if self.way != Way::Edge {
            word(line, ",\"direction\":\"", self.way.as_str());
        }
        if let Some(client) = self.client {
            raw(line, ",\"client\":\"");
            address(line, client);
            line.push(b'"');
        }
        text(line, ",\"method\":\"", self.method.as_str().as_bytes());
        text(line, ",\"host\":\"", self.host.as_bytes());
        text(line, ",\"path\":\"", self.path.as_bytes());
        word(line, ",\"protocol\":\"", protocol(self.version));
        if self.secure == Secure::Tls {
            raw(line, ",\"tls\":true");
        }
        if let Some(status) = self.status {
            number(line, ",\"status\":", status.into());
        }
        if let Some(slug) = self.slug {
            word(line, ",\"slug\":\"", slug);
        }
        text(line, ",\"route\":\"", self.route.as_bytes());
        text(line, ",\"target\":\"", self.target.as_bytes());
        text(line, ",\"endpoint\":\"", self.endpoint.as_bytes());
        if let Some(slug) = self.fell_back {
            word(line, ",\"fell_back\":\"", slug);
        }
        if !self.observed.is_empty() {
            text(line, ",\"observed\":\"", self.observed.join(" ").as_bytes());
        }
        millis(line, ",\"duration_ms\":", self.took);
        if let Some(after) = self.first_byte {
            millis(line, ",\"first_byte_ms\":", after);
        }
        if self.attempts > 1 {
            number(line, ",\"attempts\":", self.attempts.into());
        }
        number(line, ",\"bytes_in\":", self.bytes_in);
        number(line, ",\"bytes_out\":", self.bytes_out);
        number(line, ",\"generation\":", self.generation);
        text(line, ",\"caller\":\"", self.caller.unwrap_or_default().as_bytes());
        if let Some(priority) = self.priority {
            word(line, ",\"priority\":\"", priority.as_str());
        }
        text(line, ",\"user_agent\":\"", self.user_agent.unwrap_or_default());
        if let Some((trace, span)) = self.trace {
            raw(line, ",\"trace_id\":\"");
            hexadecimal(line, trace.to_be_bytes());
            raw(line, "\",\"span_id\":\"");
            hexadecimal(line, span.to_be_bytes());
            line.push(b'"');
        }
        line.push(b'}');
    }
}

/// The version as OpenTelemetry names it.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn record() -> Record<'static> {
        Record {
            at: Duration::from_millis(1_795_262_400_123),
            took: Duration::from_micros(1500),
            first_byte: None,
            generation: 7,
            way: Way::Edge,
            request_id: "abc",
            client: Some([192, 0, 2, 7].into()),
            method: &Method::GET,
            host: "shop.example",
            path: "/orders",
            version: Version::HTTP_11,
            secure: Secure::Plain,
            route: "orders",
            target: "",
            endpoint: "",
            status: Some(429),
            slug: Some("rate-limited"),
            observed: &[],
            fell_back: None,
            attempts: 0,
            retries: 0,
            bytes_in: 0,
            bytes_out: 12,
            caller: Some("user \"7\"\n"),
            priority: Some(Priority::Critical),
            trace: Some((0xab, 0xcd)),
            user_agent: None,
        }
    }

    fn written(record: &Record<'_>) -> String {
        let mut line = Vec::new();
        record.write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_json_and_leaves_out_what_says_nothing() {
        assert_eq!(
            written(&record()),
            "{\"time\":\"2026-11-21T12:00:00.123Z\",\"request_id\":\"abc\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"host\":\"shop.example\",\"path\":\"/orders\",\"protocol\":\"1.1\",\"status\":429,\"slug\":\"rate-limited\",\
             \"route\":\"orders\",\"duration_ms\":1.500,\"bytes_in\":0,\"bytes_out\":12,\"generation\":7,\
             \"caller\":\"user \\\"7\\\"\\u000a\",\"priority\":\"critical\",\
             \"trace_id\":\"000000000000000000000000000000ab\",\"span_id\":\"00000000000000cd\"}"
        );
    }

    #[test]
    fn names_are_unique_and_ours() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        assert!(names.iter().all(|name| name.starts_with("banyan_")));
    }

    #[test]
    fn methods_nobody_knows_are_one_label() {
        assert_eq!(method_label(&Method::PATCH), "PATCH");
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap()), "other");
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_one_short_line(path in ".*", agent in ".{0,2000}") {
            let line = written(&Record { path: &path, user_agent: Some(agent.as_bytes()), ..record() });
            prop_assert!(!line.contains('\n') && line.len() < 16_384);
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            let cut: String = path.chars().take(line::VALUE_CHARS_MAX).collect();
            prop_assert_eq!(parsed["path"].as_str().unwrap_or_default(), cut);
        }
    }
}
