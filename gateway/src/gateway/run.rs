//! A gateway as a process: its log, its signals, its end.

use shell::listen::Speaks;
use tokio::runtime::Builder;

use super::{Gateway, StartError};
use crate::settings::Settings;

/// Runs a gateway until it is told to end.
pub fn run(settings: &Settings) -> Result<(), StartError> {
    shell::telemetry::process_log::install();
    let gateway = Gateway::start(settings)?;
    log::info!(target: "banyan", "admin pages on http://{}", gateway.admin());
    for (at, speaks) in gateway.places() {
        log::info!(target: "banyan", "listening on {at} ({})", if *speaks == Speaks::Tls { "TLS" } else { "plain" });
    }
    let signals = Builder::new_current_thread().enable_all().build()?;
    signals.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                () = gateway.exit.taken() => return Ok(()),
                _ = hang_up.recv() => {
                    gateway.house.telemetry.reopen();
                    gateway.house.plans.refresh();
                }
            }
        }
        #[allow(unreachable_code, reason = "says what the block yields")]
        Ok::<_, std::io::Error>(())
    })?;
    log::info!(target: "banyan", "draining");
    gateway.exit.announce();
    // Load balancers see that it is not ready before it takes nothing new.
    std::thread::sleep(settings.drain_notice.0);
    gateway.stop();
    log::info!(target: "banyan", "every request has ended");
    Ok(())
}
