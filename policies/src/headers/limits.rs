//! Telling callers about limits: `Retry-After`, `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers-10, in the syntax of RFC 9651).

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use super::Fields;

/// The largest integer of a structured field, RFC 9651 §3.3.1.
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// Where the limits stand.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// What they are.
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Usual texts are shorter.
const ROOM: usize = 64;

/// Where one limit stands, for the caller to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing<'a> {
    /// The name of the limit in the document.
    pub policy: &'a str,
    /// How many requests the window has room for.
    pub quota: u64,
    /// How many are left now.
    pub remaining: u64,
    /// When the limit is at its quota again.
    pub reset: Duration,
    /// The window.
    pub window: Duration,
}

/// Sets `RateLimit-Policy` (what the limits are) and `RateLimit` (where they stand). Nothing for no limits.
pub fn set_standings(fields: &mut impl Fields, standings: &[Standing<'_>]) {
    let (mut policies, mut limits) = (String::with_capacity(ROOM), String::with_capacity(ROOM));
    for (index, standing) in standings.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        for list in [&mut policies, &mut limits] {
            list.push_str(comma);
            quote(list, standing.policy);
        }
        let (quota, window) = (standing.quota.min(INTEGER_MAX), seconds_up(standing.window));
        let (left, reset) = (standing.remaining.min(INTEGER_MAX), seconds_up(standing.reset));
        // Writing to a String cannot fail.
        let _ = write!(policies, ";q={quota};w={window}");
        let _ = write!(limits, ";r={left};t={reset}");
    }
    for (name, text) in [(RATELIMIT_POLICY, policies), (RATELIMIT, limits)] {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::from_str(&text)) {
            fields.set(name, value);
        }
    }
}

/// Sets `Retry-After`, in whole seconds rounded up: who comes back on time must find the door open.
pub fn set_retry_after(fields: &mut impl Fields, wait: Duration) {
    fields.set(header::RETRY_AFTER, seconds_up(wait).into());
}

fn seconds_up(time: Duration) -> u64 {
    let up = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(up).min(INTEGER_MAX)
}

/// RFC 9651 §4.1.6; what a structured string cannot say becomes a question mark.
fn quote(out: &mut String, name: &str) {
    out.push('"');
    for letter in name.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            _ => out.push('?'),
        }
    }
    out.push('"');
}
