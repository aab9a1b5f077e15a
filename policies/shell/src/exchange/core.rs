//! What one worker has at hand for its requests. Each worker has its own: nothing in here is a lock another core holds.

use std::sync::Arc;

use arc_swap::ArcSwap;
use policies::headers::Recall;
use policies::headers::hop::Framing;
use policies::plan::Way;
use tokio::sync::watch;

use super::{LastGood, Planned};
use crate::keys::Keys;
use crate::listen::{Certificates, Phase};
use crate::store::Store;
use crate::telemetry;

/// One worker's tools.
pub struct Core {
    /// Which door its requests come to.
    pub way: Way,
    /// Who writes down how long a body is: we, or the engine.
    pub framing: Framing,
    /// What the app's calls are told of the request they are made for; only beside an app.
    pub recall: Option<Arc<Recall>>,
    /// The plan in force.
    pub plans: Arc<ArcSwap<Planned>>,
    /// Fetches an issuer's keys when a token needs them.
    pub keys: Arc<Keys>,
    /// Counts limits that are shared with other gateways.
    pub store: Arc<Store>,
    /// The last good answers, for routes that fall back to them.
    pub last_good: Arc<LastGood>,
    /// The certificates, to know which hosts demand one of their clients.
    pub certificates: Option<Arc<Certificates>>,
    /// Serving, or on the way out.
    pub phase: watch::Receiver<Phase>,
    /// Where this worker's requests are told.
    pub telemetry: telemetry::Worker,
}

impl Core {
    /// Does the gateway take nothing new any more?
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() == Phase::Draining
    }

    /// The plan of this moment.
    pub(super) fn planned(&self) -> Arc<Planned> {
        self.plans.load_full()
    }
}
