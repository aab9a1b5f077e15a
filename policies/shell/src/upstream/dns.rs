//! Names looked up in the background: answers are kept as long as they say, the last good ones as long as no better come.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use policies::plan::{Target, Whereabouts};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{Endpoints, Upstream};

/// More addresses than this under one name are a mistake, or an attack on our memory.
const ADDRESSES_MAX: usize = 1000;
/// Nobody is asked more often than this, whatever the answers say.
const ASK_EVERY_MIN: Duration = Duration::from_secs(1);
/// An answer that may be kept for longer is asked for again all the same.
const ASK_EVERY_MAX: Duration = Duration::from_secs(300);
/// Where the document says nothing.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// After a failure; doubled up to [`ASK_EVERY`].
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Who is asked. The default: whom the system asks.
#[derive(Clone, Debug, Default)]
pub struct ResolverSettings {
    /// These servers instead.
    pub servers: Vec<SocketAddr>,
}

/// Asks for names.
pub(super) struct Resolver(TokioResolver);

/// What is looked up for a target.
struct Wanted {
    name: String,
    port: Option<u16>,
    srv: bool,
    every: Duration,
}

type Found = Vec<(SocketAddr, String)>;

impl Resolver {
    pub(super) fn new(settings: &ResolverSettings) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| told(&error))?
        } else {
            let servers = settings.servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                connections.iter_mut().for_each(|connection| connection.port = server.port());
                NameServerConfig::new(server.ip(), true, connections)
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        // We keep answers ourselves, and know better when to ask again.
        options.cache_size = 0;
        options.timeout = Duration::from_secs(2);
        options.attempts = 1;
        builder.build().map(Self).map_err(|error| told(&error))
    }

    /// All addresses of a name, and how long they may be kept.
    async fn addresses(&self, wanted: &Wanted) -> Result<(Found, Duration), String> {
        if wanted.srv {
            return self.services(wanted).await;
        }
        let port = wanted.port.unwrap_or(80);
        let (ips, keep) = self.ips(&wanted.name).await?;
        Ok((ips.into_iter().map(|ip| (SocketAddr::new(ip, port), wanted.name.clone())).collect(), keep))
    }

    async fn ips(&self, name: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let lookup = self.0.lookup_ip(name).await.map_err(|error| error.to_string())?;
        let keep = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
        Ok((lookup.iter().take(ADDRESSES_MAX).collect(), keep))
    }

    async fn services(&self, wanted: &Wanted) -> Result<(Found, Duration), String> {
        let lookup =
            self.0.lookup(wanted.name.as_str(), RecordType::SRV).await.map_err(|error| error.to_string())?;
        let keep = lookup.valid_until().saturating_duration_since(std::time::Instant::now());
        let mut found = Found::new();
        for record in lookup.answers().iter().take(ADDRESSES_MAX) {
            let RData::SRV(service) = &record.data else { continue };
            let host = service.target.to_utf8();
            let (ips, _) = self.ips(&host).await?;
            let host = host.trim_end_matches('.').to_owned();
            found.extend(ips.into_iter().map(|ip| (SocketAddr::new(ip, service.port), host.clone())));
        }
        found.truncate(ADDRESSES_MAX);
        Ok((found, keep))
    }
}

/// Keeps a target's names looked up, on a task of its own for each.
pub(super) fn keep(
    house: &Handle,
    resolver: Arc<Resolver>,
    upstream: &Arc<Upstream>,
    target: &Target,
) -> Option<AbortHandle> {
    let wanted = wanted(target);
    if wanted.is_empty() {
        return None;
    }
    let upstream = Arc::downgrade(upstream);
    Some(house.spawn(look(resolver, upstream, wanted)).abort_handle())
}

fn wanted(target: &Target) -> Vec<Wanted> {
    match &target.whereabouts {
        Whereabouts::Endpoints(urls) => urls
            .iter()
            .filter(|url| url.address().is_none())
            .map(|url| Wanted { name: url.host.clone(), port: Some(url.port), srv: false, every: ASK_EVERY })
            .collect(),
        Whereabouts::Dns(dns) => vec![Wanted {
            name: dns.name.clone(),
            port: dns.port,
            srv: dns.srv,
            every: dns.every.map_or(ASK_EVERY, |every| every.0),
        }],
        // The name every cluster's DNS has for a service; of a headless one it has every ready pod.
        Whereabouts::Kubernetes(service) => {
            let namespace = service.namespace.as_ref().map_or("default", |namespace| namespace.as_str());
            let host = format!("{}.{namespace}.svc", service.service);
            match service.port.parse() {
                Ok(port) => vec![Wanted { name: host, port: Some(port), srv: false, every: ASK_EVERY }],
                Err(_) => {
                    let name = format!("_{}._tcp.{host}", service.port);
                    vec![Wanted { name, port: None, srv: true, every: ASK_EVERY }]
                }
            }
        }
    }
}

async fn look(resolver: Arc<Resolver>, upstream: Weak<Upstream>, wanted: Vec<Wanted>) {
    let mut found: Vec<Found> = wanted.iter().map(|_| Found::new()).collect();
    let mut failures = 0_u32;
    loop {
        let (mut wait, mut failed) = (ASK_EVERY_MAX, None);
        for (one, found) in wanted.iter().zip(&mut found) {
            match resolver.addresses(one).await {
                Ok((addresses, keep)) if !addresses.is_empty() => {
                    *found = addresses;
                    wait = wait.min(keep.max(ASK_EVERY_MIN)).min(one.every);
                }
                Ok(_) => failed = Some((one, "there is no address under it".to_owned())),
                Err(error) => failed = Some((one, error)),
            }
        }
        let Some(upstream) = upstream.upgrade() else { return };
        take(&upstream, &found);
        if let Some((one, error)) = failed {
            // Said once; the addresses that were there stay.
            if failures == 0 {
                log::warn!(target: "banyan", "target {}: {} cannot be looked up: {error}", upstream.name, one.name);
            }
            wait = (RETRY_FIRST * 2_u32.saturating_pow(failures.min(8))).min(ASK_EVERY);
            failures += 1;
        } else {
            failures = 0;
        }
        drop(upstream);
        tokio::time::sleep(wait.max(ASK_EVERY_MIN)).await;
    }
}

/// Puts what was found in force, if it differs from what was there.
fn take(upstream: &Upstream, found: &[Found]) {
    let mut all = super::literal(&upstream.shape.urls);
    all.extend(found.iter().flatten().cloned());
    all.sort();
    all.dedup();
    let before = upstream.endpoints();
    let mut known = before.found();
    known.sort();
    if all == known || all.is_empty() {
        return;
    }
    log::info!(target: "banyan", "target {} has {} endpoints, before {}", upstream.name, all.len(), known.len());
    let next = Endpoints::succeed(Some(&before), &upstream.shape, &all, crate::clock::tick());
    upstream.endpoints.store(Arc::new(next));
}
