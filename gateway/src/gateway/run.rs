//! A gateway as a process: its log, its signals, its end.

use shell::listen::Speaks;
use shell::signals::{Signals, Told};

use super::{Gateway, StartError};
use crate::settings::Settings;

/// Runs a gateway until it is told to end. Told before it serves, it ends at once.
pub fn run(settings: &Settings) -> Result<(), StartError> {
    shell::telemetry::process_log::install();
    let mut signals = Signals::listen()?;
    let begun = settings.clone();
    let Some(gateway) = signals.start(move || Gateway::start(&begun))? else { return Ok(()) };
    let gateway = gateway?;
    log::info!(target: "banyan", "admin pages on http://{}", gateway.admin());
    for (at, speaks) in gateway.places() {
        log::info!(target: "banyan", "listening on {at} ({})", if *speaks == Speaks::Tls { "TLS" } else { "plain" });
    }
    while signals.wait(gateway.exit.taken()) == Err(Told::Refresh) {
        gateway.house.telemetry.reopen();
        gateway.house.plans.refresh();
    }
    log::info!(target: "banyan", "draining");
    gateway.exit.announce();
    // Load balancers see that it is not ready before it takes nothing new.
    std::thread::sleep(settings.drain_notice.0);
    gateway.stop();
    log::info!(target: "banyan", "every request has ended");
    Ok(())
}
