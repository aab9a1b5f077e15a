//! The name of one request, in every log line on its way.

use http::HeaderValue;

use crate::digits::hexadecimal;

/// Longest id taken from somebody else.
const BYTES_MAX: usize = 128;

/// A request id: 1 to 128 characters out of `[A-Za-z0-9._-]`, so that it can stand in a log line, a header and a
/// URL as it is. Cloning is cheap.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes an id that came in, if it is a proper one.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let text = value.as_bytes();
        let proper = (1..=BYTES_MAX).contains(&text.len())
            && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        proper.then(|| Self(value.clone()))
    }

    /// Makes an id from a random number, in the shape of a UUID of version 4 (RFC 9562 §5.4).
    pub fn made_from(random: u128) -> Self {
        const VERSION_4: u128 = 4 << 76;
        const VARIANT: u128 = 2 << 62;
        /// Where the digits of each byte stand.
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let number = random & !(0xf << 76) & !(3 << 62) | VERSION_4 | VARIANT;
        let mut text = [b'-'; 36];
        for (byte, place) in number.to_be_bytes().into_iter().zip(PLACES) {
            if let Some([high, low]) = text.get_mut(place..place + 2) {
                (*high, *low) = (hexadecimal(byte >> 4), hexadecimal(byte & 0xf));
            }
        }
        Self(HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("unnamed")))
    }

    /// The same in memory of its own. What came in is a piece of the buffer it was read into, and holds all of that as
    /// long as it lives.
    #[must_use]
    pub fn detached(&self) -> Self {
        HeaderValue::from_bytes(self.0.as_bytes()).map_or_else(|_| self.clone(), Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As the value of `x-request-id`.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
