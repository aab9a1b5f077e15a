//! How a head of HTTP/1 is cut into lines and a line into a field, for requests and answers alike.

use crate::guard::refusal::Refusal;
use crate::verdict::Denial;

/// Fields of a usual head, with some to be put in. To count its lines costs more than to guess.
pub(super) const USUAL: usize = 12;

/// Lines end with CR LF, both of them: RFC 9112 §2.2 lets a recipient take a bare LF, and nobody who sends one means
/// well. A CR anywhere else is refused too.
pub(super) struct Lines<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Lines<'a> {
    /// The lines of a head, the empty one at its end cut off.
    pub(super) fn of(head: &'a [u8]) -> Self {
        Self { rest: Some(head) }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.rest = None;
            return Some(Ok(rest));
        };
        let (line, behind) = rest.split_at(end);
        self.rest = behind.strip_prefix(b"\r\n");
        Some(match self.rest {
            Some(_) => Ok(line),
            None => Err(bad("a line ends with something else than CR LF")),
        })
    }
}

/// RFC 9112 §5.1: "No whitespace is allowed between the field name and colon." A line that begins with white space
/// continues the one before (§5.2), or does not, depending on who reads it. The value's bytes are whoever keeps it to look at:
/// [`check_value`](crate::guard::fields::check_value), or `HeaderValue`, which takes the same.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    match line.split_at(end) {
        (name @ [_, ..], [b':', value @ ..]) => Ok((name, trim(value))),
        (_, []) => Err(bad("a header line has no colon")),
        _ => Err(bad("a header name is not a token")),
    }
}

/// RFC 9110 §5.6.3: `OWS = *( SP / HTAB )`.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// RFC 9110 §5.6.2.
pub(in crate::guard) fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A table, since it is asked of every byte of every name.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHeader, because)
}
