//! Where a request came from, when proxies stand between: `X-Forwarded-*` and `Forwarded` (RFC 7239).
//!
//! Read [`client_address`] and [`write()`]. Of the two dialects one is read, by configuration: a proxy that fills in one
//! of them passes the other on as the client sent it, and a reader of both would believe the client.

mod chain;

use std::fmt::Write;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::chain::Chain;
use super::names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO, is_hearsay};
use super::{Fields, Trust, Trusted, remove_where, sole};
use crate::digits;
use crate::request::{Peer, Secure};

/// Longest inbound `Forwarded` that is kept and appended to: half of what small servers take as one header line.
const FORWARDED_BYTES_MAX: usize = 4096;
/// Longest inbound host that is kept: a DNS name and a port.
const HOST_BYTES_MAX: usize = 260;

/// Which fields are read and which are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forwarding {
    /// How many addresses are read, from the right, and kept. More than 16 proxies in a row is nobody's network.
    pub hops_max: usize,
    /// The dialect the proxies before us speak.
    pub reads: Dialect,
    /// What services are told.
    pub writes: Writes,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self { hops_max: 16, reads: Dialect::XForwarded, writes: Writes::XForwarded }
    }
}

/// One of the two ways of saying where a request came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`, `-Host`, `-Port`, `-Proto`.
    XForwarded,
}

/// What services are told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writes {
    /// Both dialects.
    Both,
    /// RFC 7239 only.
    Forwarded,
    /// `X-Forwarded-*` only.
    XForwarded,
}

/// What the client asked us for, as the guard understood it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AskedFor<'a> {
    /// The host, without a port. Empty if none was named.
    pub host: &'a str,
    /// The port, if one was named.
    pub port: Option<u16>,
}

/// The client's address: the nearest one that is not a trusted proxy's. An untrusted peer is the client, whatever it
/// says; behind trusted ones the list is read from the right, and ends where it makes no sense.
pub fn client_address(peer: &Peer, headers: &HeaderMap, trust: &Trust, forwarding: &Forwarding) -> IpAddr {
    let mut client = peer.address.to_canonical();
    if trust.believes(peer) == Trusted::No {
        return client;
    }
    for address in Chain::read(headers, forwarding).nearest_first() {
        client = address;
        if !trust.covers(address) {
            break;
        }
    }
    client
}

/// Did the client's own connection, at the far end of the trusted proxies, use TLS?
pub fn client_secure(peer: &Peer, headers: &HeaderMap, trust: &Trust, forwarding: &Forwarding) -> Secure {
    match (trust.believes(peer), forwarding.reads) {
        (Trusted::No, _) => None,
        (Trusted::Yes, Dialect::Forwarded) => Chain::read(headers, forwarding).first_proto(),
        (Trusted::Yes, Dialect::XForwarded) => told_proto(headers),
    }
    .unwrap_or(peer.secure)
}

/// Writes for the next hop where the request came from.
///
/// What an untrusted peer said about it is replaced, with every other `X-Forwarded-*` and its like. What a trusted one
/// said in the dialect we read is kept as far as it makes sense, and our peer is added to it; the other dialect
/// starts anew.
pub fn write(
    fields: &mut impl Fields,
    peer: &Peer,
    asked: AskedFor<'_>,
    trust: &Trust,
    forwarding: &Forwarding,
) {
    let (trusted, headers) = (trust.believes(peer), fields.all());
    let told = match trusted {
        Trusted::No => Told::nothing(peer, asked),
        Trusted::Yes => Told::read(headers, peer, asked, forwarding),
    };
    let (wants_list, wants_forwarded) = match forwarding.writes {
        Writes::Both => (true, true),
        Writes::Forwarded => (false, true),
        Writes::XForwarded => (true, false),
    };
    let list = wants_list.then(|| told.list(peer)).flatten();
    let forwarded = wants_forwarded.then(|| told.forwarded(headers, peer, asked));
    match trusted {
        Trusted::No => remove_where(fields, is_hearsay),
        Trusted::Yes => remove_where(fields, is_written),
    }
    if let Some(list) = list {
        fields.set(X_FORWARDED_FOR, list);
        told.write_details(fields);
    }
    if let Some(forwarded) = forwarded {
        put(fields, header::FORWARDED, forwarded);
    }
}

/// What is known about the way of a request before us.
struct Told {
    chain: Chain,
    dialect: Dialect,
    host: Option<HeaderValue>,
    port: HeaderValue,
    proto: Secure,
}

impl Told {
    fn nothing(peer: &Peer, asked: AskedFor<'_>) -> Self {
        Self {
            chain: Chain::default(),
            dialect: Dialect::XForwarded,
            host: HeaderValue::from_str(asked.host).ok().filter(|host| !host.is_empty()),
            port: asked.port.map_or_else(|| default_port(peer.secure), HeaderValue::from),
            proto: peer.secure,
        }
    }

    fn read(headers: &HeaderMap, peer: &Peer, asked: AskedFor<'_>, forwarding: &Forwarding) -> Self {
        let own = Self::nothing(peer, asked);
        let chain = Chain::read(headers, forwarding);
        if forwarding.reads == Dialect::Forwarded {
            return Self { chain, dialect: Dialect::Forwarded, ..own };
        }
        let kept = |name: &HeaderName, fits: fn(&str) -> bool| {
            sole(headers, name).filter(|text| fits(text)).and_then(|_| headers.get(name).cloned())
        };
        let proto = told_proto(headers);
        // A proxy that says `https` and no port means 443, not the port it reached us by.
        let port = kept(&X_FORWARDED_PORT, is_port).or(proto.map(default_port));
        Self {
            chain,
            dialect: Dialect::XForwarded,
            host: kept(&X_FORWARDED_HOST, is_host).or(own.host),
            port: port.unwrap_or(own.port),
            proto: proto.unwrap_or(own.proto),
        }
    }

    fn list(&self, peer: &Peer) -> Option<HeaderValue> {
        let mut text = Vec::with_capacity(64);
        if self.dialect == Dialect::XForwarded {
            for address in self.chain.farthest_first() {
                digits::address(&mut text, address);
                text.extend_from_slice(b", ");
            }
        }
        digits::address(&mut text, peer.address.to_canonical());
        // Copied: a text with room to spare would be kept in two pieces.
        HeaderValue::from_bytes(&text).ok()
    }

    fn forwarded(&self, headers: &HeaderMap, peer: &Peer, asked: AskedFor<'_>) -> String {
        let mut text = String::with_capacity(96);
        if self.dialect == Dialect::Forwarded {
            self.chain.rewrite(headers, FORWARDED_BYTES_MAX, &mut text);
        }
        text.push_str("for=");
        chain::push_node(&mut text, peer.address.to_canonical());
        if !asked.host.is_empty() {
            // Writing to a String cannot fail.
            let _ = match asked.port {
                Some(port) => write!(text, ";host=\"{}:{port}\"", asked.host),
                None => write!(text, ";host=\"{}\"", asked.host),
            };
        }
        text.push_str(";proto=");
        text.push_str(scheme(peer.secure));
        text
    }

    fn write_details(self, fields: &mut impl Fields) {
        if let Some(host) = self.host {
            fields.set(X_FORWARDED_HOST, host);
        }
        fields.set(X_FORWARDED_PORT, self.port);
        fields.set(X_FORWARDED_PROTO, HeaderValue::from_static(scheme(self.proto)));
    }
}

fn put(fields: &mut impl Fields, name: HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        fields.set(name, value);
    }
}

fn told_proto(headers: &HeaderMap) -> Option<Secure> {
    sole(headers, &X_FORWARDED_PROTO).and_then(secure)
}

fn secure(scheme: &str) -> Option<Secure> {
    match scheme {
        "http" => Some(Secure::Plain),
        "https" => Some(Secure::Tls),
        _ => None,
    }
}

const fn scheme(secure: Secure) -> &'static str {
    match secure {
        Secure::Plain => "http",
        Secure::Tls => "https",
    }
}

const fn default_port(secure: Secure) -> HeaderValue {
    match secure {
        Secure::Plain => HeaderValue::from_static("80"),
        Secure::Tls => HeaderValue::from_static("443"),
    }
}

/// Is it one of the fields that [`write()`] writes?
pub(super) fn is_written(name: &HeaderName) -> bool {
    let x_forwarded = [X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PROTO];
    *name == header::FORWARDED || x_forwarded.contains(name)
}

fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
