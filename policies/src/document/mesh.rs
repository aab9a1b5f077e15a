//! `service`, `inbound` and `calls`: what the sidecar reads besides `targets`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::many::{Each, OneOrMany};
use super::policy::with_policies;
use super::route::Route;
use super::target::{Protocol, Url};
use super::words::{Host, Name, Peers};

/// The app this sidecar stands beside.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name in traces, logs and metrics.
    pub name: Name,
    /// Where it listens: `http://127.0.0.1:8080`.
    pub url: Url,
    /// What it speaks. Default: `http1`.
    pub protocol: Option<Protocol>,
    /// A path that says whether it is well. Default: none; a connection that opens is enough.
    pub health: Option<String>,
    /// What happens to calls to destinations that `calls` does not name. Default: `pass`.
    pub undeclared: Option<Undeclared>,
}

/// What happens to calls nobody declared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Undeclared {
    /// They go through untouched, and are counted.
    #[default]
    Pass,
    /// They are refused.
    Refuse,
}

/// Is mutual TLS demanded?
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mtls {
    /// Plain text and TLS are both taken: for the time of moving in.
    Permissive,
    /// Only callers with a mesh identity.
    #[default]
    Strict,
}

with_policies! {
    /// Who may call the service, and how much. Its policies hold for every request; `routes` can say more for some.
    pub struct Inbound {
        /// `strict` takes mutual TLS only, `permissive` plain text too. Default: `strict`.
        pub mtls: Option<Mtls>,
        /// The workloads that may call, by mesh identity: `ns/shop/sa/orders`, `ns/shop/*`. Default: all of our trust domain.
        pub allow: Option<OneOrMany<Peers>>,
        /// Policies for some of the requests. These routes have no `to`: the service is the target.
        pub routes: Each<Route>,
    }
}

with_policies! {
    /// How one target is called. Its policies hold for every call; `routes` can say more for some.
    pub struct Call {
        /// The Host the app uses for it. Default: the target's name.
        pub host: OneOrMany<Host>,
        /// An address of our own on which the app can reach it: `127.0.0.1:15010`.
        pub listen: Option<String>,
        /// Policies for some of the calls. These routes have no `to`: the call's target is theirs.
        pub routes: Each<Route>,
    }
}
