//! The `tracestate` field: what other tracing systems have to say to themselves. Handed on, never understood.

use http::header::{GetAll, HeaderValue};
use smallvec::SmallVec;

/// Trace Context §3.3.1: "There can be a maximum of 32 list-members in a list."
const MEMBERS_MAX: usize = 32;
/// Trace Context §3.3.1.5: "Vendors SHOULD propagate at least 512 characters"; twice that is room enough for honest
/// systems, and all a forger gets.
const BYTES_MAX: usize = 1024;
/// Trace Context §3.3.1.5: "Entries larger than 128 characters long SHOULD be removed first."
const LONG_MEMBER_BYTES: usize = 128;
/// Trace Context §3.3.1.3.1, §3.3.1.3.2: keys and values have up to 256 characters.
const KEY_BYTES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 256;
/// Our own member.
const OWN: &[u8] = b"banyan";

/// A valid `tracestate`, or none. Cheap to clone: a clean field is shared with the message it came in.
///
/// Keys follow level 2, as the public test suite asks. Anything that is no list voids the whole field; of a key that occurs twice the first is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State(Option<HeaderValue>);

impl State {
    /// Reads all `tracestate` fields of a message as the one list they are (RFC 9110 §5.3).
    pub(super) fn read(fields: &GetAll<'_, HeaderValue>) -> Self {
        let mut lines = fields.iter();
        let (Some(first), None) = (lines.next(), lines.next()) else {
            return Self::read_list(fields.iter(), None);
        };
        Self::read_list(std::iter::once(first), Some(first))
    }

    /// `whole` is the field as it came, if the list came in one; it is kept if the list is written in no other way.
    fn read_list<'h>(lines: impl Iterator<Item = &'h HeaderValue>, whole: Option<&HeaderValue>) -> Self {
        let mut members = SmallVec::<[&[u8]; MEMBERS_MAX]>::new();
        for text in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
            let member = trim(text);
            if member.is_empty() {
                continue;
            }
            if members.len() == MEMBERS_MAX || !is_member(member) {
                return Self::default();
            }
            // Whoever changed a member last put it in front; the one behind it with the same key is stale.
            if !members.iter().any(|known| key(known) == key(member)) {
                members.push(member);
            }
        }
        shorten(&mut members);
        let bytes = joined_bytes(&members);
        match whole {
            Some(whole) if whole.len() == bytes && bytes > 0 => Self(Some(whole.clone())),
            _ => Self::join(&members),
        }
    }

    fn join(members: &[&[u8]]) -> Self {
        if members.is_empty() {
            Self::default()
        } else {
            Self(HeaderValue::from_bytes(&members.join(&b',')).ok())
        }
    }

    /// The field value, if there is anything to send.
    pub fn value(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }

    /// Our own member's value.
    pub fn own(&self) -> Option<&[u8]> {
        self.members().find(|member| key(member) == OWN).and_then(|member| member.get(OWN.len() + 1..))
    }

    /// The same state with our own member set. It goes to the front, as every changed member must, and pushes out
    /// the last one where there is no room. A value that may not stand in the field changes nothing.
    #[must_use]
    pub fn with_own(&self, value: &[u8]) -> Self {
        if !is_value(value) {
            return self.clone();
        }
        let own = [OWN, b"=", value].concat();
        let others = self.members().filter(|member| key(member) != OWN).take(MEMBERS_MAX - 1);
        let mut members: SmallVec<[&[u8]; MEMBERS_MAX]> = others.collect();
        // Ours stays whatever its length: it is the others that are cut to make room.
        while joined_bytes(&members) + own.len() + 1 > BYTES_MAX && !members.is_empty() {
            drop_one(&mut members);
        }
        members.insert(0, &own);
        Self::join(&members)
    }

    fn members(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.0.as_ref().map_or(&[][..], |value| value.as_bytes());
        bytes.split(|byte| *byte == b',').filter(|member| !member.is_empty())
    }
}

/// Cuts whole members until the rest fits.
fn shorten(members: &mut SmallVec<[&[u8]; MEMBERS_MAX]>) {
    while joined_bytes(members) > BYTES_MAX {
        drop_one(members);
    }
}

/// The longest of the long ones, then the last.
fn drop_one(members: &mut SmallVec<[&[u8]; MEMBERS_MAX]>) {
    let long = members.iter().enumerate().filter(|(_, member)| member.len() > LONG_MEMBER_BYTES);
    match long.max_by_key(|(_, member)| member.len()).map(|(at, _)| at) {
        Some(at) => drop(members.remove(at)),
        None => drop(members.pop()),
    }
}

fn joined_bytes(members: &[&[u8]]) -> usize {
    members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1)
}

/// RFC 9110 §5.6.3: `OWS = *( SP / HTAB )`.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

fn key(member: &[u8]) -> &[u8] {
    member.split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn is_member(member: &[u8]) -> bool {
    let key = key(member);
    is_key(key) && member.get(key.len() + 1..).is_some_and(is_value)
}

/// Trace Context level 2 §3.3.1.3.1: `( lcalpha / DIGIT ) 0*255 ( lcalpha / DIGIT / "_" / "-"/ "*" / "/" / "@" )`.
fn is_key(key: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.first().is_some_and(plain)
        && key.len() <= KEY_BYTES_MAX
        && key.iter().all(|byte| plain(byte) || b"_-*/@".contains(byte))
}

/// Trace Context §3.3.1.3.2: `0*255(chr) nblk-chr`: printable, no comma, no equals sign, no space at the end.
fn is_value(value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(byte, 0x20..=0x7e) && *byte != b',' && *byte != b'=';
    !value.is_empty()
        && value.len() <= VALUE_BYTES_MAX
        && value.last() != Some(&b' ')
        && value.iter().all(printable)
}
