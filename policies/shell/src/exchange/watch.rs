//! How long a request may run. The exchange sets it, whoever polls the engine's future enforces it: no engine has a
//! deadline for a request as a whole.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};

use policies::reply::Reply;
use policies::time::Tick;

use crate::alarm::Alarm;

tokio::task_local! {
    static CURRENT: Arc<Watch>;
}

/// The moment at which a request is broken off; none as long as nothing is set.
#[derive(Debug, Default)]
pub struct Watch {
    at: AtomicU64,
    /// Until when somebody below is patient with whom it waits for.
    patient: AtomicU64,
    /// It is not earlier than this.
    rang: AtomicU64,
    last_words: Mutex<Option<Reply>>,
}

/// The watch went off before the future was done.
#[derive(Debug)]
pub struct Over;

impl Watch {
    /// The watch of the request whose future is being polled; one of its own outside of [`Watch::guard`].
    pub fn current() -> Arc<Self> {
        CURRENT.try_with(Arc::clone).unwrap_or_default()
    }

    /// Breaks the request off at this moment, unless it is set again.
    pub fn set(&self, at: Tick) {
        self.at.store(at.as_nanos().max(1), Ordering::Relaxed);
    }

    /// Lets the request run.
    pub fn clear(&self) {
        self.at.store(0, Ordering::Relaxed);
    }

    /// What the client may be told when the request was broken off before any answer began.
    pub fn last_words(&self) -> Option<Reply> {
        self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn leave_words(&self, reply: Reply) {
        *self.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
    }

    /// When the request is broken off.
    pub fn at(&self) -> Option<Tick> {
        moment(&self.at)
    }

    /// Ready when this moment has come, for somebody below whoever holds the request: it is woken then. Costs no look at the
    /// clock, and no timer of its own.
    pub fn poll_until(&self, until: Tick) -> Poll<()> {
        if self.rang.load(Ordering::Relaxed) >= until.as_nanos() {
            return Poll::Ready(());
        }
        self.patient.store(until.as_nanos(), Ordering::Relaxed);
        Poll::Pending
    }

    /// Runs an engine's future until it is done or the watch that was set meanwhile goes off.
    pub async fn guard<F: Future>(self: Arc<Self>, future: F) -> Result<F::Output, Over> {
        let watch = self.clone();
        CURRENT.scope(self, async { watch.hold(&mut Alarm::default(), pin!(future)).await }).await
    }

    /// The same for an engine that hands the watch on by itself, and has an alarm at hand.
    pub async fn hold<F: Future>(
        &self,
        alarm: &mut Alarm,
        mut future: Pin<&mut F>,
    ) -> Result<F::Output, Over> {
        std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(output));
                }
                // The future has just run, and may have set its own watch, or begun to wait for somebody.
                let (end, patient) = (self.at(), moment(&self.patient));
                let Some(next) = [end, patient].into_iter().flatten().min() else { return Poll::Pending };
                ready!(alarm.poll(crate::clock::instant(next).into(), context));
                if end == Some(next) {
                    return Poll::Ready(Err(Over));
                }
                self.rang.store(next.as_nanos(), Ordering::Relaxed);
                self.patient.store(0, Ordering::Relaxed);
            }
        })
        .await
    }
}

/// A moment that may be none.
fn moment(nanos: &AtomicU64) -> Option<Tick> {
    match nanos.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Tick::from_nanos(nanos)),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::tick;

    const SOON: Duration = Duration::from_millis(20);
    const MUCH_LATER: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn whoever_waits_below_is_woken_when_its_moment_has_come_and_the_end_comes_all_the_same() {
        let (watch, mut alarm) = (Watch::default(), Alarm::default());
        let below = async {
            // What was waited for longer, and is not waited for any more, wakes nobody too late.
            for wait in [MUCH_LATER, SOON * 2, SOON, Duration::ZERO, SOON] {
                let until = tick().after(wait);
                assert!(watch.poll_until(until).is_pending(), "{wait:?}");
                if wait != MUCH_LATER {
                    std::future::poll_fn(|_| watch.poll_until(until)).await;
                    assert!(tick() >= until, "{wait:?}");
                }
            }
        };
        assert!(watch.hold(&mut alarm, pin!(below)).await.is_ok());
        for patience in [MUCH_LATER, SOON] {
            let end = tick().after(SOON * 2);
            watch.set(end);
            let until = tick().after(patience);
            let below = std::future::poll_fn(|_| -> Poll<()> {
                let _ = watch.poll_until(until);
                Poll::Pending
            });
            assert!(watch.hold(&mut alarm, pin!(below)).await.is_err());
            assert!(tick() >= end, "{patience:?}");
        }
    }
}
