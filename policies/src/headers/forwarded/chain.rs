//! The addresses a request has passed, as far back as they can be read.

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderValue, header};
use smallvec::SmallVec;

use super::{Dialect, Forwarding, secure};
use crate::headers::list;
use crate::headers::names::X_FORWARDED_FOR;
use crate::request::Secure;

/// What a list of proxies says, cut off before the first entry (from the right) that names no address.
#[derive(Debug, Default)]
pub(super) struct Chain {
    addresses: SmallVec<[IpAddr; 8]>,
    first_proto: Option<Secure>,
    order: Order,
    whole: Whole,
}

#[derive(Debug, Default)]
enum Order {
    FarthestFirst,
    #[default]
    NearestFirst,
}

/// Was every entry understood?
#[derive(Debug, Default, Eq, PartialEq)]
enum Whole {
    #[default]
    No,
    Yes,
}

impl Chain {
    pub(super) fn read(headers: &HeaderMap, forwarding: &Forwarding) -> Self {
        match forwarding.reads {
            Dialect::Forwarded => Self::forwarded(headers, forwarding.hops_max),
            Dialect::XForwarded => Self::x_forwarded(headers, forwarding.hops_max),
        }
    }

    fn x_forwarded(headers: &HeaderMap, hops_max: usize) -> Self {
        let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| list::members(line.as_bytes()).rev());
        let addresses = entries.map_while(|entry| node(std::str::from_utf8(entry).ok()?)).take(hops_max);
        Self { addresses: addresses.collect(), ..Self::default() }
    }

    /// Quoted strings can only be read from the left, so everything is read and the readable end kept.
    fn forwarded(headers: &HeaderMap, hops_max: usize) -> Self {
        let mut chain = Self { order: Order::FarthestFirst, whole: Whole::Yes, ..Self::default() };
        for line in headers.get_all(header::FORWARDED) {
            // A line that is not ASCII has one entry, and that one names nothing.
            for entry in outside_quotes(line.to_str().unwrap_or("?"), ',') {
                chain.add(entry, hops_max);
            }
        }
        chain
    }

    fn add(&mut self, entry: &str, hops_max: usize) {
        let Some((address, proto)) = element(entry) else {
            *self = Self { order: Order::FarthestFirst, ..Self::default() };
            return;
        };
        if self.addresses.is_empty() && self.whole == Whole::Yes {
            self.first_proto = proto;
        }
        if self.addresses.len() >= hops_max {
            self.whole = Whole::No;
            self.first_proto = None;
            // The farthest one goes.
            self.addresses.drain(..1.min(self.addresses.len()));
        }
        self.addresses.push(address);
    }

    pub(super) fn nearest_first(&self) -> impl Iterator<Item = IpAddr> {
        let (mut forward, mut backward) = (self.addresses.iter(), self.addresses.iter().rev());
        std::iter::from_fn(move || match self.order {
            Order::FarthestFirst => backward.next().copied(),
            Order::NearestFirst => forward.next().copied(),
        })
    }

    pub(super) fn farthest_first(&self) -> impl Iterator<Item = IpAddr> {
        let (mut forward, mut backward) = (self.addresses.iter(), self.addresses.iter().rev());
        std::iter::from_fn(move || match self.order {
            Order::FarthestFirst => forward.next().copied(),
            Order::NearestFirst => backward.next().copied(),
        })
    }

    /// The scheme in the first entry of a Forwarded that was understood as a whole.
    pub(super) fn first_proto(&self) -> Option<Secure> {
        self.first_proto
    }

    /// Writes the list so far, in Forwarded's words, with a comma behind each entry: as it came if all of it was
    /// understood and it is not too long, else the addresses alone.
    pub(super) fn rewrite(&self, headers: &HeaderMap, bytes_max: usize, out: &mut String) {
        let lines = headers.get_all(header::FORWARDED);
        let bytes: usize = lines.iter().map(HeaderValue::len).sum();
        if self.whole == Whole::Yes && bytes <= bytes_max {
            for line in lines.iter().filter_map(|line| line.to_str().ok()) {
                out.push_str(line);
                out.push_str(", ");
            }
            return;
        }
        for address in self.farthest_first() {
            out.push_str("for=");
            push_node(out, address);
            out.push_str(", ");
        }
    }
}

/// RFC 7239 §6: an IPv6 address is in brackets, and then in quotes.
pub(super) fn push_node(out: &mut String, address: IpAddr) {
    // Writing to a String cannot fail.
    let _ = match address {
        IpAddr::V4(address) => write!(out, "{address}"),
        IpAddr::V6(address) => write!(out, "\"[{address}]\""),
    };
}

/// One entry of Forwarded: who it is for, and by which scheme. `None` if it is malformed or keeps the address to
/// itself (`unknown`, `_hidden`).
fn element(entry: &str) -> Option<(IpAddr, Option<Secure>)> {
    let (mut address, mut proto) = (None, None);
    for pair in outside_quotes(entry, ';') {
        let (name, value) = pair.trim_ascii().split_once('=')?;
        let value = unquoted(value)?;
        // A quote in a name would open what no value closes, and swallow what we add behind it.
        if name.is_empty() || name.contains(['"', '\\']) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && address.replace(node(value)?).is_some() {
            return None;
        }
        if name.eq_ignore_ascii_case("proto") && proto.replace(secure(value)?).is_some() {
            return None;
        }
    }
    address.map(|address| (address, proto))
}

/// The text of a token or a quoted string. Escapes inside quotes occur in nothing we read.
fn unquoted(value: &str) -> Option<&str> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!inner.is_empty() && !inner.contains(['"', '\\'])).then_some(inner)
}

fn outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter| {
        let is_plain = !escaped;
        escaped = is_plain && quoted && letter == '\\';
        quoted ^= is_plain && letter == '"';
        !quoted && letter == separator
    })
}

/// An address with or without a port, the IPv6 ones with or without brackets.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.or_else(|| bracketed().map(IpAddr::from)).map(|address| address.to_canonical())
}
