//! How a line of JSON is written. One is written for each request, so it is done byte by byte: the standard library's
//! formatting takes several times as long.
//!
//! Keys come with all that stands around them, `,"route":"`: a piece of text that is known beforehand is copied in a few
//! steps. Every value that somebody else chose goes through [`text`].

use std::time::Duration;

use crate::digits::{self, decimal, digit};

/// The longest value of one field: what a client chose is cut here.
pub(super) const VALUE_CHARS_MAX: usize = 256;

/// Adds what needs no escaping: our own words.
#[inline]
pub(super) fn raw(line: &mut Vec<u8>, text: &'static str) {
    line.extend_from_slice(text.as_bytes());
}

/// A field with one of our own words.
#[inline]
pub(super) fn word(line: &mut Vec<u8>, key: &'static str, word: &'static str) {
    raw(line, key);
    raw(line, word);
    line.push(b'"');
}

/// A field with any text, cut, and with everything escaped that could end the value or the line. Left out if it is empty.
#[inline]
pub(super) fn text(line: &mut Vec<u8>, key: &'static str, value: &[u8]) {
    if !value.is_empty() {
        raw(line, key);
        quoted(line, value);
    }
}

fn quoted(line: &mut Vec<u8>, value: &[u8]) {
    // Almost all values are short and plain.
    if value.len() <= VALUE_CHARS_MAX && is_plain(value) {
        line.extend_from_slice(value);
    } else {
        let letters = String::from_utf8_lossy(value);
        letters.chars().take(VALUE_CHARS_MAX).for_each(|letter| escaped(line, letter));
    }
    line.push(b'"');
}

fn is_plain(value: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\');
    let (eights, rest) = value.as_chunks::<8>();
    // Looks at all eight, whatever it finds: so they are looked at in one step.
    eights.iter().all(|eight| eight.iter().fold(true, |plain, byte| plain & is_plain(byte)))
        && rest.iter().all(is_plain)
}

fn escaped(line: &mut Vec<u8>, letter: char) {
    match letter {
        '"' | '\\' => line.push(b'\\'),
        // Control characters, and the two line ends that are none in JSON but are in JavaScript.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            raw(line, "\\u");
            let [.., high, low] = u32::from(letter).to_be_bytes();
            return hexadecimal(line, [high, low]);
        }
        _ => {}
    }
    line.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// A field with a number.
#[inline]
pub(super) fn number(line: &mut Vec<u8>, key: &'static str, value: u64) {
    raw(line, key);
    decimal::<1>(line, value);
}

/// A field with milliseconds, to the microsecond.
#[inline]
pub(super) fn millis(line: &mut Vec<u8>, key: &'static str, value: Duration) {
    raw(line, key);
    let micros = value.saturating_add(Duration::from_nanos(500)).as_micros();
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    decimal::<1>(line, micros / 1000);
    let [tens, ones] = two_digits(micros % 100);
    line.extend_from_slice(&[b'.', digit(micros / 100 % 10), tens, ones]);
}

/// Bytes as two digits each.
pub(super) fn hexadecimal<const BYTES: usize>(line: &mut Vec<u8>, bytes: [u8; BYTES]) {
    let digits = bytes.map(|byte| [digits::hexadecimal(byte >> 4), digits::hexadecimal(byte & 0xf)]);
    line.extend_from_slice(digits.as_flattened());
}

fn two_digits(value: u64) -> [u8; 2] {
    [digit(value / 10 % 10), digit(value % 10)]
}

/// RFC 3339, in UTC, to the millisecond.
pub fn timestamp(line: &mut Vec<u8>, since_1970: Duration) {
    let (seconds, millis) = (since_1970.as_secs(), u64::from(since_1970.subsec_millis()));
    let (days, in_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    decimal::<4>(line, year);
    let ([month, month_2], [day, day_2]) = (two_digits(month), two_digits(day));
    let ([hour, hour_2], [minute, minute_2]) = (two_digits(in_day / 3600), two_digits(in_day / 60 % 60));
    let ([second, second_2], [tens, ones]) = (two_digits(in_day % 60), two_digits(millis % 100));
    let date = [b'-', month, month_2, b'-', day, day_2, b'T'];
    let time = [hour, hour_2, b':', minute, minute_2, b':', second, second_2];
    line.extend_from_slice(&date);
    line.extend_from_slice(&time);
    line.extend_from_slice(&[b'.', digit(millis / 100), tens, ones, b'Z']);
}

/// The date of a day since 1970, in the proleptic Gregorian calendar: years are counted from March, so that the leap day
/// is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
        let mut line = Vec::new();
        write(&mut line);
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }

    #[test]
    fn dates_are_right() {
        let check = |millis, expected| check(|line| timestamp(line, Duration::from_millis(millis)), expected);
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_007, "2000-02-29T00:00:00.007Z");
        check(1_709_164_799_089, "2024-02-28T23:59:59.089Z");
        check(4_107_542_400_999, "2100-03-01T00:00:00.999Z");
    }

    #[test]
    fn numbers_have_their_digits() {
        check(|line| number(line, "", 0), "0");
        check(|line| number(line, "", u64::MAX), "18446744073709551615");
        check(|line| millis(line, "", Duration::from_nanos(1_499)), "0.001");
        check(|line| millis(line, "", Duration::from_nanos(1_099_500)), "1.100");
        check(|line| millis(line, "", Duration::MAX), "18446744073709551.615");
        check(|line| hexadecimal(line, [0x00, 0x9a, 0xff]), "009aff");
    }

    #[test]
    fn what_could_end_a_value_or_a_line_is_escaped() {
        check(|line| quoted(line, b"a \"b\" \\ \n\x7f"), "a \\\"b\\\" \\\\ \\u000a\\u007f\"");
        check(|line| quoted(line, "\u{2028}\u{2029}\u{85}ü€".as_bytes()), "\\u2028\\u2029\\u0085ü€\"");
        check(|line| quoted(line, b"\xff"), "\u{fffd}\"");
    }
}
