//! The last good answers, for routes whose fallback gives them. Bounded in entries, in bytes of one and in bytes of all.
//!
//! Which may be kept, so that nobody's page is ever shown to somebody else, is decided by `policies`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use policies::guard::AnswerBody;
use policies::plan::FallbackAnswer;
use policies::reply::Reply;
use policies::resilience::fallback::may_be_kept;
use policies::time::Tick;

use super::Exchange;

/// The largest answer that is kept.
const BYTES_MAX_EACH: usize = 256 * 1024;
/// All of them together.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many.
const ENTRIES_MAX: usize = 10_000;

/// The last good answers of this process.
#[derive(Default)]
pub struct LastGood {
    kept: Mutex<Kept>,
    not_kept: AtomicU64,
}

#[derive(Default)]
struct Kept {
    answers: HashMap<String, Good>,
    bytes: usize,
}

struct Good {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    at: Tick,
}

/// An answer on its way that may be worth keeping.
pub(super) struct Keeping {
    key: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    too_large: bool,
}

impl Keeping {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        if self.body.len() + bytes.len() > BYTES_MAX_EACH {
            (self.too_large, self.body) = (true, Vec::new());
        } else if !self.too_large {
            self.body.extend_from_slice(bytes);
        }
    }
}

impl LastGood {
    /// How many answers are kept, their bytes, and how many had no room.
    pub fn status(&self) -> (usize, usize, u64) {
        let kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (kept.answers.len(), kept.bytes, self.not_kept.load(Ordering::Relaxed))
    }

    fn put(&self, keeping: Keeping, now: Tick) {
        let Keeping { key, status, headers, body, too_large } = keeping;
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = kept.answers.remove(&key).map_or(0, |old| old.body.len());
        kept.bytes -= before;
        if too_large || kept.answers.len() >= ENTRIES_MAX || kept.bytes + body.len() > BYTES_MAX {
            self.not_kept.fetch_add(1, Ordering::Relaxed);
            return;
        }
        kept.bytes += body.len();
        kept.answers.insert(key, Good { status, headers, body, at: now });
    }

    fn find(
        &self,
        key: &str,
        age: Duration,
        now: Tick,
    ) -> Option<(StatusCode, HeaderMap, Vec<u8>, Duration)> {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let good = kept.answers.get(key)?;
        let old = now.since(good.at);
        if old <= age {
            return Some((good.status, good.headers.clone(), good.body.clone(), old));
        }
        let bytes = kept.answers.remove(key).map_or(0, |old| old.body.len());
        kept.bytes -= bytes;
        None
    }
}

impl Exchange {
    /// Begins to keep this answer, if the route falls back to it and anybody may see it.
    pub(super) fn keep_if_good(&mut self, head: &Parts, framed: AnswerBody) {
        let named = self.permit.as_ref().and_then(|permit| permit.route().fallback.as_ref());
        let wanted = named.is_some_and(|fallback| matches!(fallback.give, FallbackAnswer::LastGood(_)));
        let public = self.asked.as_ref().is_some_and(|asked| asked.is_anonymous);
        if !wanted || !public || matches!(framed, AnswerBody::Tunnel) || !may_be_kept(head) {
            return;
        }
        let Some(key) = self.key() else { return };
        // In memory of their own: what was read is a piece of a larger buffer, and would hold all of that.
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let own = head.headers.iter().filter_map(|(name, value)| Some((name.clone(), copy(value)?)));
        let mut headers: HeaderMap = own.collect();
        for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::DATE] {
            headers.remove(name);
        }
        self.answer.keeping =
            Some(Keeping { key, status: head.status, headers, body: Vec::new(), too_large: false });
    }

    /// The answer is complete.
    pub(super) fn keep_now(&mut self) {
        if let Some(keeping) = self.answer.keeping.take() {
            self.time_passed();
            self.core.last_good.put(keeping, self.now);
        }
    }

    /// The last good answer to a request like this one.
    pub(super) fn last_good(&self, age: Duration) -> Option<Reply> {
        self.asked.as_ref().filter(|asked| asked.is_anonymous)?;
        let (status, mut headers, body, old) = self.core.last_good.find(&self.key()?, age, self.now)?;
        headers.insert(header::AGE, old.as_secs().into());
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        Some(Reply { status, headers, body })
    }

    fn key(&self) -> Option<String> {
        let (asked, permit) = (self.asked.as_ref()?, self.permit.as_ref()?);
        // A line feed stands in no host and no target.
        Some(format!("{}\n{}\n{}", permit.route().name, asked.host(), asked.target()))
    }
}
