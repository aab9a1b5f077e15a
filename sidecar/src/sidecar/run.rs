//! A sidecar as a process: its log, its signals, its end.
//!
//! The end has an order. The mesh is told first. Then everything goes on, in both directions, until the app takes no
//! connections any more (or the limit is reached): an app that is ending still calls others. Only then are the doors closed.

use std::net::SocketAddr;
use std::time::Duration;

use shell::signals::{Signals, Told};
use tokio::net::TcpStream;

use super::{Sidecar, StartError};
use crate::settings::Settings;

/// How often the app is asked whether it still takes connections.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// Runs a sidecar until it is told to end. Told before it serves, or told twice, it ends at once.
pub fn run(settings: &Settings) -> Result<(), StartError> {
    shell::telemetry::process_log::install();
    let mut signals = Signals::listen()?;
    let begun = settings.clone();
    let Some(sidecar) = signals.start(move || Sidecar::start(&begun))? else { return Ok(()) };
    let sidecar = sidecar?;
    log::info!(target: "banyan", "admin pages on http://{}", sidecar.admin());
    for at in sidecar.inbound() {
        log::info!(target: "banyan", "inbound on {at}");
    }
    for at in sidecar.outbound() {
        log::info!(target: "banyan", "outbound on {at}");
    }
    for (name, at) in sidecar.listeners.places() {
        log::info!(target: "banyan", "{name} is reached on {at}");
    }
    while signals.wait(std::future::pending::<()>()) == Err(Told::Refresh) {
        sidecar.refresh();
    }
    let limit = settings.drain_limit.0;
    log::info!(target: "banyan", "leaving: as soon as the app takes no connections, or in {limit:?}");
    sidecar.announce();
    let app = app(&sidecar);
    loop {
        match signals.wait(async move { tokio::time::timeout(limit, has_ended(app)).await }) {
            Err(Told::Refresh) => sidecar.refresh(),
            Err(Told::End) => {
                log::warn!(target: "banyan", "told twice: ending at once");
                return Ok(());
            }
            Ok(_) => break,
        }
    }
    log::info!(target: "banyan", "draining");
    sidecar.stop();
    log::info!(target: "banyan", "every request has ended");
    Ok(())
}

/// Waits until connections are refused there. An app that is slow to take one is still an app.
async fn has_ended(app: Option<SocketAddr>) {
    let Some(app) = app else { return };
    while !matches!(tokio::time::timeout(ASK_WITHIN, TcpStream::connect(app)).await, Ok(Err(_))) {
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn app(sidecar: &Sidecar) -> Option<SocketAddr> {
    let planned = sidecar.house.planned.load();
    let app = planned.plan.app.as_ref()?;
    planned.upstream(app)?.endpoints().peer(0).map(|peer| peer.address)
}
