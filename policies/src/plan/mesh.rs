//! What a sidecar needs to know before there is a request: who may connect, where the app's calls arrive, and what becomes
//! of those that nobody declared.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::{Notion, Plan, Target, Way};
use crate::access::PeerRules;
use crate::document::mesh::{Mtls, Undeclared};
use crate::document::target::Protocol;
use crate::document::target::Target as Written;
use crate::document::words::Name;
use crate::headers::Trusted;
use crate::request::{Peer, Secure};
use crate::route::{Ask, Found};
use crate::verdict::Denial;
use crate::why::{Silent, Witness};

/// Who may open a connection to the app.
#[derive(Debug)]
pub struct Mesh {
    /// Is mutual TLS demanded?
    pub mtls: Mtls,
    /// The workloads; `None` is all of our trust domain.
    pub allow: Option<PeerRules>,
    domain: Option<String>,
}

impl Mesh {
    /// May this peer talk to the app at all? What each request may do is its route's business.
    pub fn admits(&self, peer: &Peer, why: &mut impl Witness) -> Result<(), Denial> {
        match (&peer.identity, self.mtls, peer.secure) {
            (None, Mtls::Permissive, Secure::Plain) => {
                why.note("mesh", || "plain text is taken for the time of moving in".to_owned());
                Ok(())
            }
            (identity, ..) => match &self.allow {
                Some(rules) => rules.check(identity.as_ref(), why),
                None => match (identity, &self.domain) {
                    (None, _) => Err(Denial::PeerUnknown),
                    (Some(identity), Some(domain)) if identity.trust_domain() != domain => {
                        why.note("mesh", || format!("{identity} is not of {domain}"));
                        Err(Denial::PeerDenied)
                    }
                    (Some(_), _) => Ok(()),
                },
            },
        }
    }
}

/// A target the app calls.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whom.
    pub target: Arc<Target>,
    /// The Host its requests are for, where they do not say: on an address of ours, or redirected.
    pub host: Name,
    /// An address of our own on which the app reaches it.
    pub listen: Option<SocketAddr>,
}

/// What becomes of a call of the app, by where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// `calls` names it: its routes decide.
    Declared,
    /// Nobody named it: it goes through untouched, and is counted.
    Passes,
    /// Nobody named it, and it is refused.
    Refused(Denial),
}

impl Plan {
    /// What becomes of a call to this host?
    pub fn destination(&self, host: &str) -> Destination {
        // Each call has a route for whatever its others do not speak for: what finds none was not declared.
        let headers = HeaderMap::new();
        let ask = Ask { host, path: "/", query: None, method: &Method::GET, headers: &headers };
        match self.outbound.table.find(&ask, &mut Silent) {
            Found::Nothing => self.undeclared(),
            Found::MethodNotAllowed { .. } | Found::Route { .. } => Destination::Declared,
        }
    }

    /// The door that a request for this host comes to, where nobody says which: a document of a gateway has one only.
    pub fn likely_door(&self, host: &str) -> Way {
        match (&self.service, self.outbound.routes.is_empty()) {
            (None, _) => Way::Edge,
            (Some(_), false) if self.destination(host) == Destination::Declared => Way::Outbound,
            (Some(_), _) => Way::Inbound,
        }
    }

    /// What becomes of a call that nobody declared?
    pub fn undeclared(&self) -> Destination {
        match self.service.as_ref().and_then(|service| service.undeclared).unwrap_or_default() {
            Undeclared::Pass => Destination::Passes,
            Undeclared::Refuse => Destination::Refused(Denial::DestinationDenied),
        }
    }

    /// Is the word of whoever is at the other end taken? The app beside us is believed about what it was told itself.
    pub fn believes(&self, way: Way, peer: &Peer) -> Trusted {
        match way {
            Way::Edge | Way::Inbound => self.trust.believes(peer),
            Way::Outbound => Trusted::Yes,
        }
    }

    /// The targets, and the app, each in the place of its number.
    pub fn called(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.targets.iter().chain(&self.app)
    }

    /// Does the app speak HTTP?
    pub fn app_speaks_http(&self) -> bool {
        self.app.as_ref().is_none_or(|app| app.protocol != Protocol::Tcp)
    }
}

/// The app as a target. Its name is none a document can give: two of one name would share their state.
pub(super) fn app(notion: &Notion<'_>) -> Option<Arc<Target>> {
    let service = notion.document.service.as_ref()?;
    let health = service.health.as_ref().map(|path| crate::document::target::Health {
        path: Some(path.clone()),
        ..crate::document::target::Health::default()
    });
    let written =
        Written { url: Some(service.url.clone()), protocol: service.protocol, health, ..Written::default() };
    let name = format!("service/{}", service.name.as_str());
    Some(Arc::new(Target::compile(notion.targets.len(), &name, &written, notion.living)))
}

pub(super) fn calls(notion: &Notion<'_>) -> Vec<Call> {
    let calls = notion.document.calls.0.iter();
    calls
        .filter_map(|(name, call)| {
            let listen = call.listen.as_ref().and_then(|listen| listen.parse().ok());
            let plain =
                call.host.0.iter().find(|host| !host.0.contains('*')).map(|host| Name(host.0.clone()));
            Some(Call { target: notion.target(name.as_str())?, host: plain.unwrap_or(name.clone()), listen })
        })
        .collect()
}

pub(super) fn mesh(notion: &mut Notion<'_>) -> Mesh {
    let (document, domain) = (notion.document, notion.domain.clone());
    let Some(inbound) = &document.inbound else {
        return Mesh { mtls: Mtls::default(), allow: None, domain };
    };
    let allow = inbound.allow.as_ref().and_then(|list| {
        let list: Vec<String> = list.0.iter().map(|peers| peers.0.clone()).collect();
        let rules = PeerRules::compile(&list, notion.domain.as_deref());
        notion.good("inbound/allow", rules)
    });
    Mesh { mtls: inbound.mtls.unwrap_or_default(), allow, domain }
}
