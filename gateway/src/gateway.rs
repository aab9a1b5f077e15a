//! Starts everything, and stops it: the workers with their runtimes, the house runtime with all that is not a request.
//!
//! Read [`Gateway::start`]. One worker is one thread with a single-threaded runtime, listening sockets and connection pools
//! of its own. The house does what no request waits for: names, health, keys, the store, the admin pages.

mod exit;
mod run;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pingora::server::configuration::ServerConf;
use policies::plan::{Action, Plan};
use shell::house::{ByHand, Furnishing, House, HouseError};
use shell::listen::{
    Accepting, BindError, Certificates, CertsError, Counters, Intercepts, Limits, ListenAt, Permits, Phase,
    Shows, Sockets, Speaks, take_over,
};
use shell::reload::{Plans, Watcher};
use shell::sight::Sight;
use shell::telemetry::Telemetry;
use shell::upstream::Unable;
use tokio::sync::watch;

pub use exit::Exit;
pub use run::run;
use worker::{Shared, work};

use crate::settings::Settings;

/// How often a request may be tried at all; each route says less.
const TRIES_MAX: usize = 16;

/// What Pingora cannot do.
const UNABLE: Unable = Unable {
    spiffe: Some("tls.spiffe is the sidecar's: the gateway checks the name"),
    tcp: Some("protocol: the gateway speaks HTTP; `tcp` is the sidecar's"),
    send_proxy: Some(
        "send_proxy: the gateway pools its connections, and a PROXY header names one client for each; use \
         `forwarded` headers instead",
    ),
};

/// A gateway that runs.
pub struct Gateway {
    house: House,
    workers: Vec<JoinHandle<()>>,
    exit: Arc<Exit>,
    admin: SocketAddr,
    places: Vec<(ListenAt, Speaks)>,
    _watcher: Watcher,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("{0}")]
    Certs(#[from] CertsError),
    #[error(transparent)]
    House(#[from] HouseError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("nothing to listen on: give --listen or --listen-tls")]
    Nowhere,
}

impl Gateway {
    /// Starts one. When this returns it serves.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let places = places(settings)?;
        let workers = settings.workers.or_else(cores).unwrap_or(1).max(1);
        let certificates = settings.certs.as_deref().map(Certificates::load).transpose()?.map(Arc::new);
        let house = House::furnish(
            &settings.house,
            Furnishing {
                name: "banyan-gateway",
                workers,
                identity: None,
                unable: UNABLE,
                prepare: Box::new(|plan| {
                    let plan = plan.clone();
                    Ok(Box::new(move || warn_of_undone(&plan)))
                }),
            },
        )?;
        let watcher = watcher(settings, &house.plans, certificates.clone())?;
        let shared = Arc::new(Shared {
            plans: house.planned.clone(),
            keys: house.keys.clone(),
            store: house.store.clone(),
            last_good: Arc::default(),
            certificates: certificates.clone(),
            telemetry: house.telemetry.clone(),
            accepting: Arc::new(Accepting {
                permits: Arc::new(Permits::new(
                    settings.connections_max,
                    settings.connections_per_address_max,
                )),
                counters: Arc::<Counters>::default(),
                shows: certificates.map_or(Shows::Nothing, Shows::ByName),
                intercepts: Intercepts::No,
                proxies: settings.proxy_protocol_from.clone(),
                handshake_within: settings.handshake_within.0,
            }),
            conf: Arc::new(conf(settings)),
            limits: Limits {
                idle_within: settings.idle_within.0,
                header_within: settings.header_within.0,
                head_bytes_max: 0,
                body_rate_min: settings.body_rate_min.0,
            },
            data_path: settings.data_path,
            drain_limit: settings.drain_limit.0,
        });
        let sight = Arc::new(Sight {
            plans: house.plans.clone(),
            upstreams: house.upstreams.clone(),
            keys: shared.keys.clone(),
            store: shared.store.clone(),
            permits: shared.accepting.permits.clone(),
            counters: shared.accepting.counters.clone(),
            certificates: shared.certificates.clone(),
        });
        shared.telemetry.metrics.watch(sight.clone());
        let handed = settings.take_over.as_deref().map(take_over::ask).transpose()?.flatten();
        let (handed, waits) = match handed {
            Some(mut handed) => (std::mem::take(&mut handed.sockets), Some(handed)),
            None => (Sockets::default(), None),
        };
        let sockets = handed.complete(&places, workers)?;
        let places = sockets.places();
        let copies = settings.take_over.as_ref().map(|_| sockets.copies()).transpose()?;
        let (mut threads, mut phases) = (Vec::new(), Vec::new());
        for (number, sockets) in sockets.shares(workers).into_iter().enumerate() {
            // A channel for each: what a request waits on belongs to its own core.
            let (phase, told) = watch::channel(Phase::Serving);
            let shared = shared.clone();
            let name = format!("banyan-worker-{number}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || work(number, &shared, sockets, &told))?,
            );
            phases.push(phase);
        }
        let exit =
            Arc::new(Exit { phases, told: watch::channel(Phase::Serving).0, sockets: Mutex::new(copies) });
        let (open, drain) = (exit.clone(), exit.clone());
        let exits =
            ByHand { is_ready: Arc::new(move || open.is_open()), drain: Arc::new(move || drain.drain()) };
        let admin = house.let_look_in(&settings.house, &sight, exits)?;
        if let Some(waits) = waits {
            waits.ready()?;
        }
        if let Some(path) = settings.take_over.clone() {
            hand_on(path, exit.clone())?;
        }
        Ok(Self { admin, house, workers: threads, exit, places, _watcher: watcher })
    }

    /// Where it listens, ports chosen by the system resolved.
    pub fn places(&self) -> &[(ListenAt, Speaks)] {
        &self.places
    }

    /// The plans over time.
    pub fn plans(&self) -> &Arc<Plans> {
        &self.house.plans
    }

    /// Takes nothing new; what is in flight may end, within the limit. A second time changes nothing.
    pub fn drain(&self) {
        self.exit.drain();
    }

    /// Where the admin pages are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Everything that is told.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.house.telemetry
    }

    /// Waits until the last request has ended. It has to be told to drain.
    pub fn wait(mut self) {
        for worker in self.workers.drain(..) {
            // A worker that panicked has been told of by the panic itself.
            let _ = worker.join();
        }
        self.house.close();
    }

    /// Drains and waits.
    pub fn stop(self) {
        self.drain();
        self.wait();
    }
}

fn cores() -> Option<usize> {
    std::thread::available_parallelism().ok().map(Into::into)
}

fn places(settings: &Settings) -> Result<Vec<(ListenAt, Speaks)>, StartError> {
    let plain = settings.listen.iter().map(|at| (at.clone(), Speaks::Plain));
    let tls = settings.listen_tls.iter().map(|at| (at.clone(), Speaks::Tls));
    let places: Vec<_> = plain.chain(tls).collect();
    if places.is_empty() { Err(StartError::Nowhere) } else { Ok(places) }
}

fn conf(settings: &Settings) -> ServerConf {
    let ca_file = settings.house.ca_file.as_ref().map(|path| path.display().to_string());
    ServerConf {
        max_retries: TRIES_MAX,
        ca_file,
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    }
}

fn watcher(
    settings: &Settings,
    plans: &Arc<Plans>,
    certificates: Option<Arc<Certificates>>,
) -> std::io::Result<Watcher> {
    let plans = plans.clone();
    let paths: Vec<_> =
        std::iter::once(settings.house.policies.clone()).chain(settings.certs.clone()).collect();
    Watcher::start(&paths, move || {
        plans.refresh();
        match certificates.as_ref().map(|certificates| certificates.reload()) {
            Some(Ok(true)) => log::info!(target: "banyan", "new certificates are in use"),
            Some(Err(error)) => log::error!(target: "banyan", "the certificates in use stay:\n{error}"),
            Some(Ok(false)) | None => {}
        }
    })
}

/// Says what the document asks for and this gateway does not do.
fn warn_of_undone(plan: &Plan) {
    for route in &plan.edge.routes {
        if route.hedge.is_some() {
            log::warn!(target: "banyan", "route {}: `hedge` is done by the sidecar only; requests are sent once", route.name);
        }
        if let Action::Migrate(migration) = &route.action
            && migration.written.shadow.is_some()
        {
            log::warn!(target: "banyan", "route {}: `shadow` is not done yet; the share moves without comparing", route.name);
        }
    }
}

/// Offers the listening sockets to the process after us, and leaves when it has them.
fn hand_on(path: PathBuf, exit: Arc<Exit>) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("banyan-hand-on".into());
    let offer = move || {
        let taken = || {
            log::info!(target: "banyan", "another process has taken over");
            exit.drain();
        };
        if let Err(error) = take_over::offer(&path, &exit.sockets, taken) {
            log::error!(target: "banyan", "nobody can take over at {}: {error}", path.display());
        }
    };
    thread.spawn(offer).map(drop)
}
