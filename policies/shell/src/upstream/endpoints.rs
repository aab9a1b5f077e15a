//! The endpoints of a target at one moment.

use std::net::SocketAddr;
use std::sync::Arc;

use policies::balance::{Listed, Set};
use policies::time::Tick;

use super::Shape;

/// The endpoints of a target at one moment.
pub struct Endpoints {
    /// Whom a pick chooses from.
    pub set: Set,
    /// How connections to all of them are made.
    pub shape: Arc<Shape>,
    hosts: Vec<String>,
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
        Self { set, shape: shape.clone(), hosts: found.iter().map(|(_, host)| host.clone()).collect() }
    }

    /// Where an endpoint is.
    pub fn address(&self, index: usize) -> Option<SocketAddr> {
        self.set.endpoints().get(index).map(|endpoint| endpoint.listed.address)
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
