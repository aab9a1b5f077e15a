//! The endpoints of a target at one moment.

use std::net::SocketAddr;
use std::sync::Arc;

use policies::balance::{Listed, Set};
use policies::state::print;
use policies::time::Tick;

use super::Shape;

/// The endpoints of a target at one moment.
pub struct Endpoints {
    /// Whom a pick chooses from.
    pub set: Set,
    /// How connections to all of them are made.
    pub shape: Arc<Shape>,
    peers: Vec<Arc<Peer>>,
}

/// The other end of a connection to one endpoint.
#[derive(Debug)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// The host name it was found under.
    pub host: String,
    /// Equal for connections that may carry each other's requests.
    pub print: u64,
}

impl Endpoints {
    /// The next ones: what stays keeps its state. Each is an address and the host name it was found under.
    pub(super) fn succeed(
        before: Option<&Self>,
        shape: &Arc<Shape>,
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
        let peer = |(address, host): &(SocketAddr, String)| {
            // A certificate is for a name; in plain text nobody asks for one.
            let named = shape.material.is_some().then_some(host);
            let print = print(&(shape.print, address, named));
            Arc::new(Peer { address: *address, host: host.clone(), print })
        };
        Self { set, shape: shape.clone(), peers: found.iter().map(peer).collect() }
    }

    /// Who is at the other end.
    pub fn peer(&self, index: usize) -> Option<&Arc<Peer>> {
        self.peers.get(index)
    }

    /// An endpoint's name in logs and spans.
    pub fn name(&self, index: usize) -> &str {
        self.set.endpoints().get(index).map_or("", |endpoint| endpoint.listed.name.as_str())
    }

    /// Addresses and names, as they were found.
    pub(super) fn found(&self) -> Vec<(SocketAddr, String)> {
        self.peers.iter().map(|peer| (peer.address, peer.host.clone())).collect()
    }
}
