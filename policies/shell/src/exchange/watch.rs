//! How long a request may run. The exchange sets it, whoever polls the engine's future enforces it: no engine has a
//! deadline for a request as a whole.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use policies::reply::Reply;
use policies::time::Tick;
use tokio::time::Sleep;

tokio::task_local! {
    static CURRENT: Arc<Watch>;
}

/// The moment at which a request is broken off; none as long as nothing is set.
#[derive(Debug, Default)]
pub struct Watch {
    at: AtomicU64,
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
        match self.at.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Tick::from_nanos(nanos)),
        }
    }

    /// Runs an engine's future until it is done or the watch that was set meanwhile goes off.
    pub async fn guard<F: Future>(self: Arc<Self>, future: F) -> Result<F::Output, Over> {
        let watch = self.clone();
        CURRENT.scope(self, watch.hold(future)).await
    }

    /// The same for an engine that hands the watch on by itself. A large future is better boxed first: it would be moved.
    pub async fn hold<F: Future>(self: Arc<Self>, future: F) -> Result<F::Output, Over> {
        let mut future = std::pin::pin!(future);
        // Made when it is first needed, and anew only when the moment changes: most requests need one timer.
        let mut sleep: Option<Pin<Box<Sleep>>> = None;
        let mut set_for = None;
        std::future::poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            // The future has just run, and may have set its own watch.
            let at = self.at();
            if at != set_for {
                set_for = at;
                sleep = at.map(|at| Box::pin(tokio::time::sleep_until(crate::clock::instant(at).into())));
            }
            match sleep.as_mut().map(|sleep| sleep.as_mut().poll(context)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(Over)),
                _ => Poll::Pending,
            }
        })
        .await
    }
}
