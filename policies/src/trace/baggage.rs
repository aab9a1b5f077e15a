//! The `baggage` field: what the application sends along with a trace. Checked and handed on; only ever removed
//! from, never added to.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::state::trim;
use crate::why::Witness;

pub(super) static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Baggage §3.3.2: what is up to 8192 bytes long must be handed on whole, so this is the least there may be, and we
/// take no more. One member may fill it.
const BYTES_MAX: usize = 8192;
/// Baggage §3.3.1: `list-member 0*179( OWS "," OWS list-member )`.
const MEMBERS_MAX: usize = 180;

/// What may be sent on of all `baggage` fields of a message, as one field: the whole members that are well-formed,
/// in their order, up to the first that does not fit. `None` if there is nothing to send.
///
/// A field that needs no change is not copied. The caller removes what came in before setting it.
pub fn baggage(headers: &HeaderMap, why: &mut impl Witness) -> Option<HeaderValue> {
    let lines = headers.get_all(&BAGGAGE);
    let mut kept = Kept::default();
    for text in lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let member = trim(text);
        if !is_member(member) {
            kept.malformed += 1;
        } else if !kept.take(member) {
            why.note("trace", || {
                "baggage is longer than 8192 bytes or 180 members: the end is left out".to_owned()
            });
            break;
        }
    }
    if kept.malformed > 0 {
        why.note("trace", || format!("{} malformed baggage member(s) left out", kept.malformed));
    }
    let mut whole = lines.iter();
    match (whole.next(), whole.next()) {
        (Some(line), None) if kept.bytes == line.len() && kept.members > 0 => Some(line.clone()),
        _ => kept.join(lines.iter()),
    }
}

/// How much was taken. The members themselves are found again if they must be copied, which is rare.
#[derive(Default)]
struct Kept {
    members: usize,
    bytes: usize,
    malformed: usize,
}

impl Kept {
    fn take(&mut self, member: &[u8]) -> bool {
        let comma = usize::from(self.members > 0);
        let fits = self.members < MEMBERS_MAX && self.bytes + comma + member.len() <= BYTES_MAX;
        if fits {
            self.members += 1;
            self.bytes += comma + member.len();
        }
        fits
    }

    fn join<'h>(&self, lines: impl Iterator<Item = &'h HeaderValue>) -> Option<HeaderValue> {
        let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(trim);
        let members: Vec<_> = members.filter(|member| is_member(member)).take(self.members).collect();
        if members.is_empty() { None } else { HeaderValue::from_bytes(&members.join(&b',')).ok() }
    }
}

/// Baggage §3.3.1: `list-member = key OWS "=" OWS value *( OWS ";" OWS property )`.
fn is_member(member: &[u8]) -> bool {
    let mut parts = member.split(|byte| *byte == b';').map(trim);
    let pair = parts.next().and_then(pair);
    pair.is_some_and(|(key, value)| is_token(key) && is_value(value)) && parts.all(is_property)
}

/// `property = key OWS "=" OWS value / key OWS`.
fn is_property(property: &[u8]) -> bool {
    match pair(property) {
        Some((key, value)) => is_token(key) && is_value(value),
        None => is_token(property),
    }
}

/// Splits at the first `=`: a value may hold more of them.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    Some((trim(text.get(..at)?), trim(text.get(at + 1..)?)))
}

/// RFC 9110 §5.6.2: `token = 1*tchar`.
fn is_token(key: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !key.is_empty() && key.iter().all(tchar)
}

/// `baggage-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E`.
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}
