//! Starts everything, and stops it: the workers with their runtimes, and the house with all that no request waits for.
//!
//! Read [`Sidecar::start`]. One worker is one thread with listening sockets and connection pools of its own; there is one,
//! unless the pod asks for more.

mod run;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use policies::document::mesh::Mtls;
use policies::headers::Recall;
use policies::plan::{Action, Plan};
use shell::exchange::LastGood;
use shell::house::{ByHand, Furnishing, House, HouseError};
use shell::listen::{
    Accepting, BindError, Counters, Intercepts, Limits, ListenAt, Permits, Phase, Shows, Sockets, Speaks,
};
use shell::mesh::{Files, Identity, IdentityError};
use shell::reload::{Plans, Watcher};
use shell::sight::Sight;
use shell::upstream::Unable;
use tokio::sync::watch;

pub use run::run;
use worker::{Mine, Shared, work};

use crate::client::Loops;
use crate::counts::Counts;
use crate::listeners::Listeners;
use crate::settings::Settings;
use crate::sight::OwnIdentity;

/// What we cannot do.
const UNABLE: Unable = Unable {
    spiffe: None,
    tcp: None,
    send_proxy: Some(
        "send_proxy: the sidecar pools its connections, and a PROXY header names one client for each",
    ),
};

/// A sidecar that runs.
pub struct Sidecar {
    house: House,
    workers: Vec<JoinHandle<()>>,
    exit: Arc<Exit>,
    admin: SocketAddr,
    inbound: Vec<ListenAt>,
    outbound: Vec<ListenAt>,
    listeners: Arc<Listeners>,
    _watcher: Watcher,
}

/// The way out, in its steps.
struct Exit {
    /// Inbound answers say that their connections end; everything else goes on.
    leaving: watch::Sender<bool>,
    inbound: watch::Sender<Phase>,
    outbound: watch::Sender<Phase>,
    listeners: Arc<Listeners>,
}

/// Why a sidecar does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    House(#[from] HouseError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Exit {
    /// What was told to the mesh and to the kubelet: we are on the way out.
    fn announce(&self) {
        self.leaving.send_replace(true);
    }

    /// Takes nothing new in either direction.
    fn drain(&self) {
        self.announce();
        self.inbound.send_replace(Phase::Draining);
        self.outbound.send_replace(Phase::Draining);
        self.listeners.close();
    }
}

impl Sidecar {
    /// Starts one. When this returns it serves.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let threads = settings.threads.max(1);
        let identity = identity(settings)?;
        let (listeners, opened) = Listeners::new(threads);
        let listeners = Arc::new(listeners);
        let house = House::furnish(
            &settings.house,
            Furnishing {
                name: "banyan-sidecar",
                workers: threads,
                identity: identity.clone(),
                unable: UNABLE,
                prepare: {
                    let listeners = listeners.clone();
                    let proved = if identity.is_some() { Proved::Yes } else { Proved::No };
                    Box::new(move |plan| {
                        let open = listeners.prepare(plan)?;
                        let plan = plan.clone();
                        Ok(Box::new(move || {
                            warn_of_undone(&plan, proved);
                            open();
                        }))
                    })
                },
            },
        )?;
        let watcher = watcher(settings, &house.plans, identity.clone())?;
        let places =
            |places: &[ListenAt], speaks| places.iter().map(|at| (at.clone(), speaks)).collect::<Vec<_>>();
        let inbound = Sockets::bind(&places(&settings.inbound, Speaks::Either), threads)?;
        let outbound = Sockets::bind(&places(&settings.outbound, Speaks::Plain), threads)?;
        let bound = |sockets: &Sockets| sockets.places().into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        let (inbound_at, outbound_at) = (bound(&inbound), bound(&outbound));
        let permits = Arc::new(Permits::new(settings.connections_max, settings.connections_max));
        let (counters, counts) = (Arc::<Counters>::default(), Arc::<Counts>::default());
        let accepting = |shows, intercepts| {
            Arc::new(Accepting {
                permits: permits.clone(),
                counters: counters.clone(),
                shows,
                intercepts,
                proxies: Vec::new(),
                handshake_within: settings.handshake_within.0,
            })
        };
        let intercepts = if settings.transparent { Intercepts::Yes } else { Intercepts::No };
        let shows = identity.clone().map_or(Shows::Nothing, Shows::Mesh);
        let (leaving, told_leaving) = watch::channel(false);
        let (inbound_phase, told_inbound) = watch::channel(Phase::Serving);
        let (outbound_phase, told_outbound) = watch::channel(Phase::Serving);
        let shared = Arc::new(Shared {
            plans: house.planned.clone(),
            keys: house.keys.clone(),
            store: house.store.clone(),
            telemetry: house.telemetry.clone(),
            last_good: Arc::<LastGood>::default(),
            recall: Arc::<Recall>::default(),
            loops: Arc::<Loops>::default(),
            counts: counts.clone(),
            from_mesh: accepting(shows, intercepts),
            from_app: accepting(Shows::Nothing, intercepts),
            to_targets: accepting(Shows::Nothing, Intercepts::No),
            limits: Limits {
                idle_within: settings.idle_within.0,
                header_within: settings.header_within.0,
                head_bytes_max: 0,
                body_rate_min: settings.body_rate_min.0,
            },
            age_max: settings.connection_age.0,
            detect_within: settings.detect_within.0,
            drain_limit: settings.drain_limit.0,
            leaving: told_leaving,
            inbound: told_inbound,
            outbound: told_outbound,
        });
        let sight = Arc::new(Sight {
            plans: house.plans.clone(),
            upstreams: house.upstreams.clone(),
            keys: house.keys.clone(),
            store: house.store.clone(),
            permits: permits.clone(),
            counters: counters.clone(),
            certificates: None,
        });
        house.telemetry.metrics.watch(sight.clone());
        house.telemetry.metrics.watch(counts);
        if let Some(identity) = identity {
            house.telemetry.metrics.watch(Arc::new(OwnIdentity(identity)));
        }
        let shares = inbound.shares(threads).into_iter().zip(outbound.shares(threads)).zip(opened);
        let mut workers = Vec::new();
        for (number, ((inbound, outbound), opened)) in shares.enumerate() {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("banyan-worker-{number}"));
            workers.push(thread.spawn(move || work(number, &shared, Mine { inbound, outbound, opened }))?);
        }
        let exit = Arc::new(Exit {
            leaving,
            inbound: inbound_phase,
            outbound: outbound_phase,
            listeners: listeners.clone(),
        });
        let (open, leave, look) = (exit.clone(), exit.clone(), house.planned.clone());
        let exits = ByHand {
            is_ready: Arc::new(move || !*open.leaving.borrow() && look.load().app_is_well()),
            drain: Arc::new(move || leave.announce()),
        };
        let admin = house.let_look_in(&settings.house, &sight, exits)?;
        Ok(Self {
            house,
            workers,
            exit,
            admin,
            inbound: inbound_at,
            outbound: outbound_at,
            listeners,
            _watcher: watcher,
        })
    }

    /// Where the mesh reaches the app, ports chosen by the system resolved.
    pub fn inbound(&self) -> &[ListenAt] {
        &self.inbound
    }

    /// Where the app reaches what it calls.
    pub fn outbound(&self) -> &[ListenAt] {
        &self.outbound
    }

    /// Where the app reaches this target.
    pub fn reaches(&self, target: &str) -> Option<SocketAddr> {
        self.listeners.places().into_iter().find(|(name, _)| &**name == target).map(|(_, at)| at)
    }

    /// Where the admin pages are.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The plans over time.
    pub fn plans(&self) -> &Arc<Plans> {
        &self.house.plans
    }

    /// Looks at the files again, and opens the log again: somebody has moved it away.
    pub fn refresh(&self) {
        self.house.telemetry.reopen();
        self.house.plans.refresh();
    }

    /// Says that it will be gone: readiness is no more, inbound answers end their connections, all else goes on.
    pub fn announce(&self) {
        self.exit.announce();
    }

    /// Takes nothing new; what is in flight may end, within the limit.
    pub fn drain(&self) {
        self.exit.drain();
    }

    /// Drains, and waits until the last request has ended.
    pub fn stop(mut self) {
        self.drain();
        for worker in self.workers.drain(..) {
            // A worker that panicked has been told of by the panic itself.
            let _ = worker.join();
        }
        self.house.close();
    }
}

fn identity(settings: &Settings) -> Result<Option<Arc<Identity>>, StartError> {
    let files = match (&settings.certificate, &settings.key, &settings.authorities) {
        (Some(certificate), Some(key), Some(authorities)) => {
            Files { certificate: certificate.clone(), key: key.clone(), authorities: authorities.clone() }
        }
        _ => return Ok(None),
    };
    let identity = Identity::load(files)?;
    log::info!(target: "banyan", "we are {}", identity.id());
    Ok(Some(Arc::new(identity)))
}

fn watcher(
    settings: &Settings,
    plans: &Arc<Plans>,
    identity: Option<Arc<Identity>>,
) -> std::io::Result<Watcher> {
    let plans = plans.clone();
    let own = [&settings.certificate, &settings.key, &settings.authorities];
    let paths: Vec<_> =
        std::iter::once(&settings.house.policies).chain(own.into_iter().flatten()).cloned().collect();
    Watcher::start(&paths, move || {
        plans.refresh();
        match identity.as_ref().map(|identity| identity.reload()) {
            Some(Ok(true)) => log::info!(target: "banyan", "a new identity is in use"),
            Some(Err(error)) => log::error!(target: "banyan", "the identity in use stays:\n{error}"),
            Some(Ok(false)) | None => {}
        }
    })
}

/// Can we prove who we are?
#[derive(Clone, Copy, Eq, PartialEq)]
enum Proved {
    No,
    Yes,
}

/// Says what the document asks for and this sidecar does not do.
fn warn_of_undone(plan: &Plan, proved: Proved) {
    if plan.service.is_some() && plan.mesh.mtls == Mtls::Strict && proved == Proved::No {
        log::warn!(target: "banyan", "inbound is strict and we have no identity (--certificate, --key, --authorities): nobody gets in");
    }
    for route in plan.inbound.routes.iter().chain(&plan.outbound.routes) {
        if let Action::Migrate(migration) = &route.action
            && migration.written.shadow.is_some()
        {
            log::warn!(target: "banyan", "route {}: `shadow` is the gateway's; the share moves without comparing", route.name);
        }
    }
}
