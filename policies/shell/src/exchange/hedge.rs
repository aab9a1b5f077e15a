//! A second try beside a slow first one. Whether and when is asked of `policies`; here the two are kept apart until one wins.

use std::time::Duration;

use http::request::Parts;
use policies::balance::Outcome;
use policies::plan::Mode;
use policies::resilience::hedge;
use policies::resilience::repeat::{Call, Effect, Replayable};

use super::attempt::Stage;
use super::{Attempt, Broke, Exchange};

/// Which of two tries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// The one that was begun first.
    First,
    /// The one beside it.
    Second,
}

impl Exchange {
    /// After how long a second try would be made beside the one that has just begun. For requests without a body.
    pub fn hedge_after(&self) -> Option<Duration> {
        let hedge =
            self.permit.as_ref()?.route().hedge.as_ref().filter(|hedge| hedge.mode == Mode::Enforce)?;
        let usual = &self.calls.current.as_ref()?.upstream.usual;
        hedge::wait(&hedge.settings, &self.call()?, usual, self.now).ok()
    }

    /// Begins the second try, if there is budget for it and another endpoint takes it.
    pub async fn hedge(&mut self, head: &Parts) -> Option<Attempt> {
        self.time_passed();
        let hedge = self.permit.as_ref()?.route().hedge.clone()?;
        hedge::go(&hedge.settings, &self.call()?, &hedge.budget, self.now).ok()?;
        let first = self.calls.current.take();
        match self.begin_attempt(head).await {
            Ok(attempt) => {
                self.calls.beside = first;
                self.told.retries += 1;
                Some(attempt)
            }
            Err(_) => {
                self.calls.current = first;
                None
            }
        }
    }

    /// One of two has answered: the other is not waited for any more, and nobody is blamed for it.
    pub fn won(&mut self, which: Which) {
        if which == Which::First {
            std::mem::swap(&mut self.calls.current, &mut self.calls.beside);
        }
        self.leave_beside(Outcome::Neutral);
    }

    /// One of two broke: the other is the request's only try now.
    pub fn lost(&mut self, which: Which, broke: Broke) {
        if which == Which::Second {
            std::mem::swap(&mut self.calls.current, &mut self.calls.beside);
        }
        self.leave_beside(if broke.stale { Outcome::Neutral } else { Outcome::of_fault(broke.fault) });
    }

    fn leave_beside(&mut self, outcome: Outcome) {
        self.time_passed();
        let winner = self.calls.current.take();
        self.calls.current = self.calls.beside.take();
        self.judge(outcome, Stage::Over);
        self.calls.current = winner;
    }

    fn call(&self) -> Option<Call<'_>> {
        let (permit, asked) = (self.permit.as_ref()?, self.asked.as_ref()?);
        Some(Call {
            method: &asked.method,
            idempotency_key: asked.idempotency_key,
            effect: Effect::AsMethod,
            body: Replayable::Yes,
            incoming_attempt: asked.carried.attempt.unwrap_or(1),
            deadline: permit.deadline(),
        })
    }
}
