//! What a decision may look at: the head of the request, the bytes of its target, and who holds the other end of
//! the connection. Nothing here is an opinion.

use std::net::IpAddr;

use http::request::Parts;

use crate::spiffe::SpiffeId;

/// One request as it arrived. Both HTTP worlds meet here: hyper yields `Parts`, Pingora's header dereferences to it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Method, target, version and header fields, as the HTTP library parsed them.
    pub head: &'a Parts,
    /// The target exactly as it stood on the wire. Libraries repair what they show in `head.uri`; a policy that
    /// looked at the repaired form and forwarded the raw one would judge one path and serve another.
    pub target: &'a [u8],
    /// Who sent it.
    pub peer: &'a Peer,
}

/// Who is at the other end of the connection: facts of the transport, none of them from a header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The address that connected to us (or that a trusted PROXY header named).
    pub address: IpAddr,
    /// Did the connection arrive over TLS?
    pub secure: Secure,
    /// The workload identity in the client certificate, if one was presented and verified.
    pub identity: Option<SpiffeId>,
}

/// Was the connection encrypted?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secure {
    /// Plain text.
    Plain,
    /// TLS.
    Tls,
}

/// Which door a request came to.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Way {
    /// At the edge, from the world.
    #[default]
    Edge,
    /// From the mesh to the app.
    Inbound,
    /// From the app to what it calls.
    Outbound,
}

impl Way {
    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Reads what [`Way::as_str`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Edge, Self::Inbound, Self::Outbound].into_iter().find(|way| way.as_str() == name)
    }
}

/// How important a request is. Under pressure the last one goes first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Orders and payments: shed last.
    Critical,
    /// Everything that did not say.
    #[default]
    Normal,
    /// Prefetching, recommendations, batch work: shed first.
    Sheddable,
}

impl Priority {
    /// Its name in the document, in the `x-banyan-priority` header, in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Sheddable => "sheddable",
        }
    }

    /// Reads what [`Priority::as_str`] writes.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Critical, Self::Normal, Self::Sheddable].into_iter().find(|p| p.as_str() == name)
    }
}

impl std::fmt::Display for Priority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
