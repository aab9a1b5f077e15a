//! What is told of a request: the names of all metrics and log fields, the record of one request, and its line.
//!
//! Names stand here and nowhere else, so that log, metric and manual say the same word. Label values are bounded by what
//! the document names; everything a client chooses is cut, escaped, or left out: no token, no cookie, no query is ever
//! written. Read [`Record`].

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use http::{Method, Version};

use crate::request::{Priority, Secure, Way};

/// The longest value of one field: what a client chose is cut here.
const VALUE_CHARS_MAX: usize = 256;

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

/// Everything one finished request tells.
#[derive(Clone, Debug)]
pub struct Record {
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
    pub request_id: String,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The method.
    pub method: Method,
    /// The host, as understood.
    pub host: String,
    /// The path, as understood. Never the query: it holds what nobody wants in a log.
    pub path: String,
    /// HTTP/1.0, 1.1 or 2.
    pub version: Version,
    /// Did it arrive over TLS?
    pub secure: Secure,
    /// The route.
    pub route: String,
    /// The target that answered, or was asked last.
    pub target: String,
    /// Its endpoint.
    pub endpoint: String,
    /// The status the client got; none if it got nothing.
    pub status: Option<u16>,
    /// The denial or fault it ended with.
    pub slug: Option<&'static str>,
    /// What policies that only observe would have said.
    pub observed: Vec<&'static str>,
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
    pub caller: Option<String>,
    /// How important it was.
    pub priority: Option<Priority>,
    /// The trace it belongs to, and its own span.
    pub trace: Option<(u128, u64)>,
    /// What the client says it is.
    pub user_agent: Option<String>,
}

/// The method as a label: those outside of a fixed set are one.
pub fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
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

impl Record {
    /// Its line in the access log: JSON, without the line end. Fields that say nothing are left out.
    pub fn write(&self, line: &mut String) {
        line.push_str("{\"time\":\"");
        timestamp(line, self.at);
        line.push('"');
        text(line, "request_id", &self.request_id);
        if self.way != Way::Edge {
            text(line, "direction", self.way.as_str());
        }
        if let Some(client) = self.client {
            text(line, "client", &client.to_string());
        }
        text(line, "method", self.method.as_str());
        text(line, "host", &self.host);
        text(line, "path", &self.path);
        text(line, "protocol", protocol(self.version));
        if self.secure == Secure::Tls {
            line.push_str(",\"tls\":true");
        }
        number(line, "status", self.status.map(u64::from));
        text(line, "slug", self.slug.unwrap_or_default());
        text(line, "route", &self.route);
        text(line, "target", &self.target);
        text(line, "endpoint", &self.endpoint);
        text(line, "fell_back", self.fell_back.unwrap_or_default());
        text(line, "observed", &self.observed.join(" "));
        // Writing to a String cannot fail.
        let _ = write!(line, ",\"duration_ms\":{:.3}", self.took.as_secs_f64() * 1000.0);
        if let Some(first) = self.first_byte {
            let _ = write!(line, ",\"first_byte_ms\":{:.3}", first.as_secs_f64() * 1000.0);
        }
        number(line, "attempts", Some(u64::from(self.attempts)).filter(|attempts| *attempts > 1));
        number(line, "bytes_in", Some(self.bytes_in));
        number(line, "bytes_out", Some(self.bytes_out));
        number(line, "generation", Some(self.generation));
        text(line, "caller", self.caller.as_deref().unwrap_or_default());
        text(line, "priority", self.priority.map(Priority::as_str).unwrap_or_default());
        text(line, "user_agent", self.user_agent.as_deref().unwrap_or_default());
        if let Some((trace, span)) = self.trace {
            let _ = write!(line, ",\"trace_id\":\"{trace:032x}\",\"span_id\":\"{span:016x}\"");
        }
        line.push('}');
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

fn number(line: &mut String, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        let _ = write!(line, ",\"{name}\":{value}");
    }
}

/// Cut, and with everything escaped that could end the value or the line.
fn text(line: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let _ = write!(line, ",\"{name}\":\"");
    for letter in value.chars().take(VALUE_CHARS_MAX) {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            // Control characters, and the two line ends that are none in JSON but are in JavaScript.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(line, "\\u{:04x}", u32::from(letter));
            }
            _ => line.push(letter),
        }
    }
    line.push('"');
}

/// RFC 3339, in UTC, to the millisecond.
pub fn timestamp(line: &mut String, since_1970: Duration) {
    let (seconds, millis) = (since_1970.as_secs(), since_1970.subsec_millis());
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    let _ = write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
}

/// The date of a day since 1970, in the proleptic Gregorian calendar: years are counted from March, so that the leap day
/// is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        Record {
            at: Duration::from_millis(1_795_262_400_123),
            took: Duration::from_micros(1500),
            first_byte: None,
            generation: 7,
            way: Way::Edge,
            request_id: "abc".into(),
            client: Some([192, 0, 2, 7].into()),
            method: Method::GET,
            host: "shop.example".into(),
            path: "/orders".into(),
            version: Version::HTTP_11,
            secure: Secure::Plain,
            route: "orders".into(),
            target: String::new(),
            endpoint: String::new(),
            status: Some(429),
            slug: Some("rate-limited"),
            observed: vec![],
            fell_back: None,
            attempts: 0,
            retries: 0,
            bytes_in: 0,
            bytes_out: 12,
            caller: Some("user \"7\"\n".into()),
            priority: Some(Priority::Critical),
            trace: Some((0xab, 0xcd)),
            user_agent: None,
        }
    }

    #[test]
    fn a_line_is_json_and_leaves_out_what_says_nothing() {
        let mut line = String::new();
        record().write(&mut line);
        assert_eq!(
            line,
            "{\"time\":\"2026-11-21T12:00:00.123Z\",\"request_id\":\"abc\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\
             \"host\":\"shop.example\",\"path\":\"/orders\",\"protocol\":\"1.1\",\"status\":429,\"slug\":\"rate-limited\",\
             \"route\":\"orders\",\"duration_ms\":1.500,\"bytes_in\":0,\"bytes_out\":12,\"generation\":7,\
             \"caller\":\"user \\\"7\\\"\\u000a\",\"priority\":\"critical\",\
             \"trace_id\":\"000000000000000000000000000000ab\",\"span_id\":\"00000000000000cd\"}"
        );
    }

    #[test]
    fn dates_are_right() {
        let check = |seconds, expected: &str| {
            let mut line = String::new();
            timestamp(&mut line, Duration::from_secs(seconds));
            assert_eq!(line, expected);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400, "2000-02-29T00:00:00.000Z");
        check(1_709_164_799, "2024-02-28T23:59:59.000Z");
        check(4_107_542_400, "2100-03-01T00:00:00.000Z");
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
            let mut line = String::new();
            Record { path: path.clone(), user_agent: Some(agent), ..record() }.write(&mut line);
            prop_assert!(!line.contains('\n') && line.len() < 16_384);
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            let cut: String = path.chars().take(VALUE_CHARS_MAX).collect();
            prop_assert_eq!(parsed["path"].as_str().unwrap_or_default(), cut);
        }
    }
}
