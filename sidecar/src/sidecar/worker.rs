//! One worker: a thread with a runtime, listening sockets and connection pools of its own.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use policies::headers::Recall;
use policies::headers::hop::Framing;
use policies::plan::Way;
use shell::exchange::{Core, LastGood, Planned};
use shell::keys::Keys;
use shell::listen::{self, Accepting, Limits, Phase, Socket};
use shell::store::Store;
use shell::telemetry::Telemetry;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::carry::Carrier;
use crate::client::{Client, Connector, Loops};
use crate::connection::Serving;
use crate::counts::Counts;
use crate::inbound::Inbound;
use crate::listeners::Opened;
use crate::opaque::Opaque;
use crate::outbound::Outbound;

/// What all workers share.
pub(super) struct Shared {
    pub plans: Arc<ArcSwap<Planned>>,
    pub keys: Arc<Keys>,
    pub store: Arc<Store>,
    pub telemetry: Arc<Telemetry>,
    pub last_good: Arc<LastGood>,
    pub recall: Arc<Recall>,
    pub loops: Arc<Loops>,
    pub counts: Arc<Counts>,
    pub from_mesh: Arc<Accepting>,
    pub from_app: Arc<Accepting>,
    pub to_targets: Arc<Accepting>,
    pub limits: Limits,
    pub age_max: Duration,
    pub detect_within: Duration,
    pub drain_limit: Duration,
    pub leaving: watch::Receiver<bool>,
    pub inbound: watch::Receiver<Phase>,
    pub outbound: watch::Receiver<Phase>,
}

/// What is one worker's own.
pub(super) struct Mine {
    pub inbound: Vec<Socket>,
    pub outbound: Vec<Socket>,
    pub opened: mpsc::UnboundedReceiver<Opened>,
}

/// One worker, from its first connection to its last.
pub(super) fn work(number: usize, shared: &Shared, mine: Mine) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return log::error!(target: "banyan", "worker {number} cannot begin: {error}"),
    };
    runtime.block_on(serve(number, shared, mine));
}

async fn serve(number: usize, shared: &Shared, mine: Mine) {
    let Mine { inbound, outbound, mut opened } = mine;
    let connector = Connector { loops: shared.loops.clone() };
    let client = Client::new(connector.clone());
    tokio::spawn(client.clone().sweep());
    let from_mesh = Arc::new(doorway(number, shared, Way::Inbound, &client, &connector));
    let from_app = Arc::new(doorway(number, shared, Way::Outbound, &client, &connector));
    let from_mesh = Arc::new(Inbound { serving: from_mesh.0.clone(), opaque: from_mesh.1.clone() });
    let from_app = Arc::new(Outbound {
        serving: from_app.0.clone(),
        opaque: from_app.1.clone(),
        loops: shared.loops.clone(),
        detect_within: shared.detect_within,
    });
    let open = TaskTracker::new();
    for socket in inbound {
        let (door, open) = (from_mesh.clone(), open.clone());
        let each = move |conn| open.track_future(door.clone().connected(conn));
        accept(number, socket, &shared.from_mesh, &shared.inbound, each);
    }
    for socket in outbound {
        let (door, open) = (from_app.clone(), open.clone());
        let each = move |conn| open.track_future(door.clone().connected(conn));
        accept(number, socket, &shared.from_app, &shared.outbound, each);
    }
    let mut phase = shared.outbound.clone();
    loop {
        let next = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase == Phase::Draining) => None,
            next = opened.recv() => next,
        };
        let Some(Opened { socket, name, phase }) = next else { break };
        let (door, open) = (from_app.clone(), open.clone());
        let each = move |conn| {
            let (door, name) = (door.clone(), name.clone());
            open.track_future(async move { door.to_target(conn, &name).await })
        };
        accept(number, socket, &shared.to_targets, &phase, each);
    }
    // A sidecar whose house is gone before it was told to drain ends here, too.
    let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    open.close();
    if tokio::time::timeout(shared.drain_limit, open.wait()).await.is_err() {
        log::warn!(target: "banyan", "worker {number} ends with {} connections open", open.len());
    }
}

fn accept<S, F>(
    number: usize,
    socket: Socket,
    accepting: &Arc<Accepting>,
    phase: &watch::Receiver<Phase>,
    each: S,
) where
    S: Fn(listen::Conn) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let accepting = listen::run(socket, accepting.clone(), phase.clone(), each);
    tokio::spawn(async move {
        if let Err(error) = accepting.await {
            log::error!(target: "banyan", "worker {number} cannot listen: {error}");
        }
    });
}

/// What one door needs, for HTTP and for bytes.
fn doorway(
    number: usize,
    shared: &Shared,
    way: Way,
    client: &Arc<Client>,
    connector: &Connector,
) -> (Arc<Serving>, Opaque) {
    let phase = if way == Way::Inbound { &shared.inbound } else { &shared.outbound };
    let core = Arc::new(Core {
        way,
        framing: Framing::ByItself,
        recall: Some(shared.recall.clone()),
        plans: shared.plans.clone(),
        keys: shared.keys.clone(),
        store: shared.store.clone(),
        last_good: shared.last_good.clone(),
        certificates: None,
        phase: phase.clone(),
        telemetry: shared.telemetry.worker(number),
    });
    // What the app calls goes on as if nothing were: who waits for it has been told by the other door.
    let leaving = if way == Way::Inbound { shared.leaving.clone() } else { watch::channel(false).1 };
    let serving = Serving {
        carrier: Carrier { core: core.clone(), client: client.clone() },
        limits: shared.limits,
        phase: phase.clone(),
        leaving,
        age_max: shared.age_max,
    };
    let opaque = Opaque { core, connector: connector.clone(), counts: shared.counts.clone() };
    (Arc::new(serving), opaque)
}
