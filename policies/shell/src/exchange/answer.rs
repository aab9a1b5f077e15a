//! What the target answers: held to the guard's rules, judged, and dressed for the client.

use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderName, StatusCode, header};
use policies::admit::{Because, COOKIE, Moved, Permit, Stick};
use policies::balance::Outcome;
use policies::guard::{AnswerBody, Asked as GuardAsked, Body, BodyMeter, Ended, Misfit, inspect_answer};
use policies::headers::cookie::Sticky;
use policies::headers::hop::{self, Next, Onward};
use policies::headers::{Fields, GRPC_STATUS, X_REQUEST_ID, contract};
use policies::overload;
use policies::plan::Holds;
use policies::reply::set_standing;
use policies::resilience::repeat::{Replayable, Sent};
use policies::resilience::retry::Below;
use policies::why::Silent;

use super::Exchange;
use super::attempt::Stage;
use super::failure::{Broke, Then};
use super::last_good::Keeping;
use crate::tunnel::Carried;

/// How long a caller nobody knows stays on its side of a migration.
const STICKY_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// A part of a body.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// So many bytes.
    pub bytes: usize,
    /// Is it the last one?
    pub last: bool,
}

/// The answer so far.
#[derive(Default)]
pub(super) struct State {
    /// Something of it was given to the engine for the client.
    pub begun: bool,
    pub meter: Option<BodyMeter>,
    /// What follows is a tunnel, and this is what goes through it.
    pub tunnel: Option<Arc<Carried>>,
    pub keeping: Option<Keeping>,
}

/// What of an answer's head decides about another attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub status: StatusCode,
    pub grpc_status: Option<u8>,
    pub retry_after: Option<Duration>,
    pub below: Below,
}

impl Seen {
    /// Of an answer that is no success.
    fn of(head: &Parts) -> Option<Self> {
        let number = |name: HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        };
        let grpc_status = number(GRPC_STATUS).and_then(|code| u8::try_from(code).ok());
        let failed = !head.status.is_success() || grpc_status.is_some_and(|code| code != 0);
        failed.then(|| Self {
            status: head.status,
            grpc_status,
            retry_after: number(header::RETRY_AFTER).map(Duration::from_secs),
            below: Below::of(&head.headers),
        })
    }
}

impl Exchange {
    /// The head of an answer is here. `Ok` means that it is passed on, with a body of this kind.
    pub fn answered(&mut self, head: &Parts, body: Replayable) -> Result<AnswerBody, Then> {
        self.time_passed();
        let Some(asked) = &self.asked else { return Ok(AnswerBody::None) };
        let about = GuardAsked { method: &asked.method, upgrade: asked.upgrade };
        let framed = match inspect_answer(head, &about, &self.planned.plan.guard, &mut Silent) {
            Ok(framed) => framed,
            Err(fault) => {
                return Err(self.failed(Broke { fault, sent: Sent::Something, body, stale: false }));
            }
        };
        if head.status.is_informational() && framed != AnswerBody::Tunnel {
            return Ok(framed);
        }
        let outcome = Outcome::of_status(head.status);
        self.told.answer(head.status);
        self.judge(outcome, Stage::Head);
        if let Some(then) = self.second_thoughts(head, body) {
            self.judge(Outcome::Neutral, Stage::Over);
            return Err(then);
        }
        self.measured(overload::Outcome::Answered);
        self.answer.meter = Some(BodyMeter::answer(framed));
        self.begins();
        if framed == AnswerBody::Tunnel {
            self.answer.tunnel = Some(Arc::default());
            self.watch.clear();
        } else if self
            .permit
            .as_ref()
            .is_some_and(|permit| permit.route().deadline_holds == Holds::ForTheBeginning)
        {
            // What nobody wrote cuts no long download: the body may go on as long as it moves.
            self.watch.clear();
        }
        self.keep_if_good(head, framed);
        Ok(framed)
    }

    /// Another attempt or a fallback instead of this answer, if the route asks for one.
    fn second_thoughts(&mut self, head: &Parts, body: Replayable) -> Option<Then> {
        let route = self.permit.as_ref()?.route();
        if route.retry.is_none() && route.fallback.is_none() {
            return None;
        }
        match self.displeased(Seen::of(head)?, body) {
            Then::PassOn => None,
            then => Some(then),
        }
    }

    /// The adaptive limit hears how the target did, once.
    pub(super) fn measured(&mut self, outcome: overload::Outcome) {
        if let Some(entry) = self.calls.entry.take() {
            entry.finish(outcome, self.now);
        }
    }

    /// Strips what was meant for us, and puts in what the caller shall know.
    pub fn dress_answer(&mut self, fields: &mut impl Fields, asked_with: &http::HeaderMap, next: Next) {
        let upgrade =
            self.asked.as_ref().and_then(|asked| asked.upgrade).filter(|_| self.answer.tunnel.is_some());
        hop::answer(fields, Onward { framing: self.core.framing, next, upgrade });
        contract::strip(fields);
        if let Some(attempts) = self.told.tried.or_else(|| self.recall_tried()) {
            contract::tell_tried(fields, attempts);
        }
        let (Some(permit), Some(asked)) = (&self.permit, &self.asked) else { return };
        let route = permit.route();
        fields.set(X_REQUEST_ID, asked.carried.request_id.value().clone());
        if let Some((limit, outcome)) = permit.standing() {
            set_standing(fields, limit, outcome);
        }
        if let (
            Some(Moved::ToNew(Stick::SetCookie(place)) | Moved::StaysOld(Stick::SetCookie(place))),
            Some(facts),
        ) = (permit.moved(), &self.facts)
        {
            let value = format!("{place:016x}");
            let secure = facts.peer.secure;
            if let Ok(value) = (Sticky { max_age: STICKY_FOR, name: COOKIE, secure, value: &value }).value() {
                fields.append(header::SET_COOKIE, value);
            }
        }
        if let Some(cors) = &route.cors {
            cors.vouch(asked_with, fields);
        }
        route.answer_headers.apply(fields);
    }

    /// A part of the request's body is about to be sent on.
    pub fn request_chunk(&mut self, part: Part) -> Result<(), Then> {
        let Some(asked) = &mut self.asked else { return Ok(()) };
        self.told.bytes_in += part.bytes as u64;
        if self.answer.tunnel.is_some() {
            return Ok(());
        }
        let counted = match (asked.meter.chunk(part.bytes), part.last) {
            (Ok(()), true) => asked.meter.end(Ended::Properly),
            (counted, _) => counted,
        };
        counted.map_err(|misfit| self.unfit(misfit))
    }

    /// The request's body is not what its head announced, or larger than the route takes.
    pub fn unfit(&mut self, misfit: Misfit) -> Then {
        self.time_passed();
        self.judge(Outcome::Neutral, Stage::Over);
        match self.answer.begun {
            true => Then::BreakOff,
            false => Then::Reply(self.reply(Because::Denial(misfit.denial()), None).into()),
        }
    }

    /// A request that nobody declared was answered with this status.
    pub fn passed(&mut self, status: StatusCode) {
        self.told.answer(status);
        self.begins();
    }

    /// The clock was read when the head came, and the first byte comes with it.
    fn begins(&mut self) {
        self.answer.begun = true;
        self.told.first_byte(self.now.since(self.began.tick));
    }

    /// For an engine that counts the request's body by itself: what to count with, anew for each attempt.
    pub fn upload_meter(&self) -> Option<BodyMeter> {
        self.asked.as_ref().map(|asked| asked.fresh_meter)
    }

    /// How the request's body ends.
    pub fn upload(&self) -> Body {
        self.asked.as_ref().map_or(Body::None, |asked| asked.body)
    }

    /// Does the connection end with this answer, for all we know?
    pub fn is_last(&self) -> bool {
        self.core.is_draining()
    }

    /// So much of the request's body may be kept for another attempt.
    pub fn replay_max(&self) -> u64 {
        let route = self.permit.as_ref().map(Permit::route);
        let retry = route.and_then(|route| route.retry.as_ref());
        retry.map_or(0, |retry| retry.settings.replay_body_max)
    }

    /// For an engine that counts the request's body by itself: so much has come.
    pub fn uploaded(&mut self, bytes: u64) {
        self.told.bytes_in = bytes;
    }

    /// For an engine that carries a tunnel by itself: where it counts what goes through, which is told however it ends.
    pub fn tunnel(&self) -> Option<Arc<Carried>> {
        self.answer.tunnel.clone()
    }

    /// The request's body begins again, for another attempt.
    pub fn rewind(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.meter = asked.fresh_meter;
        }
    }

    /// A part of the answer's body is about to be given to the client.
    pub fn answer_chunk(&mut self, part: Part, bytes: &[u8]) -> Result<(), Then> {
        self.told.bytes_out += part.bytes as u64;
        if self.answer.tunnel.is_some() {
            return Ok(());
        }
        if let Some(keeping) = &mut self.answer.keeping {
            keeping.add(bytes);
        }
        let Some(meter) = &mut self.answer.meter else { return Ok(()) };
        let counted = match (meter.chunk(part.bytes), part.last) {
            (Ok(()), true) => meter.end(Ended::Properly),
            (counted, _) => counted,
        };
        if let Err(misfit) = counted {
            self.time_passed();
            self.judge(Outcome::Failure, Stage::Over);
            self.told.because(Because::Fault(misfit.fault()));
            return Err(Then::BreakOff);
        }
        if part.last {
            self.keep_now();
        }
        Ok(())
    }
}
