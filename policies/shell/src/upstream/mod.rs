//! Where targets are, whether they are well, and how TLS towards them is done.
//!
//! [`Upstreams::prepare`] reads everything a plan's targets need (certificates and keys) and refuses the plan if any of it
//! is no good; [`Prepared::apply`] puts it in force. The request path only ever looks at an [`Upstream`]'s endpoints of the
//! moment; names are looked up and health is probed in the background.

mod call;
mod dial;
mod dns;
mod endpoints;
mod health;
mod tls;

use std::any::Any;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use policies::document::target::{Protocol, Scheme, Url};
use policies::plan::{Plan, Target, Whereabouts};
use policies::resilience::hedge::Percentile;
use policies::resilience::outlier::Outliers;
use policies::state::print;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub use call::{CallFailed, Calling, call};
pub use dial::{Stream, dial};
pub use dns::ResolverSettings;
pub use endpoints::{Endpoints, Peer};
pub use tls::{Material, MaterialError, Roots};

/// All targets of the process.
pub struct Upstreams {
    house: Handle,
    roots: Arc<Roots>,
    unable: Unable,
    resolver: Option<Arc<dns::Resolver>>,
    known: Mutex<HashMap<String, Arc<Upstream>>>,
}

/// One target: its endpoints of the moment and what keeps them up to date.
pub struct Upstream {
    /// Its name in the document.
    pub name: String,
    /// Leaves out single bad endpoints.
    pub outliers: Outliers,
    /// How long calls usually take.
    pub usual: Percentile,
    shape: Arc<Shape>,
    endpoints: ArcSwap<Endpoints>,
    tasks: Mutex<Vec<AbortHandle>>,
    print: u64,
}

/// What of a target shapes its connections.
pub struct Shape {
    /// What is spoken there.
    pub protocol: Protocol,
    /// TLS, if it is spoken there.
    pub material: Option<Material>,
    /// How long a connection may rest in a pool.
    pub idle_for: Duration,
    /// How long it may be used in any case.
    pub age: Duration,
    /// How many may rest, for each endpoint and thread.
    pub idle_max: usize,
    /// Its own name, as Host.
    pub authority: HeaderValue,
    /// What an engine made of this once, and wants to find again at the next request.
    pub keepsake: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Equal for equal ways to connect.
    pub print: u64,
    balance: policies::balance::Settings,
    urls: Vec<Url>,
}

impl Shape {
    /// For a destination that nobody declared.
    pub fn bare(protocol: Protocol) -> Self {
        let pool = policies::plan::Pool::default();
        Self {
            protocol,
            material: None,
            idle_for: pool.idle_for,
            age: pool.age,
            idle_max: 0,
            authority: HeaderValue::from_static(""),
            keepsake: OnceLock::new(),
            print: policies::state::print(&("bare", protocol)),
            balance: policies::balance::Settings::default(),
            urls: Vec::new(),
        }
    }
}

/// What an engine cannot do: a plan that asks for it is refused, rather than done by half.
pub struct Unable {
    /// TLS to a target that is known by its SPIFFE id.
    pub spiffe: Option<&'static str>,
    /// A target that speaks something else than HTTP.
    pub tcp: Option<&'static str>,
    /// A PROXY header on each connection to a target.
    pub send_proxy: Option<&'static str>,
}

/// The targets of a plan, ready to be put in force.
pub struct Prepared(Vec<(Arc<Upstream>, Fresh)>);

/// Was an upstream made for this plan, or is it the one that was there?
#[derive(Clone, Copy, Eq, PartialEq)]
enum Fresh {
    Kept,
    Made,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(AbortHandle::abort);
    }
}

impl Upstream {
    /// Is this address one of its endpoints?
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.endpoints.load().set.endpoints().iter().any(|endpoint| endpoint.listed.address == address)
    }

    /// The endpoints of this moment.
    pub fn endpoints(&self) -> Arc<Endpoints> {
        self.endpoints.load_full()
    }

    /// Its own name, as Host.
    pub fn authority(&self) -> &HeaderValue {
        &self.shape.authority
    }
}

impl Upstreams {
    /// None yet. Background work runs on `house`.
    pub fn new(house: Handle, roots: Arc<Roots>, unable: Unable, resolver: &ResolverSettings) -> Self {
        let resolver = match dns::Resolver::new(resolver) {
            Ok(resolver) => Some(Arc::new(resolver)),
            Err(error) => {
                log::error!(target: "banyan", "names cannot be looked up: {error}");
                None
            }
        };
        Self { house, roots, unable, resolver, known: Mutex::default() }
    }

    /// Reads what the plan's targets need. All that is wrong, if anything is.
    pub fn prepare(&self, plan: &Plan) -> Result<Prepared, Vec<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for target in plan.called() {
            match self.one(target, known.get(&target.name)) {
                Ok(upstream) => good.push(upstream),
                Err(problem) => bad.push(format!("targets/{}: {problem}", target.name)),
            }
        }
        if bad.is_empty() { Ok(Prepared(good)) } else { Err(bad) }
    }

    fn one(&self, target: &Target, known: Option<&Arc<Upstream>>) -> Result<(Arc<Upstream>, Fresh), String> {
        let spiffe = target.tls.as_ref().is_some_and(|tls| tls.spiffe.is_some());
        let asked = [
            (target.send_proxy.is_some(), self.unable.send_proxy),
            (target.protocol == Protocol::Tcp, self.unable.tcp),
            (spiffe, self.unable.spiffe),
        ];
        if let Some(cannot) = asked.iter().find_map(|(asked, cannot)| cannot.filter(|_| *asked)) {
            return Err(cannot.into());
        }
        let material = tls::material(target, &self.roots).map_err(|error| error.to_string())?;
        let print = print(&(
            &target.whereabouts,
            material.as_ref().map(|material| material.print),
            target.protocol,
            &target.health,
            target.balance,
            format!("{:?}", target.outlier),
            target.pool,
        ));
        if let Some(known) = known.filter(|known| known.print == print) {
            return Ok((known.clone(), Fresh::Kept));
        }
        let urls = match &target.whereabouts {
            Whereabouts::Endpoints(urls) => urls.clone(),
            Whereabouts::Dns(_) | Whereabouts::Kubernetes(_) => Vec::new(),
        };
        let shape = Arc::new(Shape {
            print: policies::state::print(&(
                target.protocol,
                material.as_ref().map(|material| material.print),
            )),
            keepsake: OnceLock::new(),
            protocol: target.protocol,
            material,
            balance: target.balance,
            idle_for: target.pool.idle_for,
            age: target.pool.age,
            idle_max: usize::try_from(target.pool.idle).unwrap_or(usize::MAX),
            authority: HeaderValue::try_from(authority(target)).map_err(|error| error.to_string())?,
            urls,
        });
        let fixed = literal(&shape.urls);
        let before = known.map(|known| known.endpoints());
        let endpoints = Endpoints::succeed(before.as_deref(), &shape, &fixed, crate::clock::tick());
        Ok((
            Arc::new(Upstream {
                name: target.name.clone(),
                outliers: Outliers::new(target.outlier.0),
                usual: Percentile::unknown(),
                shape,
                endpoints: ArcSwap::from_pointee(endpoints),
                tasks: Mutex::default(),
                print,
            }),
            Fresh::Made,
        ))
    }

    /// Puts what was prepared in force. Upstreams of targets that are gone end with the last plan that knows them.
    pub fn apply(&self, plan: &Plan, prepared: Prepared) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
        for ((upstream, fresh), target) in prepared.0.into_iter().zip(plan.called()) {
            if fresh == Fresh::Made {
                let mut tasks = upstream.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(resolver) = &self.resolver {
                    tasks.extend(dns::keep(&self.house, resolver.clone(), &upstream, target));
                }
                tasks.extend(health::keep(&self.house, &upstream, target));
            }
            known.insert(target.name.clone(), upstream);
        }
    }

    /// The upstream of a target that was applied.
    pub fn of(&self, target: &Target) -> Option<Arc<Upstream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&target.name).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Upstream>> {
        let mut all: Vec<_> =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

/// Addresses among the URLs, which nobody needs to look up.
fn literal(urls: &[Url]) -> Vec<(SocketAddr, String)> {
    let address = |url: &Url| {
        url.host.parse::<IpAddr>().ok().map(|ip| (SocketAddr::new(ip, url.port), url.host.clone()))
    };
    urls.iter().filter_map(address).collect()
}

/// The target's own name, as Host.
fn authority(target: &Target) -> String {
    let bracketed = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match &target.whereabouts {
        Whereabouts::Endpoints(urls) => match urls.first() {
            Some(url) if url.port == own_port(url.scheme) => bracketed(&url.host),
            Some(url) => format!("{}:{}", bracketed(&url.host), url.port),
            None => target.name.clone(),
        },
        Whereabouts::Dns(dns) => {
            dns.port.map_or_else(|| dns.name.clone(), |port| format!("{}:{port}", dns.name))
        }
        Whereabouts::Kubernetes(kubernetes) => kubernetes.service.0.clone(),
    }
}

fn own_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// Does this target speak TLS?
fn speaks_tls(target: &Target) -> bool {
    match &target.whereabouts {
        Whereabouts::Endpoints(urls) => urls.iter().any(|url| url.scheme == Scheme::Https),
        Whereabouts::Dns(_) | Whereabouts::Kubernetes(_) => target.tls.is_some(),
    }
}
