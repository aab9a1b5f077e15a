//! How many calls failed and how many passed lately: a ring of ten slots, each one atomic word.
//!
//! A slot holds the time it belongs to beside its counts, so that emptying an old slot and counting into it is one
//! step. With time and counts in separate words two threads at a slot's border could count into the wrong time.

use std::time::Duration;

use crate::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Tick, nanos},
};

/// Ten slots: the window's edge moves in steps of a tenth, fine enough for a rate, cheap enough to add up.
const SLOTS: usize = 10;
/// 20 bits a count: a million calls a slot, a million a second at the default window. Beyond that it stands still.
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
/// 24 bits of time: at one second a slot it comes round after half a year.
const EPOCH_MASK: u64 = (1 << 24) - 1;

/// Calls counted in the window.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    /// How many failed.
    pub(crate) failed: u32,
    /// How many passed.
    pub(crate) passed: u32,
}

impl Counts {
    /// All of them.
    pub(crate) fn calls(self) -> u32 {
        self.failed.saturating_add(self.passed)
    }

    /// The share that failed; zero if there were none.
    pub(crate) fn failure_rate(self) -> f64 {
        if self.calls() == 0 { 0.0 } else { f64::from(self.failed) / f64::from(self.calls()) }
    }

    /// These and those together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            failed: self.failed.saturating_add(other.failed),
            passed: self.passed.saturating_add(other.passed),
        }
    }
}

/// What to count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// A call that failed.
    Failed,
    /// A call that passed.
    Passed,
}

/// The ring.
pub(crate) struct Window {
    slots: [AtomicU64; SLOTS],
    slot_nanos: u64,
}

impl Window {
    /// Counts over the last `length`.
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            slot_nanos: (nanos(length) / SLOTS as u64).max(1),
        }
    }

    /// Counts one call. A thread so late that its slot has been taken over counts nothing.
    pub(crate) fn add(&self, what: Count, now: Tick) {
        let turn = now.as_nanos() / self.slot_nanos;
        let Some(slot) = usize::try_from(turn % SLOTS as u64).ok().and_then(|i| self.slots.get(i)) else {
            return;
        };
        // Relaxed: nothing else is read on the strength of a count.
        let _ = slot
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| added(word, turn & EPOCH_MASK, what));
    }

    /// What the window holds now.
    pub(crate) fn counts(&self, now: Tick) -> Counts {
        let epoch = (now.as_nanos() / self.slot_nanos) & EPOCH_MASK;
        self.slots
            .iter()
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|word| ahead(epoch, epoch_of(*word)) < SLOTS as u64)
            .fold(Counts::default(), |sum, word| sum.and(counts_of(word)))
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for slot in &self.slots {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

/// The word with one more call in it, emptied first if it belongs to an earlier turn of the ring.
fn added(word: u64, epoch: u64, what: Count) -> Option<u64> {
    let late = ahead(epoch_of(word), epoch);
    if late != 0 && late < EPOCH_MASK / 2 && word != 0 {
        return None;
    }
    let kept = if late == 0 { word } else { epoch << (2 * COUNT_BITS) };
    let (count, one) = match what {
        Count::Failed => (kept & COUNT_MAX, 1),
        Count::Passed => ((kept >> COUNT_BITS) & COUNT_MAX, 1 << COUNT_BITS),
    };
    Some(if count == COUNT_MAX { kept } else { kept + one })
}

fn epoch_of(word: u64) -> u64 {
    word >> (2 * COUNT_BITS)
}

fn counts_of(word: u64) -> Counts {
    let count = |bits: u64| u32::try_from(bits & COUNT_MAX).unwrap_or(u32::MAX);
    Counts { failed: count(word), passed: count(word >> COUNT_BITS) }
}

/// How far `epoch` is ahead of `other` on a clock face of 24 bits.
fn ahead(epoch: u64, other: u64) -> u64 {
    epoch.wrapping_sub(other) & EPOCH_MASK
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
