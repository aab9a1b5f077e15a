//! Sockets and the connections that arrive on them: who they are from, how many there may be, TLS, PROXY headers.
//!
//! Read [`Sockets`] (what is listened on), then [`accept::run`] (the loop of each worker), then [`Conn`] (one connection).
//! It knows nothing of routes, and of HTTP only where a head ends.

mod accept;
mod certs;
mod conn;
mod names;
mod permits;
mod proxy_header;
mod sockets;
pub mod take_over;
mod tls;
mod transport;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;

use policies::identity::LastToken;
use policies::request::Peer;

pub use accept::{Accepting, Intercepts, Shows, run};
pub use certs::{Certificates, CertsError};
pub use conn::{Conn, Fence, Head, Keepsake, Limits, Loan};
pub use permits::Permits;
pub use sockets::{BindError, ListenAt, Socket, Sockets, Speaks};
pub use transport::Dropped;

/// What is known of a connection before its first request.
#[derive(Debug)]
pub struct Facts {
    /// Who is at the other end.
    pub peer: Peer,
    /// The name in its TLS greeting, lower case.
    pub sni: Option<Box<str>>,
    /// Which certificate authority its own certificate was checked against: the pair that demanded one.
    pub shown_to: Option<Box<str>>,
    /// HTTP/2 was agreed on in the TLS greeting.
    pub speaks_h2: bool,
    /// The port it came from.
    pub port: u16,
    /// Whom the connection was meant for, before it was redirected to us.
    pub meant_for: Option<SocketAddr>,
    /// The token it showed last.
    pub last_token: LastToken,
    /// Counted from the start of the process.
    pub number: u64,
    /// Given back when the connection ends.
    pub permit: permits::Permit,
}

/// Is the proxy serving, or on its way out?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// New connections and requests are taken.
    Serving,
    /// What is in flight may end; nothing new is begun.
    Draining,
}

/// What happened to connections.
#[derive(Debug, Default)]
pub struct Counters {
    /// Taken.
    pub accepted: AtomicU64,
    /// Closed at once: as many as there may be are open.
    pub refused_global: AtomicU64,
    /// Closed at once: as many as there may be from one address are open.
    pub refused_address: AtomicU64,
    /// The TLS handshake failed or took too long.
    pub handshake_failed: AtomicU64,
    /// The PROXY header was malformed or missing.
    pub proxy_header_bad: AtomicU64,
    /// Accepting failed: too few descriptors, usually.
    pub accept_failed: AtomicU64,
}

/// The address that connections are counted by: a subscriber has a whole IPv6 /64.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(std::net::Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}
