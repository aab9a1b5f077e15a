//! A number that fades with time: value and time of writing in one atomic word.

use std::time::Duration;

use crate::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Tick, nanos},
};

/// Times are kept in units of 2^20 ns, about a millisecond: 32 bits of them last 52 days. A number nobody touched
/// for longer than that looks younger than it is, and fades a little late.
const UNIT_SHIFT: u32 = 20;

/// The number. Zero means: nothing is known.
pub(super) struct Decaying(AtomicU64);

impl Decaying {
    /// Nothing is known yet.
    pub(super) fn unknown() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// What is left of it now.
    pub(super) fn read(&self, now: Tick, half_life: Duration) -> u32 {
        let (value, stamp) = unpack(self.0.load(Ordering::Relaxed));
        faded(value, age(stamp, now), units(half_life))
    }

    /// Learns a sample the peak-sensitive way: a worse one counts at once and in full, a better one only as fast
    /// as the old value's excess over it fades.
    pub(super) fn learn_peak(&self, sample: u32, now: Tick, half_life: Duration) {
        self.advance(now, |value, age| {
            let excess = value.saturating_sub(sample);
            sample.saturating_add(faded(excess, age, units(half_life)))
        });
    }

    /// Learns a sample by moving a sixteenth of the way towards it, from what is left of the old value.
    pub(super) fn learn_share(&self, sample: u32, now: Tick, half_life: Duration) {
        // Nothing, and nothing new: all threads may look at it, as long as nobody writes.
        if sample == 0 && unpack(self.0.load(Ordering::Relaxed)).0 == 0 {
            return;
        }
        self.advance(now, |value, age| {
            let left = faded(value, age, units(half_life));
            if sample >= left { left + (sample - left) / 16 } else { left - (left - sample) / 16 }
        });
    }

    fn advance(&self, now: Tick, next: impl Fn(u32, u32) -> u32) {
        // Relaxed: the word is complete in itself.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
            let (value, stamp) = unpack(word);
            let age = age(stamp, now);
            // A late thread must not turn the time back: the value would fade twice for the same seconds.
            let stamp = stamp.wrapping_add(age);
            Some((u64::from(next(value, age)) << 32) | u64::from(stamp))
        });
    }
}

/// What is left of a value after `age`: half for each half-life, along a straight line in between. No exponential
/// is worth computing for a guess about the next call.
fn faded(value: u32, age: u32, half_life: u32) -> u32 {
    if half_life == 0 {
        return 0;
    }
    let halved = value.checked_shr(age / half_life).unwrap_or(0);
    let further = u64::from(halved) * u64::from(age % half_life) / (2 * u64::from(half_life));
    halved - u32::try_from(further).unwrap_or(halved).min(halved)
}

/// Time since a stamp; zero for a stamp that lies ahead (another thread read its clock later).
fn age(stamp: u32, now: Tick) -> u32 {
    let age = low_half(now.as_nanos() >> UNIT_SHIFT).wrapping_sub(stamp);
    if age > u32::MAX / 2 { 0 } else { age }
}

fn units(duration: Duration) -> u32 {
    u32::try_from(nanos(duration) >> UNIT_SHIFT).unwrap_or(u32::MAX)
}

fn unpack(word: u64) -> (u32, u32) {
    (low_half(word >> 32), low_half(word))
}

fn low_half(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const HALF: Duration = Duration::from_secs(7);

    fn at(secs: u64) -> Tick {
        Tick::ZERO.after(Duration::from_secs(secs))
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_by_half_lives() {
        let cost = Decaying::unknown();
        cost.learn_peak(10_000, at(1), HALF);
        cost.learn_peak(2_000_000, at(1), HALF);
        assert_eq!(cost.read(at(1), HALF), 2_000_000);
        assert!((990_000..1_010_000).contains(&cost.read(at(8), HALF)));
        assert!((490_000..510_000).contains(&cost.read(at(15), HALF)));
        assert_eq!(cost.read(at(1_000), HALF), 0);
    }

    #[test]
    fn a_good_sample_does_not_wipe_out_a_bad_one() {
        let cost = Decaying::unknown();
        cost.learn_peak(2_000_000, at(1), HALF);
        cost.learn_peak(10_000, at(1), HALF);
        assert_eq!(cost.read(at(1), HALF), 2_000_000);
        cost.learn_peak(10_000, at(8), HALF);
        assert!((990_000..1_020_000).contains(&cost.read(at(8), HALF)));
    }

    #[test]
    fn a_share_moves_a_sixteenth_of_the_way() {
        let share = Decaying::unknown();
        share.learn_share(1 << 24, at(1), HALF);
        assert_eq!(share.read(at(1), HALF), 1 << 20);
        for _ in 0..200 {
            share.learn_share(1 << 24, at(1), HALF);
        }
        assert!(share.read(at(1), HALF) > (1 << 24) - 100);
    }

    #[test]
    fn a_late_thread_does_not_turn_the_time_back() {
        let cost = Decaying::unknown();
        cost.learn_peak(1_000, at(20), HALF);
        cost.learn_peak(900, at(6), HALF);
        assert_eq!(cost.read(at(20), HALF), 1_000);
    }

    #[test]
    fn fading_never_jumps_up() {
        let values: Vec<_> = (0..200).map(|age| faded(1_000_000, age, 10)).collect();
        assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    }
}
