//! Every character of a path in its one spelling: RFC 3986 §6.2.2.1 and §6.2.2.2.

use std::borrow::Cow;

use super::{PathRules, Separators};
use crate::guard::refusal::Refusal;
use crate::guard::rules::Permission;
use crate::verdict::Denial;

/// `%` and two digits.
const ESCAPE_BYTES: usize = 3;

pub(super) fn spell<'a>(raw: &'a str, rules: &PathRules) -> Result<Cow<'a, str>, Refusal> {
    if !raw.starts_with('/') {
        return Err(target("a path begins with a slash"));
    }
    let mut out = Respelled { raw, text: String::new(), done: 0 };
    let (mut at, mut utf8_until) = (0, 0);
    while let Some(&byte) = raw.as_bytes().get(at) {
        if byte != b'%' {
            check_raw(byte, rules)?;
            at += 1;
            continue;
        }
        let escape = Escape::read(raw, at)?;
        check_escaped(escape.byte, rules)?;
        if !escape.byte.is_ascii() && at >= utf8_until {
            utf8_until = at + character(raw, at)? * ESCAPE_BYTES;
        }
        if is_unreserved(escape.byte) {
            out.replace(at, |text| text.push(char::from(escape.byte)));
        } else if escape.has_small_digits {
            out.replace(at, |text| text.push_str(&escape.digits.to_ascii_uppercase()));
        }
        at += ESCAPE_BYTES;
    }
    Ok(out.finish())
}

/// The path with its escapes replaced; empty until the first one has to be.
struct Respelled<'a> {
    raw: &'a str,
    text: String,
    done: usize,
}

impl<'a> Respelled<'a> {
    /// Copies what stands before the escape at `at`, then lets `put` write in its place.
    fn replace(&mut self, at: usize, put: impl FnOnce(&mut String)) {
        if self.done == 0 {
            self.text.reserve_exact(self.raw.len());
        }
        self.text.push_str(self.raw.get(self.done..at).unwrap_or_default());
        put(&mut self.text);
        self.done = at + ESCAPE_BYTES;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.done == 0 {
            return Cow::Borrowed(self.raw);
        }
        self.text.push_str(self.raw.get(self.done..).unwrap_or_default());
        Cow::Owned(self.text)
    }
}

/// One percent escape.
struct Escape<'a> {
    byte: u8,
    digits: &'a str,
    has_small_digits: bool,
}

impl<'a> Escape<'a> {
    fn read(raw: &'a str, at: usize) -> Result<Self, Refusal> {
        let digits = raw.get(at..at + ESCAPE_BYTES).unwrap_or_default();
        let &[b'%', high, low] = digits.as_bytes() else {
            return Err(path("a percent sign is not followed by two hexadecimal digits"));
        };
        let (Some(high_value), Some(low_value)) = (hex(high), hex(low)) else {
            return Err(path("a percent sign is not followed by two hexadecimal digits"));
        };
        let has_small_digits = high.is_ascii_lowercase() || low.is_ascii_lowercase();
        Ok(Self { byte: high_value << 4 | low_value, digits, has_small_digits })
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// How many escapes, from the one at `at`, make one character. Anything but shortest-form UTF-8 is refused: old
/// decoders take the overlong `%C0%AF` for a slash.
fn character(raw: &str, at: usize) -> Result<usize, Refusal> {
    let mut bytes = [0; 4];
    let count = match Escape::read(raw, at)?.byte {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return Err(NOT_UTF8),
    };
    for (index, byte) in bytes.iter_mut().take(count).enumerate() {
        *byte = Escape::read(raw, at + index * ESCAPE_BYTES).map_err(|_| NOT_UTF8)?.byte;
    }
    match bytes.get(..count).map(std::str::from_utf8) {
        Some(Ok(_)) => Ok(count),
        _ => Err(NOT_UTF8),
    }
}

fn check_raw(byte: u8, rules: &PathRules) -> Result<(), Refusal> {
    match byte {
        b'\\' if rules.separators == Separators::Refuse => Err(SEPARATOR),
        b';' if rules.parameters == Permission::Refuse => Err(PARAMETER),
        b'"' | b'#' | b'<' | b'>' | b'?' | b'`' => {
            Err(target("the path holds a byte that does not belong there"))
        }
        b'!'..=b'~' => Ok(()),
        _ => Err(target("the path holds a space, a control byte or a byte outside ASCII")),
    }
}

fn check_escaped(byte: u8, rules: &PathRules) -> Result<(), Refusal> {
    match byte {
        b'/' | b'\\' if rules.separators == Separators::Refuse => Err(SEPARATOR),
        b';' if rules.parameters == Permission::Refuse => Err(PARAMETER),
        0..=0x1f | 0x7f => Err(path("the path holds an escaped control byte")),
        _ => Ok(()),
    }
}

/// RFC 3986 §2.3: "should not be created by URI producers" as escapes, and mean the same either way.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const NOT_UTF8: Refusal = path("the escapes of the path are not UTF-8");
const PARAMETER: Refusal = path("the path has a parameter");
const SEPARATOR: Refusal = path("the path holds an escaped slash or a backslash");

const fn path(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadPath, because)
}

const fn target(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadTarget, because)
}
