//! Collects what happens between two moves of the limit. Any thread adds; one at a time takes it all.

use std::time::Duration;

use super::gradient::Seen;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::time::{Tick, nanos};

/// Answers and their latencies share one word, so that they are always taken together: the count above these bits,
/// the sum of microseconds in them.
const SUM_BITS: u32 = 40;

/// Longer latencies count as this: 8.4 s in microseconds. With [`ANSWERS_MAX`] it keeps the sum within half its bits'
/// range, and threads that add to a window that should have closed have the other half.
const LATENCY_MAX: u64 = 1 << 23;

/// A window with so many answers closes whatever the time.
const ANSWERS_MAX: u32 = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Window {
    answers: AtomicU64,
    failed: AtomicU32,
    peak: AtomicU32,
    shed: AtomicBool,
    /// Zero before the first answer.
    closes_at: AtomicU64,
}

impl Window {
    pub(super) fn answered(&self, latency: Duration) {
        let micros = (nanos(latency) / 1000).min(LATENCY_MAX);
        self.answers.fetch_add((1 << SUM_BITS) + micros, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// A request came in and made it `in_flight`.
    pub(super) fn entered(&self, in_flight: u32) {
        // Mostly it is no new peak, and then nothing need be written to a line that all cores share.
        if self.peak.load(Relaxed) < in_flight {
            self.peak.fetch_max(in_flight, Relaxed);
        }
    }

    pub(super) fn shed(&self) {
        if !self.shed.load(Relaxed) {
            self.shed.store(true, Relaxed);
        }
    }

    /// Has it lasted long enough, and seen enough?
    pub(super) fn is_due(&self, now: Tick, shortest: Duration, samples_min: u32) -> bool {
        let (answered, _) = split(self.answers.load(Relaxed));
        if answered >= ANSWERS_MAX {
            return true;
        }
        let closes_at = self.closes_at.load(Relaxed);
        if closes_at == 0 {
            let first = now.after(shortest).as_nanos().max(1);
            // Whoever loses this race has lost it to the same value, give or take a moment.
            let _ = self.closes_at.compare_exchange(0, first, Relaxed, Relaxed);
            return false;
        }
        now.as_nanos() >= closes_at && answered.saturating_add(self.failed.load(Relaxed)) >= samples_min
    }

    /// Takes everything and begins anew with so many in flight. One caller at a time.
    pub(super) fn take(&self, in_flight: u32) -> Seen {
        let (answered, sum) = split(self.answers.swap(0, Relaxed));
        Seen {
            latency: sum as f64 * 1000.0 / f64::from(answered.max(1)),
            answered,
            failed: self.failed.swap(0, Relaxed),
            peak: self.peak.swap(in_flight, Relaxed),
            shed: self.shed.swap(false, Relaxed),
        }
    }

    pub(super) fn close_at(&self, when: Tick) {
        self.closes_at.store(when.as_nanos().max(1), Relaxed);
    }
}

fn split(answers: u64) -> (u32, u64) {
    (u32::try_from(answers >> SUM_BITS).unwrap_or(u32::MAX), answers & ((1 << SUM_BITS) - 1))
}
