//! Host patterns: any, one name, or everything under a name.

use std::fmt;
use std::net::Ipv6Addr;

use super::BadPattern;

/// RFC 1035 §2.3.4: "labels 63 octets or less".
const LABEL_BYTES_MAX: usize = 63;
/// RFC 1035 §2.3.4: "names 255 octets or less" on the wire, which leaves 253 for the text.
const NAME_BYTES_MAX: usize = 253;

/// A host pattern. Host names are case-blind, so it is kept in lower case; it never has a port.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Host(pub(super) Kind);

/// The three shapes, least specific last.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    /// Exactly this name.
    Exact(Box<str>),
    /// One or more labels in front of this name.
    Under(Box<str>),
    /// Whatever the host.
    #[default]
    Any,
}

impl Host {
    /// Reads `shop.example`, `*.shop.example` (any name *under* it, at any depth, but not the name itself),
    /// an address (`10.0.0.1`, `[::1]`) or `*`. Refuses ports, trailing dots, and names outside ASCII: those have
    /// an `xn--` form, and that is what arrives on the wire.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text == "*" {
            return Ok(Self(Kind::Any));
        }
        if text.starts_with('[') {
            return address(text).map(|host| Self(Kind::Exact(host)));
        }
        let under = text.strip_prefix("*.");
        let name_at = if under.is_some() { 2 } else { 0 };
        check_name(text, name_at)?;
        let name = under.unwrap_or(text).to_ascii_lowercase().into_boxed_str();
        Ok(Self(if under.is_some() { Kind::Under(name) } else { Kind::Exact(name) }))
    }
}

/// RFC 3986 §3.2.2: "A host identified by an Internet Protocol literal address, version 6 or later, is
/// distinguished by enclosing the IP literal within square brackets".
fn address(text: &str) -> Result<Box<str>, BadPattern> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) {
        Some(address) => Ok(format!("[{address}]").into()),
        None => Err(BadPattern::at(text, 1, "an IPv6 address and `]`, with nothing after it")),
    }
}

fn check_name(text: &str, name_at: usize) -> Result<(), BadPattern> {
    let mut label_at = name_at;
    for (offset, found) in text.char_indices().skip_while(|(offset, _)| *offset < name_at) {
        match found {
            '.' if offset == label_at => return Err(BadPattern::at(text, offset, "a host label")),
            '.' => label_at = offset + 1,
            ':' => return Err(BadPattern::at(text, offset, "a host without a port")),
            '*' => return Err(BadPattern::at(text, offset, "`*` only as the whole first label")),
            _ if !found.is_ascii() => {
                return Err(BadPattern::at(text, offset, "the `xn--` form of this name"));
            }
            '-' | '_' | '0'..='9' | 'a'..='z' | 'A'..='Z' => {}
            _ => return Err(BadPattern::at(text, offset, "a letter, a digit, `-`, `_` or `.`")),
        }
        if offset >= label_at + LABEL_BYTES_MAX {
            return Err(BadPattern::at(text, offset, "a `.`: a label has at most 63 bytes"));
        }
        if offset >= name_at + NAME_BYTES_MAX {
            return Err(BadPattern::at(text, offset, "the end: a host has at most 253 bytes"));
        }
    }
    if label_at == text.len() { Err(BadPattern::at(text, label_at, "a host label")) } else { Ok(()) }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exact(name) => f.write_str(name),
            Kind::Under(name) => write!(f, "*.{name}"),
            Kind::Any => f.write_str("*"),
        }
    }
}
