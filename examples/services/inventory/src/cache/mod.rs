//! Counters of what is available, in Redis, in front of the books: a crowd that wants the last piece of a promotion is
//! turned away by one script that takes all of an order or nothing, and the database never sees it.
//!
//! A counter is a guess and never a promise. Too high, it lets somebody through to the database, whose condition has the
//! last word: nothing is oversold. Too low, it turns somebody away who could have bought: so every few seconds the
//! counters are set to what the database says (`turn.rs`), by one replica at a time (`lock.rs`). Redis may die, sleep,
//! or lose its memory at any moment: then the database answers alone, and counters are believed again only after they
//! have been reconciled (`keeper.rs`).

use std::sync::Arc;

use chassis::{Chassis, StartError};
use tokio::sync::watch;

use crate::items::Items;
use crate::ledger::Ledger;
use crate::refusal::Short;

mod keeper;
mod link;
mod lock;
mod turn;

#[cfg(test)]
mod tests;

use keeper::Keeper;
use link::Link;

/// The counters, if there are any.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    reach: Option<Arc<watch::Sender<Reach>>>,
}

/// Can the counters be asked?
enum Reach {
    /// No, and why.
    Away(String),
    /// Yes: connected, and reconciled since.
    Ready(Arc<Link>),
}

/// What the counters say.
#[derive(Debug)]
pub(crate) enum Taken {
    /// All that is wanted is taken: give it back if the database will not have it.
    All,
    /// Nothing is taken: there is too little of these.
    Short(Vec<Short>),
    /// Nothing is taken: ask the database.
    Unknown,
}

impl Cache {
    /// The counters at `REDIS_URL`, reconciled every `RECONCILE_MS` (2000 unless told). Without it there are none.
    pub(crate) fn start(chassis: &Chassis, ledger: &Ledger) -> Result<Self, StartError> {
        let Some(url) = chassis.settings.text("REDIS_URL") else { return Ok(Self::default()) };
        let config = link::config(url)
            .map_err(|error| StartError::Other(format!("REDIS_URL: {}", error.details())))?;
        let every = chassis.settings.parsed("RECONCILE_MS", 2000)?;
        let reach = Arc::new(watch::Sender::new(Reach::Away("not reached yet".to_owned())));
        let keeper = Keeper::new(config, ledger.clone(), reach.clone(), every);
        let stop = chassis.stop.clone();
        chassis.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keeper.keep() => {}
            }
        });
        Ok(Self { reach: Some(reach) })
    }

    /// Takes all of these or nothing.
    pub(crate) async fn take(&self, items: &Items) -> Taken {
        let Some(link) = self.link() else { return Taken::Unknown };
        link.take(items).await.unwrap_or_else(|error| {
            // Perhaps it was taken. The next reconciliation knows.
            self.failed(&link, &error);
            Taken::Unknown
        })
    }

    /// Gives these back: a reservation did not come about, or has ended.
    pub(crate) async fn give(&self, items: &Items) {
        let Some(link) = self.link() else { return };
        if items.iter().len() == 0 {
            return;
        }
        if let Err(error) = link.give(items).await {
            self.failed(&link, &error);
        }
    }

    /// The shelf was counted anew: until the next reconciliation the database answers for this product.
    pub(crate) async fn forget(&self, product: &str) {
        let Some(link) = self.link() else { return };
        if let Err(error) = link.forget(product).await {
            self.failed(&link, &error);
        }
    }

    /// Is there a cache at all, and is it well?
    pub(crate) fn health(&self) -> Option<Result<(), String>> {
        self.reach.as_ref().map(|reach| match &*reach.borrow() {
            Reach::Away(why) => Err(format!("the database answers alone: {why}")),
            Reach::Ready(_) => Ok(()),
        })
    }

    fn link(&self) -> Option<Arc<Link>> {
        match &*self.reach.as_ref()?.borrow() {
            Reach::Away(_) => None,
            Reach::Ready(link) => Some(link.clone()),
        }
    }

    /// One question without an answer, and nobody asks any more; the keeper sees it and begins anew.
    fn failed(&self, link: &Arc<Link>, error: &fred::error::Error) {
        let Some(reach) = &self.reach else { return };
        reach.send_if_modified(|reach| {
            let is_this = matches!(reach, Reach::Ready(own) if Arc::ptr_eq(own, link));
            if is_this {
                *reach = Reach::Away(error.to_string());
            }
            is_this
        });
    }
}
