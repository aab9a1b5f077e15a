//! How long a connection may say nothing between its requests, and that it shall not outstay the proxy. Made once for each
//! connection: a timer that is set and taken off again, and a place among those who wait for the end of the proxy, would
//! otherwise be paid for by each request.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::{DRAIN_GRACE, Head, Phase};

/// The rests of one connection.
pub(super) struct Rest {
    phase: watch::Receiver<Phase>,
    /// Ends when the proxy drains, a moment later.
    drained: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    /// Who is woken when it drains; nobody as long as nobody has asked.
    asked_by: Option<Waker>,
    /// Goes off now and then, and is set anew if the connection has not rested long enough yet.
    sleep: Pin<Box<Sleep>>,
    until: Instant,
}

impl Rest {
    pub(super) fn new(phase: &watch::Receiver<Phase>) -> Self {
        let mut waits = phase.clone();
        let drained = async move {
            let _ = waits.wait_for(|phase| *phase == Phase::Draining).await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        let now = Instant::now();
        Self {
            phase: phase.clone(),
            drained: Box::pin(drained),
            asked_by: None,
            sleep: Box::pin(tokio::time::sleep_until(now)),
            until: now,
        }
    }

    /// A rest begins, and may last so long.
    pub(super) fn begin(&mut self, within: Duration) {
        self.until = Instant::now() + within;
    }

    /// Ready with the reason why it is over.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Head> {
        if self.poll_drained(context).is_ready() {
            return Poll::Ready(Head::Draining);
        }
        loop {
            if self.sleep.deadline() > self.until {
                // It was made for a longer rest than this.
                self.sleep.as_mut().reset(self.until);
            }
            ready!(self.sleep.as_mut().poll(context));
            if Instant::now() >= self.until {
                return Poll::Ready(Head::IdleOver);
            }
            self.sleep.as_mut().reset(self.until);
        }
    }

    /// Asked only if there is news, or if somebody else is to be woken: to ask takes a lock that all workers share.
    fn poll_drained(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let known = self.asked_by.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if known && matches!(self.phase.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        self.asked_by = Some(context.waker().clone());
        self.drained.as_mut().poll(context)
    }
}
