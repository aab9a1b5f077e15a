//! The endpoints of a target at one moment, each with the peer that Pingora is given for it.

use std::net::SocketAddr;
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use policies::balance::{Listed, Set};
use policies::document::target::Protocol;
use policies::state::print;
use policies::time::Tick;

use super::Shape;

/// Streams on one connection to an HTTP/2 target: Pingora's own default is one.
const H2_STREAMS: usize = 100;
/// A dead peer is found out by the kernel within half a minute, request or no request.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(5),
    count: 3,
    user_timeout: Duration::from_secs(30),
};

/// The endpoints of a target at one moment.
pub struct Endpoints {
    /// Whom a pick chooses from.
    pub set: Set,
    peers: Vec<HttpPeer>,
    hosts: Vec<String>,
}

impl Endpoints {
    /// The next ones: what stays keeps its state. Each is an address and the host name it was found under.
    pub(super) fn succeed(
        before: Option<&Self>,
        shape: &Shape,
        found: &[(SocketAddr, String)],
        now: Tick,
    ) -> Self {
        let listed: Vec<_> = found
            .iter()
            .map(|(address, _)| Listed { name: address.to_string(), address: *address, weight: 1 })
            .collect();
        let set = match before {
            Some(before) if !before.set.endpoints().is_empty() => {
                before.set.succeed(shape.balance, listed, now)
            }
            _ => Set::new(shape.balance, listed),
        };
        let peers = found.iter().map(|(address, host)| peer(shape, *address, host)).collect();
        Self { set, peers, hosts: found.iter().map(|(_, host)| host.clone()).collect() }
    }

    /// The peer of an endpoint, to be given its time-outs.
    pub fn peer(&self, index: usize) -> Option<HttpPeer> {
        self.peers.get(index).cloned()
    }

    /// The host name an endpoint was found under.
    pub fn host(&self, index: usize) -> &str {
        self.hosts.get(index).map_or("", String::as_str)
    }

    /// Addresses and names, as they were found.
    pub(super) fn found(&self) -> Vec<(SocketAddr, String)> {
        let endpoints = self.set.endpoints().iter().zip(&self.hosts);
        endpoints.map(|(endpoint, host)| (endpoint.listed.address, host.clone())).collect()
    }
}

/// What Pingora is told. Verification is always on and the name never empty: without a name its connector verifies nothing.
pub(super) fn peer(shape: &Shape, address: SocketAddr, host: &str) -> HttpPeer {
    let tls = shape.material.as_ref();
    let sni = tls.map(|material| material.name_for(host).to_owned()).unwrap_or_default();
    let mut peer = HttpPeer::new(address, tls.is_some(), sni);
    let options = &mut peer.options;
    options.alpn = match shape.protocol {
        Protocol::Http2 | Protocol::H2c => ALPN::H2,
        Protocol::Http1 | Protocol::Tcp => ALPN::H1,
    };
    options.verify_cert = true;
    options.verify_hostname = true;
    options.max_h2_streams = H2_STREAMS;
    options.idle_timeout = Some(shape.idle_for);
    options.tcp_keepalive = Some(KEEPALIVE);
    if let Some(material) = tls {
        options.ca = material.ca.clone();
        peer.client_cert_key = material.pair.clone();
    }
    // The pool tells connections apart by address and name, not by authority or protocol; this does.
    peer.group_key = print(&(shape.protocol, tls.map(|material| material.print)));
    peer
}
