//! A connection at rest shall not outstay the proxy. Its place among those who wait for the end is taken once, and not for
//! each request.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

use super::{DRAIN_GRACE, Phase};

/// The rests of one connection.
pub(super) struct Rest {
    phase: watch::Receiver<Phase>,
    /// Ends when the proxy drains, a moment later.
    drained: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    /// Who is woken when it drains; nobody as long as nobody has asked.
    asked_by: Option<Waker>,
}

impl Rest {
    pub(super) fn new(phase: &watch::Receiver<Phase>) -> Self {
        let mut waits = phase.clone();
        let drained = async move {
            let _ = waits.wait_for(|phase| *phase == Phase::Draining).await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        Self { phase: phase.clone(), drained: Box::pin(drained), asked_by: None }
    }

    /// Ready when the proxy drains. Asked only if there is news, or if somebody else is to be woken: to ask takes a lock that
    /// all workers share.
    pub(super) fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let known = self.asked_by.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if known && matches!(self.phase.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        self.asked_by = Some(context.waker().clone());
        self.drained.as_mut().poll(context)
    }
}
