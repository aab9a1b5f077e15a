//! The house: everything of a proxy that no request waits for. Plans over time, names, health, keys, the shared store,
//! telemetry, the admin pages; and the runtime on which all of it runs, apart from the workers that carry requests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use policies::plan::Plan;
use policies::state::{Living, Room, SharedRoom};
use tokio::runtime::{Builder, Runtime};

use crate::admin::{Admin, Gate, Hooks};
use crate::exchange::Planned;
use crate::keys::Keys;
use crate::mesh::Identity;
use crate::reload::{LoadError, Plans, Prepare};
use crate::sight::Sight;
use crate::store::{Store, StoreError};
use crate::telemetry::{LogTo, Telemetry, TelemetryError};
use crate::upstream::{MaterialError, ResolverSettings, Roots, Unable, Upstreams};

/// How long the last lines and spans may take to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Start-up settings of every proxy of ours: flags, or the environment.
#[derive(Args, Clone, Debug)]
pub struct HouseSettings {
    /// The policies: a file, or a directory that is read as one document.
    #[arg(long, env = "BANYAN_POLICIES", value_name = "PATH")]
    pub policies: PathBuf,
    /// Where the operator looks in. Keep it on loopback.
    #[arg(long, env = "BANYAN_ADMIN", default_value = "127.0.0.1:9901", value_name = "ADDRESS")]
    pub admin: SocketAddr,
    /// A file with the token that changes need (`Authorization: Bearer`). Without it the admin pages are read-only.
    #[arg(long, env = "BANYAN_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Names by which browsers may reach the admin pages, besides addresses and localhost.
    #[arg(long, env = "BANYAN_ADMIN_HOSTS", value_delimiter = ',', value_name = "HOST")]
    pub admin_hosts: Vec<String>,
    /// Where the last good documents are kept. Without it rollback ends with the process.
    #[arg(long, env = "BANYAN_STATE", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// The Redis that counts limits shared by several gateways: `redis://host:6379`.
    #[arg(long, env = "BANYAN_REDIS", value_name = "URL")]
    pub redis: Option<String>,
    /// Where traces go, by OTLP over HTTP: `http://collector:4318`.
    #[arg(long, env = "BANYAN_OTLP", value_name = "URL")]
    pub otlp: Option<String>,
    /// Where the access log goes: `stdout`, `off` or a file.
    #[arg(long, env = "BANYAN_ACCESS_LOG", default_value = "stdout", value_name = "WHERE")]
    pub access_log: LogTo,
    /// DNS servers, instead of the system's: `10.0.0.2:53`.
    #[arg(long, env = "BANYAN_RESOLVERS", value_delimiter = ',', value_name = "ADDRESS")]
    pub resolvers: Vec<SocketAddr>,
    /// Certificate authorities for https targets that name none, and for key servers. Default: the system's.
    #[arg(long, env = "BANYAN_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

impl HouseSettings {
    /// The defaults, for this document: what tests and the embedded use begin with.
    pub fn new(policies: impl Into<PathBuf>) -> Self {
        Self {
            policies: policies.into(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin_token_file: None,
            admin_hosts: Vec::new(),
            state: None,
            redis: None,
            otlp: None,
            access_log: LogTo::Off,
            resolvers: Vec::new(),
            ca_file: None,
        }
    }
}

/// What a proxy brings into its house.
pub struct Furnishing {
    /// Our name in traces.
    pub name: &'static str,
    /// How many workers there will be.
    pub workers: usize,
    /// Who we are in the mesh.
    pub identity: Option<Arc<Identity>>,
    /// What the engine cannot do.
    pub unable: Unable,
    /// What the proxy itself wants to prepare for a plan.
    pub prepare: Prepare,
}

/// The house.
pub struct House {
    /// Where its work is done.
    pub runtime: Runtime,
    /// The plan in force, with what the shell keeps beside it.
    pub planned: Arc<ArcSwap<Planned>>,
    /// The plans over time.
    pub plans: Arc<Plans>,
    /// Issuers' keys.
    pub keys: Arc<Keys>,
    /// Counts shared limits.
    pub store: Arc<Store>,
    /// Where targets are.
    pub upstreams: Arc<Upstreams>,
    /// Everything that is told.
    pub telemetry: Arc<Telemetry>,
}

/// What the operator can ask of the proxy itself.
pub struct ByHand {
    /// Does the proxy take requests?
    pub is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Begins to drain.
    pub drain: Arc<dyn Fn() + Send + Sync>,
}

/// Why there is no house.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum HouseError {
    #[error("the admin pages cannot be opened on {0}: {1}")]
    Admin(SocketAddr, std::io::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error("{0}")]
    Rustls(#[from] rustls::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

impl House {
    /// Furnishes one. When this returns there is a plan in force.
    pub fn furnish(settings: &HouseSettings, with: Furnishing) -> Result<Self, HouseError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("banyan-house").enable_all().build()?;
        let mut roots = Roots::load(settings.ca_file.as_deref())?;
        roots.identity = with.identity;
        let roots = Arc::new(roots);
        let telemetry =
            Telemetry::start(with.name, &settings.access_log, settings.otlp.as_deref(), with.workers)?;
        let living = Arc::new(Living::new(&room(settings.redis.is_some())));
        let store = Store::start(settings.redis.as_deref(), living.clone(), runtime.handle())?;
        let keys = Arc::new(Keys::new(runtime.handle().clone(), roots.clone()));
        let resolver = ResolverSettings { servers: settings.resolvers.clone() };
        let upstreams = Arc::new(Upstreams::new(runtime.handle().clone(), roots, with.unable, &resolver));
        let planned = Arc::new(OnceLock::<Arc<ArcSwap<Planned>>>::new());
        let put = put(&planned, &upstreams, &keys, &store, &telemetry, with.prepare);
        let plans = Arc::new(Plans::load(&settings.policies, settings.state.as_deref(), living, put)?);
        let Some(planned) = planned.get().cloned() else {
            return Err(std::io::Error::other("no plan was put in force").into());
        };
        runtime.block_on(store.settled(Duration::from_secs(1)));
        Ok(Self { runtime, planned, plans, keys, store, upstreams, telemetry })
    }

    /// Opens the admin pages. Where they are.
    pub fn let_look_in(
        &self,
        settings: &HouseSettings,
        sight: &Arc<Sight>,
        by_hand: ByHand,
    ) -> Result<SocketAddr, HouseError> {
        let token = settings.admin_token_file.as_ref().map(std::fs::read_to_string).transpose()?;
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let listener = self.runtime.block_on(tokio::net::TcpListener::bind(settings.admin));
        let listener = listener.map_err(|error| HouseError::Admin(settings.admin, error))?;
        let at = listener.local_addr()?;
        let seen = |look: fn(&Sight) -> serde_json::Value| {
            let sight = sight.clone();
            Arc::new(move || look(&sight)) as Arc<dyn Fn() -> serde_json::Value + Send + Sync>
        };
        let metrics = self.telemetry.clone();
        let hooks = Hooks {
            plans: sight.plans.clone(),
            is_ready: by_hand.is_ready,
            metrics: Arc::new(move || metrics.scrape()),
            targets: seen(Sight::targets),
            limits: seen(Sight::limits),
            connections: seen(Sight::connections),
            drain: by_hand.drain,
        };
        let gate = Gate { hosts: settings.admin_hosts.clone(), token };
        self.runtime.spawn(Arc::new(Admin::new(gate, hooks)).serve(listener));
        Ok(at)
    }

    /// The last one out: what is still to be told is told.
    pub fn close(self) {
        self.telemetry.close(FLUSH_WITHIN);
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// What is done with each plan: everything it needs is prepared, and refuses it; then all of it is put in force.
fn put(
    planned: &Arc<OnceLock<Arc<ArcSwap<Planned>>>>,
    upstreams: &Arc<Upstreams>,
    keys: &Arc<Keys>,
    store: &Arc<Store>,
    telemetry: &Arc<Telemetry>,
    own: Prepare,
) -> Prepare {
    let (planned, upstreams, keys) = (planned.clone(), upstreams.clone(), keys.clone());
    let (store, telemetry) = (store.clone(), telemetry.clone());
    Box::new(move |plan: &Arc<Plan>| {
        let prepared = upstreams.prepare(plan)?;
        let own = own(plan)?;
        let (planned, upstreams, keys) = (planned.clone(), upstreams.clone(), keys.clone());
        let (store, telemetry, plan) = (store.clone(), telemetry.clone(), plan.clone());
        Ok(Box::new(move || {
            upstreams.apply(&plan, prepared);
            keys.apply(&plan);
            store.warn_of_unmet(&plan);
            let next = Planned::new(
                plan,
                |target| upstreams.of(target),
                |way, route, target| telemetry.metrics.cells(way, route, target),
            );
            match planned.get() {
                Some(current) => current.store(Arc::new(next)),
                None => drop(planned.set(Arc::new(ArcSwap::from_pointee(next)))),
            }
            own();
        }))
    })
}

fn room(shared: bool) -> Room {
    let seeds = [(); 4].map(|()| fastrand::u64(..));
    Room { shared: shared.then(SharedRoom::default), ..Room::seeded(seeds) }
}
