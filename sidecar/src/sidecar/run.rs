//! A sidecar as a process: its log, its signals, its end.
//!
//! The end has an order. The mesh is told first. Then everything goes on, in both directions, until the app takes no
//! connections any more (or the limit is reached): an app that is ending still calls others. Only then are the doors closed.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Sidecar, StartError};
use crate::settings::Settings;

/// How often the app is asked whether it still takes connections.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Runs a sidecar until it is told to end. A signal before it serves ends it at once.
pub fn run(settings: &Settings) -> Result<(), StartError> {
    shell::telemetry::process_log::install();
    let sidecar = Sidecar::start(settings)?;
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
    let signals = Builder::new_current_thread().enable_all().build()?;
    let told_twice = signals.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = hang_up.recv() => {
                    sidecar.house.telemetry.reopen();
                    sidecar.house.plans.refresh();
                }
            }
        }
        log::info!(target: "banyan", "leaving: as soon as the app takes no connections, or in {:?}", settings.drain_limit.0);
        sidecar.announce();
        Ok::<_, std::io::Error>(app_has_ended(&sidecar, settings.drain_limit.0, term, int).await)
    })?;
    if told_twice {
        log::warn!(target: "banyan", "told twice: ending at once");
        return Ok(());
    }
    log::info!(target: "banyan", "draining");
    sidecar.stop();
    log::info!(target: "banyan", "every request has ended");
    Ok(())
}

/// Waits for the app to end. `true`: somebody could not wait, and said so again.
async fn app_has_ended(sidecar: &Sidecar, limit: Duration, mut term: Signal, mut int: Signal) -> bool {
    let begun = Instant::now();
    let Some(app) = app(sidecar) else { return false };
    while begun.elapsed() < limit {
        let asked = tokio::task::spawn_blocking(move || TcpStream::connect_timeout(&app, ASK_EVERY).is_ok());
        if !asked.await.unwrap_or(false) {
            return false;
        }
        tokio::select! {
            _ = term.recv() => return true,
            _ = int.recv() => return true,
            () = tokio::time::sleep(ASK_EVERY) => {}
        }
    }
    false
}

fn app(sidecar: &Sidecar) -> Option<SocketAddr> {
    let planned = sidecar.house.planned.load();
    let app = planned.plan.app.as_ref()?;
    planned.upstream(app)?.endpoints().address(0)
}
