//! Which host is asked for: one, valid, and the same wherever it is written.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::{Version, header};

use super::refusal::Refusal;
use super::target::Target;
use crate::request::{Incoming, Secure};
use crate::verdict::Denial;

/// The longest DNS name in its text form, RFC 1035 §2.3.4 less the length bytes.
const NAME_BYTES_MAX: usize = 253;

/// A host and perhaps a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Authority<'a> {
    pub(super) host: Cow<'a, str>,
    pub(super) port: Option<u16>,
}

/// The one authority of a request. Whatever names it must agree: the Host field, the target of a request to a
/// proxy, HTTP/2's `:authority`.
pub(super) fn agreed<'a>(incoming: &Incoming<'a>, target: &Target<'a>) -> Result<Authority<'a>, Refusal> {
    let in_field = host_field(incoming)?;
    let in_target = match target.authority {
        Some(text) => Some(Authority::parse(text.as_bytes())?),
        None => http2_authority(incoming)?,
    };
    match (in_target, in_field) {
        (Some(target_says), Some(field_says)) => {
            let default = default_port(incoming, target);
            if target_says.is_same(&field_says, default) {
                Ok(target_says)
            } else {
                Err(bad("Host and the target name two hosts"))
            }
        }
        // RFC 9112 §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
        // that lacks a Host header field", even when the target names one.
        (Some(_), None) if incoming.head.version == Version::HTTP_11 => Err(bad("there is no Host")),
        (Some(authority), None) | (None, Some(authority)) => Ok(authority),
        (None, None) if incoming.head.version == Version::HTTP_10 => {
            Ok(Authority { host: Cow::Borrowed(""), port: None })
        }
        (None, None) => Err(bad("there is no Host")),
    }
}

fn host_field<'a>(incoming: &Incoming<'a>) -> Result<Option<Authority<'a>>, Refusal> {
    let mut values = incoming.head.headers.get_all(header::HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(host), None) => Authority::parse(host.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(bad("there are two Hosts")),
    }
}

fn http2_authority<'a>(incoming: &Incoming<'a>) -> Result<Option<Authority<'a>>, Refusal> {
    if incoming.head.version != Version::HTTP_2 {
        return Ok(None);
    }
    incoming.head.uri.authority().map(|text| Authority::parse(text.as_str().as_bytes())).transpose()
}

fn default_port(incoming: &Incoming<'_>, target: &Target<'_>) -> u16 {
    match target.scheme.unwrap_or(incoming.peer.secure) {
        Secure::Plain => 80,
        Secure::Tls => 443,
    }
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`. No user information, no percent escapes, nothing outside
    /// the letters, digits, hyphens and underscores that names in use are made of.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(text).map_err(|_| bad("the host is not ASCII"))?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let Some((address, after)) = rest.split_once(']') else {
                    return Err(bad("a bracket in the host is not closed"));
                };
                let port = after.strip_prefix(':');
                if port.is_none() && !after.is_empty() {
                    return Err(bad("something other than a port follows the brackets of the host"));
                }
                (v6(address, text)?, port)
            }
            None => match memchr::memchr(b':', text.as_bytes()).map(|colon| text.split_at(colon)) {
                Some((host, port)) => (name(host)?, port.get(1..)),
                None => (name(text)?, None),
            },
        };
        Ok(Self { host, port: port.map(port_number).transpose()? })
    }

    fn is_same(&self, other: &Self, default: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

fn name(text: &str) -> Result<Cow<'_, str>, Refusal> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let (mut label_bytes, mut has_capitals) = (0, false);
    for byte in text.bytes() {
        match byte {
            b'.' if label_bytes == 0 => return Err(NO_NAME),
            b'.' => label_bytes = 0,
            b'A'..=b'Z' => (label_bytes, has_capitals) = (label_bytes + 1, true),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label_bytes += 1,
            _ => return Err(bad("the host holds bytes no host name has")),
        }
    }
    if label_bytes == 0 || text.len() > NAME_BYTES_MAX {
        return Err(NO_NAME);
    }
    Ok(if has_capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}

/// One address, one spelling: `[::1]` and `[0:0::1]` must meet the same route.
fn v6<'a>(address: &str, text: &'a str) -> Result<Cow<'a, str>, Refusal> {
    let address: Ipv6Addr =
        address.parse().map_err(|_| bad("the brackets of the host hold no IPv6 address"))?;
    let spelled = format!("[{address}]");
    match text.get(..spelled.len()) {
        Some(same) if same == spelled => Ok(Cow::Borrowed(same)),
        _ => Ok(Cow::Owned(spelled)),
    }
}

fn port_number(digits: &str) -> Result<u16, Refusal> {
    let plain = matches!(digits.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
    let parsed = plain.then(|| digits.parse().ok()).flatten();
    parsed.ok_or(bad("the port of the host is not a number between 1 and 65535"))
}

const NO_NAME: Refusal = bad("the host is empty, too long or has an empty label");

const fn bad(because: &'static str) -> Refusal {
    Refusal::new(Denial::BadHost, because)
}
