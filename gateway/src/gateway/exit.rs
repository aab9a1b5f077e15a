//! The way out: for a signal, the admin pages, the process after us.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use shell::listen::{Phase, Sockets};

/// The way out, for whoever may point to it: a signal, the admin pages, the next process.
pub struct Exit {
    pub(super) phases: Vec<watch::Sender<Phase>>,
    pub(super) told: watch::Sender<Phase>,
    /// Copies of the listening sockets, for the process after us.
    pub(super) sockets: Mutex<Option<Sockets>>,
}

impl Exit {
    /// Says that it will be taken: readiness is no more, and everything else goes on.
    pub fn announce(&self) {
        self.told.send_replace(Phase::Draining);
    }

    /// Takes nothing new. A second time changes nothing.
    pub fn drain(&self) {
        self.announce();
        // A socket that nobody accepts from must not stay open.
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        for phase in &self.phases {
            phase.send_replace(Phase::Draining);
        }
    }

    /// Does it take requests?
    pub fn is_open(&self) -> bool {
        *self.told.borrow() == Phase::Serving
    }

    /// Waits until somebody has pointed to it.
    pub async fn taken(&self) {
        // An error means that the gateway is gone, which is as good.
        let _ = self.told.subscribe().wait_for(|phase| *phase == Phase::Draining).await;
    }
}
