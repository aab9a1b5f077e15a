//! The plan: a document compiled. Immutable, replaced whole, never edited.
//!
//! The shell holds the current one behind an `ArcSwap`; a request keeps the one it began with. What changes while
//! requests run (buckets, breakers ...) lives in [`Living`], and the plan only points at it.

use std::fmt::{self, Display};
use std::sync::Arc;

mod door;
mod identity;
mod materials;
mod mesh;
mod patience;
mod route;
mod settings;
mod target;

#[cfg(test)]
mod tests;

pub use door::Door;
pub use identity::{Identity, IdentityError, Kind, Tokens};
pub use materials::{Materials, Missing, wanted};
pub use mesh::{Call, Destination, Mesh};
pub use patience::{Expects, Patience};
pub use route::{
    Action, CountedBy, Fallback, FallbackAnswer, FixedAnswer, Grpc, Hedge, Holds, Limit, Migration, Redirect,
    Requirement, Retry, Route, Side,
};
pub use settings::Tracing;
pub use target::{Health, Pool, Target, Timeouts, Whereabouts};

pub use crate::document::policy::Mode;
pub use crate::request::Way;

use crate::document::mesh::Service;
use crate::document::policy::Policies;
use crate::document::words::Name;
use crate::document::{Document, OneOrMany};
use crate::guard::Rules;
use crate::headers::{IdentityNames, Trust};
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
    /// The targets the app calls.
    pub calls: Vec<Call>,
    /// The app beside us, as a target.
    pub app: Option<Arc<Target>>,
    /// The app beside us.
    pub service: Option<Service>,
    /// Who may open a connection to the app.
    pub mesh: Mesh,
    /// The living state it points at.
    pub living: Arc<Living>,
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
    app: Option<Arc<Target>>,
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
            app: None,
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
            .enumerate()
            .map(|(at, (name, written))| Arc::new(Target::compile(at, name.as_str(), written, living)))
            .collect();
        notion.app = mesh::app(&notion);
        let edge = door::edge(&mut notion);
        let inbound = door::inbound(&mut notion);
        let outbound = door::outbound(&mut notion);
        let mesh = mesh::mesh(&mut notion);
        let calls = mesh::calls(&notion);
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
                calls,
                app: notion.app,
                service: document.service.clone(),
                mesh,
                living: living.clone(),
            }),
            _ => Err(PlanError(notion.trouble)),
        }
    }

    /// The routes of one direction.
    pub fn door(&self, way: Way) -> &Door {
        match way {
            Way::Edge => &self.edge,
            Way::Inbound => &self.inbound,
            Way::Outbound => &self.outbound,
        }
    }

    /// All doors.
    pub fn doors(&self) -> impl Iterator<Item = (Way, &Door)> {
        [Way::Edge, Way::Inbound, Way::Outbound].into_iter().map(|way| (way, self.door(way)))
    }

    /// The routes of all doors.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.doors().flat_map(|(_, door)| &door.routes)
    }
}
