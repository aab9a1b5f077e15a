//! Keeps the counters: connects, reconciles, lets them be asked, reconciles again; begins anew when Redis fails.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use fred::error::{Error, ErrorKind};
use fred::types::config::Config;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Reach;
use super::link::{End, Link, why};
use super::turn::{Done, Failed, reconcile};
use crate::ledger::Ledger;

/// A Redis that failed is left alone for so long.
const PAUSE: Duration = Duration::from_millis(500);
/// How soon to ask for the lock again while another replica has it and the own counters wait to be believed.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often the counters may be told to be reconciled.
const EVERY_MS: RangeInclusive<u64> = 10..=3_600_000;
/// A turn takes milliseconds. One that takes this long has lost the lock.
const LOCK_FOR: Duration = Duration::from_secs(10);

/// Keeps the counters.
pub(super) struct Keeper {
    config: Config,
    ledger: Ledger,
    reach: Arc<watch::Sender<Reach>>,
    every: Duration,
}

impl Keeper {
    pub(super) fn new(
        config: Config,
        ledger: Ledger,
        reach: Arc<watch::Sender<Reach>>,
        every_ms: u64,
    ) -> Self {
        Self {
            config,
            ledger,
            reach,
            every: Duration::from_millis(every_ms.clamp(*EVERY_MS.start(), *EVERY_MS.end())),
        }
    }

    /// For ever.
    pub(super) async fn keep(self) {
        let mut told = false;
        loop {
            let failed = match Link::connect(&self.config, self.every).await {
                Ok((link, end)) => self.serve(Arc::new(link), end, &mut told).await,
                Err(error) => error.into(),
            };
            self.reach.send_replace(Reach::Away(failed.to_string()));
            if !told {
                tracing::warn!(%failed, "the database answers alone");
                told = true;
            }
            sleep(PAUSE).await;
        }
    }

    /// Until this connection fails.
    async fn serve(&self, link: Arc<Link>, mut end: End, told: &mut bool) -> Failed {
        // Counters that were there before may be hours old.
        let done = loop {
            match reconcile(&link, &self.ledger, LOCK_FOR).await {
                Ok(Some(done)) => break done,
                Ok(None) | Err(Failed::Overtaken) => sleep(ASK_AGAIN).await,
                Err(failed) => return failed,
            }
        };
        let Done { products, repaired } = done;
        tracing::info!(products, repaired, "the counters are reconciled, and asked first");
        *told = false;
        self.reach.send_replace(Reach::Ready(link.clone()));
        let mut reach = self.reach.subscribe();
        loop {
            tokio::select! {
                over = &mut end => return why(over).into(),
                why = away(&mut reach) => return Error::new(ErrorKind::Timeout, why).into(),
                () = sleep(self.every) => {}
            }
            match reconcile(&link, &self.ledger, LOCK_FOR).await {
                Ok(Some(Done { repaired: 0, .. }) | None) => {}
                Ok(Some(Done { repaired, .. })) => tracing::debug!(repaired, "counters were wrong"),
                Err(Failed::Redis(error)) => return error.into(),
                // The next turn does it; counters that are not written for long go away by themselves.
                Err(failed) => tracing::warn!(%failed, "the counters are not reconciled"),
            }
        }
    }
}

/// Until a question got no answer; whoever asked it has said why.
async fn away(reach: &mut watch::Receiver<Reach>) -> String {
    loop {
        if let Reach::Away(why) = &*reach.borrow_and_update() {
            return why.clone();
        }
        if reach.changed().await.is_err() {
            return "nobody asks any more".to_owned();
        }
    }
}
