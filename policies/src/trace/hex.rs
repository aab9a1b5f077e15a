//! Lower-case hexadecimal, both ways, without allocation.

use crate::digits::{HEXADECIMAL, hexadecimal};

/// The value of a field of exactly 32 lower-case hexadecimal digits; nothing if any byte is something else.
pub(super) fn read_32(digits: &[u8]) -> Option<u128> {
    let (high, low) = digits.split_at_checked(16)?;
    Some(u128::from(read_16(high)?) << 64 | u128::from(read_16(low)?))
}

/// The same for exactly sixteen digits.
pub(super) fn read_16(digits: &[u8]) -> Option<u64> {
    read(<&[u8; 16]>::try_from(digits).ok()?)
}

/// The same for exactly two digits.
pub(super) fn read_2(digits: &[u8]) -> Option<u8> {
    read(<&[u8; 2]>::try_from(digits).ok()?).and_then(|value| u8::try_from(value).ok())
}

fn read<const N: usize>(digits: &[u8; N]) -> Option<u64> {
    // All bytes are looked at before the one answer: a branch for each digit is what costs time here.
    let (mut value, mut seen) = (0, 0);
    for byte in digits {
        let digit = VALUE.get(usize::from(*byte)).copied().unwrap_or(0xff);
        seen |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (seen <= 0xf).then_some(value)
}

/// The value of every byte as a digit; 0xff for those that are none.
const VALUE: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[HEXADECIMAL[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// A line of at most `N` bytes, put together on the stack.
pub(super) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Adds text. What does not fit is left out; every caller's `N` is the length of its longest line.
    pub(super) fn text(mut self, text: &[u8]) -> Self {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + text.len()) {
            place.copy_from_slice(text);
            self.len += text.len();
        }
        self
    }

    /// Adds bytes as two digits each.
    pub(super) fn hex<const B: usize>(mut self, bytes: [u8; B]) -> Self {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + 2 * B) {
            for (pair, byte) in place.chunks_exact_mut(2).zip(bytes) {
                pair.copy_from_slice(&[hexadecimal(byte >> 4), hexadecimal(byte & 0xf)]);
            }
            self.len += 2 * B;
        }
        self
    }

    /// What has been added.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
