//! Path patterns: segments that are literal or free, perhaps with an open end; or a regular expression.

use std::borrow::Cow;
use std::fmt;

use super::BadPattern;
use super::expression::Expression;

/// More segments than any real path has; it bounds the depth of the trie and so the stack of a lookup.
const SEGMENTS_MAX: usize = 64;
/// A quarter of the longest target a proxy takes (8 KiB); it bounds the text of a table.
const TEXT_BYTES_MAX: usize = 2048;

/// A path pattern. Paths are case-sensitive.
///
/// | text | matches |
/// |---|---|
/// | `/orders` | exactly that; not `/orders/` |
/// | `/orders/*`, `/orders/{id}` | one segment of at least one byte in that place; `{id}` also remembers it |
/// | `/orders/**`, `/orders/{rest...}` | `/orders`, `/orders/`, and everything below; only at the end |
/// | a regular expression | the whole path, from end to end |
///
/// `:` and `%3A` are one to every service that decodes before it looks a path up, so they are one here: a path is
/// matched with all escapes undone but those of what a path cannot hold as it is (see [`spelled`]).
#[derive(Clone, Debug)]
pub struct Path(pub(super) Shape);

/// The two kinds of path pattern.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// Against the whole path.
    Regex(Expression),
    /// Segment by segment.
    Segments { segments: Vec<Segment>, end: End },
}

/// One segment of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Segment {
    /// Any one segment that is not empty, with the name under which it is remembered.
    Free(Option<Box<str>>),
    /// These bytes, as they stand in a [`spelled`] path.
    Literal(Box<str>),
}

/// What may follow the last segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Nothing.
    Closed,
    /// Anything, with the name under which it is remembered.
    Open(Option<Box<str>>),
}

impl Path {
    /// Every path there is: `/**`.
    pub fn any() -> Self {
        Self(Shape::Segments { segments: Vec::new(), end: End::Open(None) })
    }

    /// Reads a pattern of the forms in the table above. Literal text is brought into the form paths are matched
    /// in (escapes in upper case, none where none is needed); refuses what no such path can hold.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let Some(body) = text.strip_prefix('/') else {
            return Err(BadPattern::at(text, 0, "a path that begins with `/`"));
        };
        if text.len() > TEXT_BYTES_MAX {
            let cut = text.floor_char_boundary(TEXT_BYTES_MAX);
            return Err(BadPattern::at(text, cut, "the end: a path pattern has at most 2048 bytes"));
        }
        let mut segments: Vec<Segment> = Vec::new();
        let mut end = End::Closed;
        let mut offset = 1;
        for piece in body.split('/') {
            if end != End::Closed {
                return Err(BadPattern::at(text, offset - 1, "the end of the path after `**` or `{...}`"));
            }
            let piece_end = offset + piece.len();
            if piece.is_empty() && piece_end != text.len() {
                return Err(BadPattern::at(text, offset, "a segment between two slashes"));
            }
            let piece = piece_of(text, offset, piece)?;
            if piece.name().is_some() && segments.iter().any(|segment| segment.name() == piece.name()) {
                return Err(BadPattern::at(
                    text,
                    offset + 1,
                    "a parameter name not used before in this path",
                ));
            }
            match piece {
                Piece::One(segment) => segments.push(segment),
                Piece::Rest(name) => end = End::Open(name),
            }
            if segments.len() > SEGMENTS_MAX {
                return Err(BadPattern::at(text, offset, "the end: a path pattern has at most 64 segments"));
            }
            offset = piece_end + 1;
        }
        Ok(Self(Shape::Segments { segments, end }))
    }

    /// A regular expression that the whole path must match; anchored at both ends whether it says so or not.
    pub fn regex(text: &str) -> Result<Self, BadPattern> {
        Ok(Self(Shape::Regex(Expression::parse(text)?)))
    }
}

/// What one piece of the text between slashes stands for.
enum Piece {
    One(Segment),
    Rest(Option<Box<str>>),
}

impl Piece {
    fn name(&self) -> Option<&str> {
        match self {
            Self::One(segment) => segment.name(),
            Self::Rest(name) => name.as_deref(),
        }
    }
}

fn piece_of(text: &str, offset: usize, piece: &str) -> Result<Piece, BadPattern> {
    match piece {
        "*" => Ok(Piece::One(Segment::Free(None))),
        "**" => Ok(Piece::Rest(None)),
        _ if piece.starts_with('{') => parameter(text, offset, piece),
        _ => literal(text, offset, piece).map(|literal| Piece::One(Segment::Literal(literal))),
    }
}

fn parameter(text: &str, offset: usize, piece: &str) -> Result<Piece, BadPattern> {
    let inside = piece.strip_prefix('{').unwrap_or(piece);
    let name_bytes = inside.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, after) = inside.split_at(name_bytes);
    let after_at = offset + 1 + name_bytes;
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(BadPattern::at(text, offset + 1, "a parameter name (a letter or `_` first)"));
    }
    match after {
        "}" => Ok(Piece::One(Segment::Free(Some(name.into())))),
        "...}" => Ok(Piece::Rest(Some(name.into()))),
        _ if after.starts_with('}') => {
            Err(BadPattern::at(text, after_at + 1, "`/` or the end: a parameter fills a whole segment"))
        }
        _ => Err(BadPattern::at(text, after_at, "`}` or `...}`")),
    }
}

fn literal(text: &str, offset: usize, piece: &str) -> Result<Box<str>, BadPattern> {
    let mut out = String::with_capacity(piece.len());
    let mut chars = piece.char_indices();
    while let Some((at, found)) = chars.next() {
        let wrong = |expected| Err(BadPattern::at(text, offset + at, expected));
        match found {
            '*' => return wrong("`*` or `**` only as a whole segment"),
            '{' | '}' => return wrong("a parameter only as a whole segment"),
            '?' | '#' => return wrong("a path alone: the query has matchers of its own"),
            '%' => {
                let Some(byte) = piece.get(at + 1..at + 3).and_then(escaped) else {
                    return wrong("two hexadecimal digits after `%`");
                };
                chars.nth(1);
                push_byte(&mut out, byte);
            }
            // RFC 3986 §3.3: pchar is unreserved, pct-encoded, sub-delims, ":" or "@".
            'a'..='z' | 'A'..='Z' | '0'..='9' => out.push(found),
            '-' | '.' | '_' | '~' | '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | ';' | '=' | ':'
            | '@' => {
                out.push(found);
            }
            _ if found.is_ascii() => return wrong("a character that can stand in a path"),
            _ => found.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_byte(&mut out, byte)),
        }
    }
    match out.as_str() {
        "." | ".." => Err(BadPattern::at(text, offset, "a segment other than `.` and `..`")),
        _ => Ok(out.into()),
    }
}

fn push_byte(out: &mut String, byte: u8) {
    if means_itself(byte) {
        out.push(char::from(byte));
    } else {
        push_escape(out, byte);
    }
}

fn push_escape(out: &mut String, byte: u8) {
    out.push_str(&format!("%{byte:02X}"));
}

/// Does this byte say the same in a path whether it is escaped or not? Not what RFC 3986 §6.2.2.2 calls equivalent
/// (the unreserved alone), but what servers take for equivalent: all but the slashes, the percent sign and what no
/// path holds raw. A route for `/orders:purge` that `/orders%3Apurge` gets past protects nothing.
fn means_itself(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'%' | b'?' | b'#' | b'"' | b'<' | b'>' | b'`')
}

/// A normalised path as it is matched: without the escapes of bytes that mean the same raw. As many segments as before.
/// Only matched: what is sent on keeps the client's spelling, since some service may care.
pub(super) fn spelled(path: &str) -> Cow<'_, str> {
    let next = |from: usize| {
        let rest = path.get(from..)?;
        rest.match_indices('%').find_map(|(at, _)| {
            let byte = rest.get(at + 1..at + 3).and_then(escaped)?;
            means_itself(byte).then_some((from + at, byte))
        })
    };
    let Some(mut found) = next(0) else { return Cow::Borrowed(path) };
    let (mut out, mut done) = (String::with_capacity(path.len()), 0);
    loop {
        let (at, byte) = found;
        out.push_str(path.get(done..at).unwrap_or_default());
        out.push(char::from(byte));
        done = at + 3;
        match next(done) {
            Some(more) => found = more,
            None => break,
        }
    }
    out.push_str(path.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

fn escaped(digits: &str) -> Option<u8> {
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// A literal as a pattern has to write it: a star or brace of its own would be read as something else.
fn written(literal: &str) -> String {
    let special = |byte: &u8| matches!(byte, b'*' | b'{' | b'}' | b'[' | b']' | b'|' | b'^');
    literal.bytes().fold(String::with_capacity(literal.len()), |mut out, byte| {
        if special(&byte) {
            push_escape(&mut out, byte);
        } else {
            out.push(char::from(byte));
        }
        out
    })
}

impl Segment {
    /// The name under which it is remembered.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Free(name) => name.as_deref(),
            Self::Literal(_) => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (segments, end) = match &self.0 {
            Shape::Regex(expression) => return write!(f, "~ {}", expression.text()),
            Shape::Segments { segments, end } => (segments, end),
        };
        for segment in segments {
            match segment {
                Segment::Free(None) => f.write_str("/*")?,
                Segment::Free(Some(name)) => write!(f, "/{{{name}}}")?,
                Segment::Literal(literal) => write!(f, "/{}", written(literal))?,
            }
        }
        match end {
            End::Closed => Ok(()),
            End::Open(None) => f.write_str("/**"),
            End::Open(Some(name)) => write!(f, "/{{{name}...}}"),
        }
    }
}
