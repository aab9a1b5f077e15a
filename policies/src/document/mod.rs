//! The language: what an operator writes, what is wrong with it, and what it means.
//!
//! [`Document`] is the whole of it, one file per section beside this one; its doc comments are the manual and its types the
//! JSON Schema. [`Document::load`] reads one file or all files of a directory (the shell reads the disk) and gives
//! either a document in which every reference holds, or every problem at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod check;
mod manual;
mod many;
pub mod identity;
pub mod mesh;
pub mod migrate;
pub mod policy;
mod problem;
mod reader;
pub mod route;
mod secret;
pub mod settings;
pub mod target;
mod tree;
pub mod words;

#[cfg(test)]
mod tests;

pub(crate) use manual::by_name;
pub use manual::{manual, schema, settings};
pub use many::{Each, Named, OneOrMany};
pub use problem::{At, DocumentError, Problem, Source};
pub use secret::Secret;

use identity::Identity;
use mesh::{Call, Inbound, Service};
use route::{Profile, Route};
use settings::{Guard, Trace, Trust};
use target::Target;
use words::Name;

use crate::route::Table;

/// A Banyan policy document: one language for the gateway and the sidecar.
///
/// A document is one file, or a directory of files that are read as one. It is loaded whole or not at all.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// The version of the language. There is one: 1.
    #[schemars(required)]
    pub version: Option<u32>,
    /// What can be called, by name.
    pub targets: Named<Name, Target>,
    /// Whose tokens and keys are believed, by name.
    pub identities: Named<Name, Identity>,
    /// Policies under a name, for routes to `use`.
    pub profiles: Named<Name, Profile>,
    /// Which requests, and what happens to them. Read by the gateway.
    pub routes: Each<Route>,
    /// The app this sidecar stands beside. Read by the sidecar.
    pub service: Option<Service>,
    /// Who may call the app, and how much. Read by the sidecar.
    pub inbound: Option<Inbound>,
    /// Which targets the app calls, by their name, and how. Read by the sidecar.
    pub calls: Named<Name, Call>,
    /// Whose headers are believed.
    pub trust: Option<Trust>,
    /// What is refused before any policy looks.
    pub guard: Option<Guard>,
    /// Which requests are traced.
    pub trace: Option<Trace>,
}

impl Document {
    /// Reads the sources as one document.
    ///
    /// Refuses, with every problem at its place, what is not YAML, not this language, or refers to what is not there.
    /// Time and memory are bounded, whatever the text.
    pub fn load(sources: &[Source]) -> Result<Self, DocumentError> {
        let mut problems = problem::Problems::default();
        let root = tree::grow(sources, &mut problems);
        let cuts = reader::Cuts::new(problems);
        let document: Option<Self> = reader::read(&root, &cuts);
        if let Some(document) = &document {
            check::check(document, &root, &cuts);
        }
        let problems = cuts.problems.into_inner();
        match document {
            Some(document) if problems.is_empty() => Ok(document),
            _ => Err(problems.into_error(sources)),
        }
    }

    /// The routes of each door in the order they are tried, the most specific first, a line each.
    pub fn order(&self) -> Vec<String> {
        let inbound = self.inbound.as_ref().map(|inbound| ("inbound ".to_owned(), &inbound.routes));
        let calls = self.calls.0.iter().map(|(name, call)| (format!("calls.{name} "), &call.routes));
        std::iter::once((String::new(), &self.routes))
            .chain(inbound)
            .chain(calls)
            .flat_map(|(door, routes)| order(&door, routes))
            .collect()
    }
}

fn order(door: &str, routes: &Each<Route>) -> Vec<String> {
    let patterns: Vec<_> = routes.0.iter().filter_map(|route| route.pattern().ok()).collect();
    let names: Vec<_> = patterns.iter().map(|pattern| pattern.name.clone()).collect();
    let table = Table::build(patterns).map(|table| table.order()).unwrap_or_default();
    let name = |n: usize| names.get(n).map_or("", String::as_str);
    let line = |place: &crate::route::Place| {
        format!("{door}{}: {} {} ({})", name(place.route), place.host, place.path, place.reason)
    };
    table.iter().map(line).collect()
}
