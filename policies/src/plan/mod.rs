//! The plan: a document compiled. Immutable, replaced whole, never edited.
//!
//! The shell holds the current one behind an `ArcSwap`; a request keeps the one it began with. What changes while
//! requests run (buckets, breakers ...) lives in [`Living`], and the plan only points at it.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;

mod identity;
mod materials;
mod patience;
mod route;
mod settings;
mod target;

#[cfg(test)]
mod tests;

pub use identity::{Identity, IdentityError, Kind, Tokens};
pub use materials::{Materials, Missing, wanted};
pub use patience::{Expects, Patience};
pub use route::{
    Action, CountedBy, Fallback, FallbackAnswer, FixedAnswer, Grpc, Holds, Limit, Migration, Redirect,
    Requirement, Retry, Route, Side,
};
pub use settings::Tracing;
pub use target::{Health, Pool, Target, Timeouts, Whereabouts};

pub use crate::document::policy::Mode;

use crate::access::PeerRules;
use crate::document::mesh::{Mtls, Service};
use crate::document::policy::Policies;
use crate::document::route::Route as WrittenRoute;
use crate::document::target::Target as Written;
use crate::document::words::{Host as HostWord, Name};
use crate::document::{Document, OneOrMany};
use crate::guard::Rules;
use crate::headers::{IdentityNames, Trust};
use crate::route::{Pattern, Table};
use crate::state::Living;

/// A document compiled.
#[derive(Debug)]
pub struct Plan {
    /// Which one, counted by the shell; it stands in every log line and span.
    pub generation: u64,
    /// What is refused before any policy looks.
    pub guard: Rules,
    /// Whose headers are believed.
    pub trust: Trust,
    /// How traces are sampled and written.
    pub tracing: Tracing,
    /// The headers that carry identity to the targets: removed from every request first.
    pub identity_headers: IdentityNames,
    /// Everything that can be called.
    pub targets: Vec<Arc<Target>>,
    /// Everyone who is believed.
    pub identities: Vec<Identity>,
    /// What comes in at the edge.
    pub edge: Door,
    /// What comes from the mesh to the app.
    pub inbound: Door,
    /// What the app calls.
    pub outbound: Door,
    /// Addresses of our own on which the app reaches a target.
    pub listens: Vec<(SocketAddr, Arc<Target>)>,
    /// The app beside us.
    pub service: Option<Service>,
    /// Who may open a connection to the app.
    pub mesh: Mesh,
    /// The living state it points at.
    pub living: Arc<Living>,
}

/// The routes of one direction.
#[derive(Debug)]
pub struct Door {
    /// Which of them speaks for a request.
    pub table: Table,
    /// They, in the table's order.
    pub routes: Vec<Arc<Route>>,
}

/// Who may open a connection to the app.
#[derive(Debug)]
pub struct Mesh {
    /// Is mutual TLS demanded?
    pub mtls: Mtls,
    /// The workloads; `None` is all of our trust domain.
    pub allow: Option<PeerRules>,
}

/// Why a document that loads cannot be compiled: what it refers to is missing or no good. All of it, not the first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanError(pub Vec<Trouble>);

/// One reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// The part of the document, as `identities/shop`.
    pub about: String,
    /// What is wrong.
    pub message: String,
}

impl std::error::Error for PlanError {}

impl Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> =
            self.0.iter().map(|trouble| format!("{}: {}", trouble.about, trouble.message)).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A plan in the making.
pub(crate) struct Notion<'a> {
    document: &'a Document,
    living: &'a Living,
    targets: Vec<Arc<Target>>,
    identities: Vec<Identity>,
    domain: Option<String>,
    trouble: Vec<Trouble>,
}

impl<'a> Notion<'a> {
    fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.targets.iter().find(|target| target.name == name).cloned()
    }

    fn identity(&self, name: &Name) -> Option<&Identity> {
        self.identities.iter().find(|identity| identity.name == name.0)
    }

    fn good<T>(&mut self, about: &str, result: Result<T, impl Display>) -> Option<T> {
        result.map_err(|error| self.trouble(about, error)).ok()
    }

    fn trouble(&mut self, about: &str, message: impl Display) {
        self.trouble.push(Trouble { about: about.into(), message: message.to_string() });
    }

    /// The policies of a block and of its profiles.
    fn whole(&self, own: Policies<'a>, profiles: &OneOrMany<Name>) -> Policies<'a> {
        let document = self.document;
        let profiles = profiles.0.iter().filter_map(|name| document.profiles.0.get(name));
        profiles.fold(own, |all, profile| all.or(profile.policies()))
    }
}

impl Plan {
    /// Compiles a document, with the state its policies had.
    ///
    /// Refuses when something it refers to is missing or no good; nothing of it is then in effect.
    pub fn compile(
        document: &Document,
        materials: &Materials,
        living: &Arc<Living>,
        generation: u64,
    ) -> Result<Self, PlanError> {
        let domain = document.trust.as_ref().and_then(|trust| trust.domain.clone());
        let mut notion = Notion {
            document,
            living,
            targets: Vec::new(),
            identities: Vec::new(),
            domain,
            trouble: Vec::new(),
        };
        match identity::all(document, materials, living) {
            Ok(identities) => notion.identities = identities,
            Err(bad) => {
                bad.iter().for_each(|(name, error)| notion.trouble(&format!("identities/{name}"), error));
            }
        }
        let targets = document.targets.0.iter();
        notion.targets = targets
            .map(|(name, written)| Arc::new(Target::compile(name.as_str(), written, living)))
            .collect();
        let edge = edge(&mut notion);
        let inbound = inbound(&mut notion);
        let outbound = outbound(&mut notion);
        let mesh = mesh(&mut notion);
        let listens = listens(&notion);
        let identity_headers = settings::identity_headers(&mut notion);
        living.sweep();
        match (notion.trouble.is_empty(), edge, inbound, outbound, identity_headers) {
            (true, Some(edge), Some(inbound), Some(outbound), Some(identity_headers)) => Ok(Self {
                generation,
                guard: settings::guard(document),
                trust: settings::trust(document),
                tracing: settings::tracing(document),
                identity_headers,
                targets: notion.targets,
                identities: notion.identities,
                edge,
                inbound,
                outbound,
                listens,
                service: document.service.clone(),
                mesh,
                living: living.clone(),
            }),
            _ => Err(PlanError(notion.trouble)),
        }
    }
}

fn edge(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("routes");
    for written in &document.routes.0 {
        let own = notion.whole(written.policies(), &written.profiles);
        let name = written.name.as_ref().map_or("", Name::as_str);
        making.add(notion, &format!("routes/{name}"), written, own, None);
    }
    making.door(notion)
}

/// The block's own policies hold for everything; its routes say more about some of it.
fn inbound(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("inbound");
    if let Some(service) = &document.service {
        let app =
            Written { url: Some(service.url.clone()), protocol: service.protocol, ..Written::default() };
        let app = Arc::new(Target::compile(service.name.as_str(), &app, notion.living));
        let block = document.inbound.clone().unwrap_or_default();
        // The block is the document's own, so that its policies live as long as the others.
        let (own, routes) = match &document.inbound {
            Some(inbound) => (notion.whole(inbound.policies(), &block.profiles), inbound.routes.0.as_slice()),
            None => (Policies::default(), [].as_slice()),
        };
        making.block(notion, "inbound", &service.name, &[], own, routes, &app);
    }
    making.door(notion)
}

fn outbound(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("calls");
    for (name, call) in &document.calls.0 {
        let Some(target) = notion.target(name.as_str()) else { continue };
        let own = notion.whole(call.policies(), &call.profiles);
        let named = [HostWord(name.0.clone())];
        let hosts = if call.host.0.is_empty() { &named[..] } else { &call.host.0[..] };
        making.block(notion, &format!("calls/{name}"), name, hosts, own, &call.routes.0, &target);
    }
    making.door(notion)
}

fn listens(notion: &Notion<'_>) -> Vec<(SocketAddr, Arc<Target>)> {
    let calls = notion.document.calls.0.iter();
    calls
        .filter_map(|(name, call)| Some((call.listen.as_ref()?.parse().ok()?, notion.target(name.as_str())?)))
        .collect()
}

fn mesh(notion: &mut Notion<'_>) -> Mesh {
    let document = notion.document;
    let Some(inbound) = &document.inbound else { return Mesh { mtls: Mtls::default(), allow: None } };
    let allow = inbound.allow.as_ref().and_then(|list| {
        let list: Vec<String> = list.0.iter().map(|peers| peers.0.clone()).collect();
        let rules = PeerRules::compile(&list, notion.domain.as_deref());
        notion.good("inbound/allow", rules)
    });
    Mesh { mtls: inbound.mtls.unwrap_or_default(), allow }
}

/// A door in the making.
struct Making {
    about: &'static str,
    patterns: Vec<Pattern>,
    routes: Vec<Arc<Route>>,
}

impl Making {
    fn new(about: &'static str) -> Self {
        Self { about, patterns: Vec::new(), routes: Vec::new() }
    }

    /// `place` is the route's own in the whole document: its living state goes by it.
    fn add<'a>(
        &mut self,
        notion: &mut Notion<'a>,
        place: &str,
        written: &WrittenRoute,
        policies: Policies<'a>,
        home: Option<&Arc<Target>>,
    ) {
        let pattern = notion.good(self.about, written.pattern());
        let route = route::compile(notion, place, written, policies, home);
        if let (Some(pattern), Some(route)) = (pattern, route) {
            self.patterns.push(pattern);
            self.routes.push(Arc::new(route));
        }
    }

    /// All requests to one target: its own routes, and one for whatever they do not speak for.
    #[allow(clippy::too_many_arguments, reason = "as many as a block has parts")]
    fn block<'a>(
        &mut self,
        notion: &mut Notion<'a>,
        place: &str,
        name: &Name,
        hosts: &[HostWord],
        own: Policies<'a>,
        routes: &'a [WrittenRoute],
        home: &Arc<Target>,
    ) {
        for route in routes {
            let policies = notion.whole(route.policies(), &route.profiles).or(own);
            let mut route = route.clone();
            if route.host.0.is_empty() {
                route.host.0 = hosts.to_vec();
            }
            // Routes of two blocks may have one name.
            let own = route.name.as_ref().map_or("", Name::as_str);
            self.add(notion, &format!("{place}/{own}"), &route, policies, Some(home));
        }
        let rest = WrittenRoute {
            name: Some(name.clone()),
            host: OneOrMany(hosts.to_vec()),
            ..WrittenRoute::default()
        };
        self.add(notion, place, &rest, own, Some(home));
    }

    /// Builds the table. Routes that cannot be told apart were refused when the document was loaded.
    fn door(self, notion: &mut Notion<'_>) -> Option<Door> {
        match Table::build(self.patterns) {
            Ok(table) => Some(Door { table, routes: self.routes }),
            Err(conflicts) => {
                conflicts.iter().for_each(|conflict| notion.trouble(self.about, conflict));
                None
            }
        }
    }
}
