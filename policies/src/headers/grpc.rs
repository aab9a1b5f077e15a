//! gRPC's own deadline, the `grpc-timeout` field.
//!
//! Anybody may send it: a caller can only shorten the time it gets.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::names::GRPC_TIMEOUT;
use super::{Fields, sole};

/// "Timeout → "grpc-timeout" TimeoutValue TimeoutUnit; TimeoutValue → {positive integer as ASCII string of at most 8
/// digits}" (gRPC over HTTP2). Finest unit first.
const UNITS: [(char, u128); 6] =
    [('n', 1), ('u', 1_000), ('m', 1_000_000), ('S', SECOND), ('M', 60 * SECOND), ('H', 3600 * SECOND)];
const SECOND: u128 = 1_000_000_000;
const DIGITS_MAX: usize = 8;
const VALUE_MAX: u128 = 99_999_999;

/// How long the caller will wait. `None` if it did not say, or said it in no form we know.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = sole(headers, &GRPC_TIMEOUT)?;
    let letter = text.chars().next_back()?;
    let digits = text.strip_suffix(letter)?;
    let &(_, nanos_each) = UNITS.iter().find(|(unit, _)| *unit == letter)?;
    let plain = (1..=DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value: u128 = plain.then(|| digits.parse().ok()).flatten()?;
    let nanos = value * nanos_each;
    let subsecond = u32::try_from(nanos % SECOND).ok()?;
    Some(Duration::new(u64::try_from(nanos / SECOND).ok()?, subsecond))
}

/// Says how long we will wait, in the finest unit that has room for it, rounded down.
pub fn set_timeout(fields: &mut impl Fields, left: Duration) {
    let nanos = left.as_nanos();
    let fits = UNITS.iter().find(|(_, nanos_each)| nanos / nanos_each <= VALUE_MAX);
    let text = match fits {
        Some((unit, nanos_each)) => format!("{}{unit}", nanos / nanos_each),
        None => format!("{VALUE_MAX}H"),
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        fields.set(GRPC_TIMEOUT, value);
    }
}
