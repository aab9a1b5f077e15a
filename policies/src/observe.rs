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
    pub fn write(&self, line: &mut String) {
        line.push_str("{\"time\":\"");
        timestamp(line, self.at);
        line.push('"');
        text(line, "request_id", self.request_id);
        if self.way != Way::Edge {
            text(line, "direction", self.way.as_str());
        }
        if let Some(client) = self.client {
            // Writing to a String cannot fail.
            let _ = write!(line, ",\"client\":\"{client}\"");
        }
        text(line, "method", self.method.as_str());
        text(line, "host", self.host);
        text(line, "path", self.path);
        text(line, "protocol", protocol(self.version));
        if self.secure == Secure::Tls {
            line.push_str(",\"tls\":true");
        }
        number(line, "status", self.status.map(u64::from));
        text(line, "slug", self.slug.unwrap_or_default());
        text(line, "route", self.route);
        text(line, "target", self.target);
        text(line, "endpoint", self.endpoint);
        text(line, "fell_back", self.fell_back.unwrap_or_default());
        words(line, "observed", self.observed);
        millis(line, "duration_ms", Some(self.took));
        millis(line, "first_byte_ms", self.first_byte);
        number(line, "attempts", Some(u64::from(self.attempts)).filter(|attempts| *attempts > 1));
        number(line, "bytes_in", Some(self.bytes_in));
        number(line, "bytes_out", Some(self.bytes_out));
        number(line, "generation", Some(self.generation));
        text(line, "caller", self.caller.unwrap_or_default());
        text(line, "priority", self.priority.map(Priority::as_str).unwrap_or_default());
        text(line, "user_agent", &String::from_utf8_lossy(self.user_agent.unwrap_or_default()));
        if let Some((trace, span)) = self.trace {
            name(line, "trace_id");
            line.push('"');
            hexadecimal::<32>(line, trace);
            line.push('"');
            name(line, "span_id");
            line.push('"');
            hexadecimal::<16>(line, span.into());
            line.push('"');
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

/// One line is written for each request: digit by digit, since the standard library's formatting takes three times as long.
fn name(line: &mut String, name: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":");
}

fn number(line: &mut String, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        self::name(line, name);
        decimal::<1>(line, value);
    }
}

/// Milliseconds, to the microsecond.
fn millis(line: &mut String, name: &str, value: Option<Duration>) {
    if let Some(value) = value {
        self::name(line, name);
        let micros = u64::try_from((value.as_nanos() + 500) / 1000).unwrap_or(u64::MAX);
        decimal::<1>(line, micros / 1000);
        line.push('.');
        decimal::<3>(line, micros % 1000);
    }
}

fn words(line: &mut String, name: &str, words: &[&str]) {
    if !words.is_empty() {
        text(line, name, &words.join(" "));
    }
}

/// A number of at least so many digits.
fn decimal<const LEAST: usize>(line: &mut String, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if value == 0 && used >= LEAST {
            break;
        }
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        (value, used) = (value / 10, used + 1);
    }
    push(line, digits.get(digits.len() - used..));
}

fn hexadecimal<const DIGITS: usize>(line: &mut String, mut value: u128) {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        let low = usize::try_from(value & 0xf).unwrap_or_default();
        *digit = b"0123456789abcdef".get(low).copied().unwrap_or(b'0');
        value >>= 4;
    }
    push(line, Some(&digits));
}

fn push(line: &mut String, digits: Option<&[u8]>) {
    line.push_str(digits.and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default());
}

/// Cut, and with everything escaped that could end the value or the line.
fn text(line: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    self::name(line, name);
    line.push('"');
    // Almost all values are short and plain.
    if value.len() <= VALUE_CHARS_MAX && value.bytes().all(is_plain) {
        line.push_str(value);
    } else {
        value.chars().take(VALUE_CHARS_MAX).for_each(|letter| escaped(line, letter));
    }
    line.push('"');
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn escaped(line: &mut String, letter: char) {
    match letter {
        '"' | '\\' => line.extend(['\\', letter]),
        // Control characters, and the two line ends that are none in JSON but are in JavaScript.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let _ = write!(line, "\\u{:04x}", u32::from(letter));
        }
        _ => line.push(letter),
    }
}

/// RFC 3339, in UTC, to the millisecond.
pub fn timestamp(line: &mut String, since_1970: Duration) {
    let (seconds, millis) = (since_1970.as_secs(), since_1970.subsec_millis());
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    decimal::<4>(line, year);
    for (before, part) in [('-', month), ('-', day), ('T', hour), (':', minute), (':', second)] {
        line.push(before);
        decimal::<2>(line, part);
    }
    line.push('.');
    decimal::<3>(line, millis.into());
    line.push('Z');
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
            Record { path: &path, user_agent: Some(agent.as_bytes()), ..record() }.write(&mut line);
            prop_assert!(!line.contains('\n') && line.len() < 16_384);
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            let cut: String = path.chars().take(VALUE_CHARS_MAX).collect();
            prop_assert_eq!(parsed["path"].as_str().unwrap_or_default(), cut);
        }
    }
}
