//! One worker: a thread with a runtime, listening sockets, an engine and connection pools of its own.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use policies::headers::hop::Framing;
use policies::plan::Way;
use shell::exchange::{Core, LastGood, Planned};
use shell::keys::Keys;
use shell::listen::{Accepting, Certificates, Limits, Phase, Socket};
use shell::store::Store;
use shell::telemetry::Telemetry;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::connection::{Engine, Serving, serve};
use crate::proxy::Front;
use crate::road::Road;
use crate::settings::DataPath;

/// How often resting connections are looked over.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What all workers share.
pub(super) struct Shared {
    pub plans: Arc<ArcSwap<Planned>>,
    pub keys: Arc<Keys>,
    pub store: Arc<Store>,
    pub last_good: Arc<LastGood>,
    pub certificates: Option<Arc<Certificates>>,
    pub telemetry: Arc<Telemetry>,
    pub accepting: Arc<Accepting>,
    pub conf: Arc<ServerConf>,
    pub limits: Limits,
    pub data_path: DataPath,
    pub drain_limit: Duration,
}

/// One worker, from its first connection to its last.
pub(super) fn work(number: usize, shared: &Shared, sockets: Vec<Socket>, phase: &watch::Receiver<Phase>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return log::error!(target: "banyan", "worker {number} cannot begin: {error}"),
    };
    runtime.block_on(async {
        let core = Arc::new(Core {
            way: Way::Edge,
            framing: Framing::ByField,
            recall: None,
            plans: shared.plans.clone(),
            keys: shared.keys.clone(),
            store: shared.store.clone(),
            last_good: shared.last_good.clone(),
            certificates: shared.certificates.clone(),
            phase: phase.clone(),
            telemetry: shared.telemetry.worker(number),
        });
        let (going, shutdown) = watch::channel(false);
        let engine = Engine::new(http_proxy(&shared.conf, Front::new(core.clone())));
        let road = (shared.data_path == DataPath::Short).then(|| Road::new(core.clone()));
        let serving = Arc::new(Serving {
            core,
            road,
            engine: Arc::new(engine),
            limits: shared.limits,
            phase: phase.clone(),
            shutdown,
        });
        let swept = serving.clone();
        let sweeping = tokio::spawn(async move {
            while let Some(road) = &swept.road {
                tokio::time::sleep(SWEEP_EVERY).await;
                road.sweep();
            }
        });
        let open = TaskTracker::new();
        let accepts: Vec<_> = sockets
            .into_iter()
            .map(|socket| {
                let (serving, open) = (serving.clone(), open.clone());
                let each = move |conn| open.track_future(serve(serving.clone(), conn));
                tokio::spawn(shell::listen::run(socket, shared.accepting.clone(), phase.clone(), each))
            })
            .collect();
        for accept in accepts {
            if let Ok(Err(error)) = accept.await {
                log::error!(target: "banyan", "worker {number} cannot listen: {error}");
            }
        }
        going.send_replace(true);
        open.close();
        if tokio::time::timeout(shared.drain_limit, open.wait()).await.is_err() {
            log::warn!(target: "banyan", "worker {number} ends with {} connections open", open.len());
        }
        sweeping.abort();
    });
}
