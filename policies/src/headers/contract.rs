//! What gateway and sidecars tell each other about a request: `x-request-id` and `x-banyan-*`.
//!
//! Read from trusted peers only, stripped from everybody else, written anew for each hop. Read [`Carried`].

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{
    X_BANYAN_ATTEMPT, X_BANYAN_DEADLINE, X_BANYAN_PEER, X_BANYAN_PRIORITY, X_BANYAN_SHADOW, X_REQUEST_ID,
    is_alias, is_ours,
};
use super::{Fields, RequestId, Trusted, remove_where, sole};
use crate::request::{Peer, Priority};

/// Nine digits of milliseconds are eleven days: longer than any deadline, short enough to add up without care.
const DEADLINE_DIGITS_MAX: usize = 9;
/// Nobody tries a thousand times.
const ATTEMPT_DIGITS_MAX: usize = 3;
/// The largest numbers those digits can say.
const ATTEMPT_MAX: u32 = 999;
const DEADLINE_MILLIS_MAX: u64 = 999_999_999;

/// What travels with a request. A field that is absent, repeated, malformed or not to be believed is `None`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Carried {
    /// Which try this is, counted from 1 over all hops.
    pub attempt: Option<u32>,
    /// What was left of the deadline when the last hop sent the request.
    pub deadline_left: Option<Duration>,
    /// How important the request is.
    pub priority: Option<Priority>,
    /// Its name in every log.
    pub request_id: RequestId,
    /// Is it a copy of which the answer goes nowhere?
    pub shadow: Shadow,
}

/// Is the request a copy, made to compare answers?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Shadow {
    /// Somebody waits for the answer.
    #[default]
    No,
    /// Nobody does.
    Yes,
}

impl Carried {
    /// Reads what `trusted` allows to be believed. `random` becomes the request id if none was brought along.
    pub fn read(headers: &HeaderMap, trusted: Trusted, random: u128) -> Self {
        let fresh = Self {
            attempt: None,
            deadline_left: None,
            priority: None,
            request_id: RequestId::made_from(random),
            shadow: Shadow::No,
        };
        match trusted {
            Trusted::No => fresh,
            Trusted::Yes => fresh.with(headers),
        }
    }

    fn with(self, headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| sole(headers, name);
        let brought = headers.get(&X_REQUEST_ID).filter(|_| text(&X_REQUEST_ID).is_some());
        Self {
            attempt: text(&X_BANYAN_ATTEMPT)
                .and_then(|digits| number(digits, ATTEMPT_DIGITS_MAX))
                .and_then(|attempt| u32::try_from(attempt).ok()),
            deadline_left: text(&X_BANYAN_DEADLINE)
                .and_then(|digits| number(digits, DEADLINE_DIGITS_MAX))
                .map(Duration::from_millis),
            priority: text(&X_BANYAN_PRIORITY).and_then(Priority::parse),
            request_id: brought.and_then(RequestId::parse).unwrap_or(self.request_id),
            shadow: if text(&X_BANYAN_SHADOW) == Some("1") { Shadow::Yes } else { Shadow::No },
        }
    }

    /// Writes it for the next hop, in the place of whatever came in. Set `deadline_left` to what is left by now.
    pub fn write(&self, fields: &mut impl Fields) {
        strip(fields);
        fields.set(X_REQUEST_ID, self.request_id.value().clone());
        if let Some(attempt) = self.attempt {
            // Almost all are the first.
            let first = HeaderValue::from_static("1");
            fields.set(X_BANYAN_ATTEMPT, if attempt == 1 { first } else { attempt.min(ATTEMPT_MAX).into() });
        }
        if let Some(left) = self.deadline_left {
            // Rounded down: the next hop must not think it has longer than we have.
            let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            fields.set(X_BANYAN_DEADLINE, millis.min(DEADLINE_MILLIS_MAX).into());
        }
        if let Some(priority) = self.priority {
            fields.set(X_BANYAN_PRIORITY, HeaderValue::from_static(priority.as_str()));
        }
        if self.shadow == Shadow::Yes {
            fields.set(X_BANYAN_SHADOW, HeaderValue::from_static("1"));
        }
    }
}

/// Tells the app who calls it, if that was proved: `x-banyan-peer`. What a caller says of itself there never arrives.
pub fn tell_peer(fields: &mut impl Fields, peer: &Peer) {
    if let Some(id) = &peer.identity
        && let Ok(id) = HeaderValue::from_str(id.as_str())
    {
        fields.set(X_BANYAN_PEER, id);
    }
}

/// Takes out every `x-banyan-*` and `x-request-id`, in either spelling, known or not. For requests to services
/// that shall not see them, and for answers to those who do not know them.
pub fn strip(fields: &mut impl Fields) {
    remove_where(fields, |name| is_ours(name) || is_alias(name, &X_REQUEST_ID));
}

/// Writes into an answer how often the call was tried, here or nearer to the failure: whoever gets it tries no more.
pub fn tell_tried(fields: &mut impl Fields, attempts: u32) {
    fields.set(X_BANYAN_ATTEMPT, attempts.min(ATTEMPT_MAX).into());
}

/// Does an answer say that it was tried? Nobody has to be trusted for that: who says so only spares himself another call.
pub fn says_tried(headers: &HeaderMap) -> bool {
    headers.contains_key(&X_BANYAN_ATTEMPT)
}

fn number(digits: &str, digits_max: usize) -> Option<u64> {
    let plain = (1..=digits_max).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
