//! Whose word is taken: for the client's address, the deadline, the priority, the request id.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::request::Peer;

/// Who is believed. The default believes nobody: private addresses are full of strangers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trust {
    /// Our own SPIFFE trust domain: peers whose verified certificate stands in it are believed.
    pub domain: Option<String>,
    /// Networks of proxies that overwrite what their clients claim.
    pub networks: Vec<IpNet>,
}

/// Is this peer's word taken?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trusted {
    /// What it says about others is removed.
    No,
    /// What it says about others is taken.
    Yes,
}

impl Trust {
    /// Is this peer believed, by where it is or by who it has proved to be?
    pub fn believes(&self, peer: &Peer) -> Trusted {
        let of_ours = match (&self.domain, &peer.identity) {
            // Whole strings, as they are: no case folding, no suffixes.
            (Some(domain), Some(identity)) => identity.trust_domain() == domain,
            _ => false,
        };
        if of_ours || self.covers(peer.address) { Trusted::Yes } else { Trusted::No }
    }

    /// Does the address lie in a trusted network? `::ffff:10.0.0.1`, as a dual-stack socket reports it, is `10.0.0.1`.
    pub fn covers(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}
