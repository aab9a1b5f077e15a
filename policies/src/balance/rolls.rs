//! One random number made to last: a pick needs several, the shell hands in one.

/// A stream of numbers that follows from one roll (the SplitMix64 generator).
pub(super) struct Rolls(pub(super) u64);

impl Rolls {
    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next number, brought below `bound`. Zero if `bound` is.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * (bound as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Scatters a number over all 64 bits, reversibly (the finaliser of SplitMix64).
pub(super) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The high half of a number as a fraction, 0 up to but not including 1.
pub(super) fn unit(number: u64) -> f64 {
    f64::from(u32::try_from(number >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}
