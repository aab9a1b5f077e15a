//! When an attempt fails: what kind of failure it is, and what `policies` says comes next.

use std::time::Duration;

use policies::admit::{Because, Permit};
use policies::after::{self, FallenBack, Next, Stale, Story};
use policies::balance::Outcome;
use policies::plan::{FallbackAnswer, Way};
use policies::reply::{Reply, Speaks};
use policies::resilience::fallback::Ending;
use policies::resilience::repeat::{Call, Effect, Replayable, Sent};
use policies::resilience::retry::{Answer, Below};
use policies::verdict::{Denial, Fault};
use policies::why::Silent;

use super::attempt::Stage;
use super::{Asked, Exchange, roll};

/// What comes after a failure.
#[derive(Debug)]
pub enum Then {
    /// Ask [`Exchange::next_attempt`] again.
    Again,
    /// The client gets this.
    Reply(Box<Reply>),
    /// The client gets what the target answered.
    PassOn,
    /// The client has the beginning of an answer, or is gone: break off, so that nobody takes half for the whole.
    BreakOff,
}

/// How an attempt broke, as the engine saw it.
#[derive(Clone, Copy, Debug)]
pub struct Broke {
    /// What failed.
    pub fault: Fault,
    /// How much of the request had left us.
    pub sent: Sent,
    /// Is the request's body still there to be sent again?
    pub body: Replayable,
    /// Was it a pooled connection that broke before it gave one byte?
    pub stale: bool,
}

/// What broke, and whose doing it was.
#[derive(Clone, Copy, Debug)]
pub enum Breakage {
    /// The client's: it went away, or is too slow.
    Client(Fault),
    /// The client's: what it sent makes no sense.
    Malformed(Denial),
    /// The target's, or the way to it.
    Target(Broke),
}

impl Asked {
    /// The request, as far as sending it again is concerned.
    fn call(&self, permit: &Permit, body: Replayable) -> Call<'_> {
        Call {
            method: &self.method,
            idempotency_key: self.idempotency_key,
            effect: Effect::AsMethod,
            body,
            incoming_attempt: self.carried.attempt.unwrap_or(1),
            deadline: permit.deadline(),
        }
    }
}

impl Exchange {
    /// Something broke while request and answer went by.
    pub fn broke(&mut self, breakage: Breakage) -> Then {
        self.time_passed();
        match breakage {
            Breakage::Target(broke) => self.failed(broke),
            Breakage::Malformed(denial) => self.malformed(denial),
            Breakage::Client(fault) => {
                self.judge(Outcome::Neutral, Stage::Over);
                if self.answer.begun || fault == Fault::ClientGone {
                    self.told.because(Because::Fault(fault));
                    return Then::BreakOff;
                }
                Then::Reply(self.reply(Because::Fault(fault), None).into())
            }
        }
    }

    /// What the client sent makes no sense.
    pub fn malformed(&mut self, denial: Denial) -> Then {
        self.time_passed();
        self.judge(Outcome::Neutral, Stage::Over);
        if self.answer.begun {
            self.told.because(denial.into());
            return Then::BreakOff;
        }
        self.core.telemetry.malformed(denial.slug());
        Then::Reply(self.reply(denial.into(), None).into())
    }

    /// The attempt under way broke.
    pub fn failed(&mut self, broke: Broke) -> Then {
        self.time_passed();
        let fault = self.in_time(broke.fault);
        self.judge(if broke.stale { Outcome::Neutral } else { Outcome::of_fault(fault) }, Stage::Over);
        if self.answer.begun {
            self.told.because(Because::Fault(fault));
            return Then::BreakOff;
        }
        // What an earlier attempt was told says nothing about this one.
        self.told.below = Below::Silent;
        let stale = if broke.stale { Stale::Yes(self.calls.stale) } else { Stale::No };
        let then = self.weigh(Ending::Failed(fault), broke.sent, broke.body, stale);
        if broke.stale && matches!(then, Then::Again) {
            self.calls.stale += 1;
            // Nobody was asked: the endpoint may be taken again.
            self.calls.tried.pop();
        }
        then
    }

    /// The attempt was not even begun.
    pub(super) fn refused(&mut self, ending: Ending) -> Then {
        self.weigh(ending, Sent::Nothing, Replayable::Yes, Stale::No)
    }

    /// The target answered with this status: is it passed on, or tried again?
    pub(super) fn displeased(&mut self, answer: super::answer::Seen, body: Replayable) -> Then {
        self.told.grpc_status = answer.grpc_status;
        self.told.retry_after = answer.retry_after;
        self.told.below = answer.below;
        match self.weigh(Ending::Status(answer.status), Sent::Something, body, Stale::No) {
            Then::Reply(_) if !self.calls.given => Then::PassOn,
            then => then,
        }
    }

    /// A time-out that the deadline caused is the deadline's.
    fn in_time(&self, fault: Fault) -> Fault {
        let over = self.permit.as_ref().is_some_and(|permit| permit.deadline().is_over(self.now));
        match fault {
            Fault::ConnectTimeout | Fault::UpstreamTimeout if over => Fault::DeadlineExceeded,
            fault => fault,
        }
    }

    fn weigh(&mut self, ending: Ending, sent: Sent, body: Replayable, stale: Stale) -> Then {
        self.calls.given = false;
        match self.next(ending, sent, body, stale) {
            Next::Again(pause) => {
                if stale == Stale::No {
                    self.told.retries += 1;
                }
                self.calls.pause = pause;
                Then::Again
            }
            Next::FallBack => self.fall_back(ending),
            Next::GiveUp(tried) => {
                if tried == Below::Tried {
                    self.tell_tried();
                }
                self.give_up(ending)
            }
        }
    }

    /// Whoever called is to know that this was tried, and is not to be tried again further up: by the answer itself, or, as
    /// the app carries nothing on, by the answer to the request that the call was made for.
    fn tell_tried(&mut self) {
        let attempts = self.calls.made;
        match (self.core.way, &self.core.recall, &self.asked) {
            (Way::Inbound, ..) => self.told.tried = Some(attempts),
            (Way::Outbound, Some(recall), Some(asked)) => {
                recall.tried(asked.trace.context.trace_id, attempts);
            }
            _ => {}
        }
    }

    /// How often a call was tried that the app made for this request, and that failed.
    pub(super) fn recall_tried(&self) -> Option<u32> {
        let (recall, asked) = (self.core.recall.as_ref()?, self.asked.as_ref()?);
        let well = self.told.status.is_some_and(|status| status.is_success()) && asked.speaks == Speaks::Http;
        if well || self.core.way != Way::Inbound {
            return None;
        }
        recall.find(asked.trace.context.trace_id, self.began.tick)?.tried
    }

    fn next(&self, ending: Ending, sent: Sent, body: Replayable, stale: Stale) -> Next {
        let (Some(permit), Some(asked)) = (&self.permit, &self.asked) else {
            return Next::GiveUp(Below::Silent);
        };
        let story = Story {
            route: permit.route(),
            call: asked.call(permit, body),
            attempt: self.attempt(),
            sent,
            ending,
            grpc_status: self.told.grpc_status,
            retry_after: self.told.retry_after,
            answer: if self.answer.begun { Answer::Begun } else { Answer::NotBegun },
            below: self.told.below,
            stale,
            fallen_back: if self.calls.fallen_back { FallenBack::Yes } else { FallenBack::No },
        };
        after::after(&story, self.now, roll(), &mut Silent)
    }

    /// The number of this attempt.
    fn attempt(&self) -> u32 {
        self.calls.made.saturating_sub(self.calls.stale).max(1)
    }

    /// Is an answer of this length to be kept until all of it is here? Until then it has not begun, and if it breaks off
    /// there can be another attempt.
    pub fn keeps_whole(&self, length: u64, body: Replayable) -> bool {
        let (Some(permit), Some(asked)) = (&self.permit, &self.asked) else { return false };
        let call = asked.call(permit, body);
        !self.calls.fallen_back && after::keeps_whole(permit.route(), &call, self.attempt(), length)
    }

    fn fall_back(&mut self, ending: Ending) -> Then {
        let Some(route) = self.permit.as_ref().map(|permit| permit.route().clone()) else {
            return self.give_up(ending);
        };
        match route.fallback.as_ref().map(|fallback| &fallback.give) {
            Some(FallbackAnswer::Fixed(answer)) => {
                self.told.fell_back(ending);
                self.calls.given = true;
                let reply = self.addressed(|to| Reply::fixed(answer, to));
                self.told.local(reply.status);
                Then::Reply(reply.into())
            }
            Some(FallbackAnswer::Target(_)) => {
                self.told.fell_back(ending);
                self.calls.fallen_back = true;
                self.calls.tried.clear();
                Then::Again
            }
            Some(FallbackAnswer::LastGood(age)) => match self.last_good(*age) {
                Some(reply) => {
                    self.told.fell_back(ending);
                    self.calls.given = true;
                    self.told.local(reply.status);
                    Then::Reply(reply.into())
                }
                None => self.give_up(ending),
            },
            None => self.give_up(ending),
        }
    }

    fn give_up(&mut self, ending: Ending) -> Then {
        let wait = self.told.retry_after.take();
        match ending {
            Ending::Denied(denial) => Then::Reply(self.reply(Because::Denial(denial), wait).into()),
            Ending::Failed(Fault::ClientGone) => {
                self.told.because(Because::Fault(Fault::ClientGone));
                Then::BreakOff
            }
            Ending::Failed(fault) => Then::Reply(self.reply(Because::Fault(fault), wait).into()),
            Ending::Status(_) => Then::PassOn,
        }
    }

    /// Breaks the request off at its deadline, with a moment's grace for the answer that says so.
    pub(super) fn set_watch(&self) {
        const GRACE: Duration = Duration::from_millis(50);
        if let Some(permit) = &self.permit {
            self.watch.set(permit.deadline().tick().after(GRACE));
        }
    }
}
