//! What follows an attempt that did not go well: another one, the route's fallback, or the end.
//!
//! The one place where retry, fallback and the connection pool's bad luck are weighed together, so that both proxies do
//! the same. Read [`after`].

use std::time::Duration;

use http::StatusCode;

use crate::plan::{Mode, Route};
use crate::resilience::fallback::{self, Ending};
use crate::resilience::repeat::{Because, Call, Sent};
use crate::resilience::retry::{self, Again, Answer, Below, Failure};
use crate::time::Tick;
use crate::verdict::Fault;
use crate::why::Witness;

/// So many pooled connections in a row may turn out to have been closed before one is blamed on the service.
const STALE_MAX: u32 = 2;
/// Longer answers are not kept: as much as is kept of a request.
const KEPT_MAX: u64 = 64 << 10;

/// What happened so far.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The route.
    pub route: &'a Route,
    /// The request, as far as sending it again is concerned.
    pub call: Call<'a>,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// How much of it had left us in this attempt.
    pub sent: Sent,
    /// How it ended.
    pub ending: Ending,
    /// The `grpc-status` of the answer, if it had one in its head.
    pub grpc_status: Option<u8>,
    /// `Retry-After` of the answer.
    pub retry_after: Option<Duration>,
    /// Has an answer begun?
    pub answer: Answer,
    /// Has somebody further down tried again already?
    pub below: Below,
    /// Was it a pooled connection that broke before it gave one byte?
    pub stale: Stale,
    /// Is the fallback already the one that was asked?
    pub fallen_back: FallenBack,
}

/// Was the connection an old one that had died in the pool? Then the service may never have seen the request, and its
/// keep-alive timer is nobody's failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stale {
    /// It was fresh, or it gave something.
    No,
    /// It was; so many did before for this request.
    Yes(u32),
}

/// Is the fallback's target the one that was asked?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FallenBack {
    /// Not yet.
    No,
    /// Yes: there is no fallback of a fallback.
    Yes,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Try again after this pause; it has been paid for.
    Again(Duration),
    /// Give what the route's fallback gives.
    FallBack,
    /// Give the client what there is; and tell a caller that retries whether that has been dealt with.
    GiveUp(Below),
}

/// Decides. Takes a retry out of the budget if that is the answer.
pub fn after(story: &Story<'_>, now: Tick, roll: u64, why: &mut impl Witness) -> Next {
    if is_replaced(story) {
        why.note("retry", || "a pooled connection had been closed; another one is taken".to_owned());
        return Next::Again(Duration::ZERO);
    }
    let tried = match again(story, now, roll) {
        Ok(pause) => {
            why.note("retry", || format!("again in {} ms", pause.as_millis()));
            return Next::Again(pause);
        }
        Err(because) => {
            why.note("retry", || because.to_string());
            Below::after(because)
        }
    };
    match fall_back(story) {
        Ok(()) if story.route.mode == Mode::Observe => {
            why.note("fallback", || "would answer instead, but only observes".to_owned());
            Next::GiveUp(tried)
        }
        Ok(()) => Next::FallBack,
        Err(because) => {
            why.note("fallback", || because.to_string());
            Next::GiveUp(tried)
        }
    }
}

/// Is an answer of this length kept until all of it is here, so that another attempt can take its place if it breaks off?
/// A longer one passes as it comes, and what breaks off then is broken off.
pub fn keeps_whole(route: &Route, call: &Call<'_>, attempt: u32, length: u64) -> bool {
    let Some(retry) = route.retry.as_ref() else { return false };
    let acts = retry.mode.and(Some(route.mode)) == Mode::Enforce;
    acts && length <= KEPT_MAX && retry::replaces_broken(&retry.settings, call, attempt)
}

fn is_replaced(story: &Story<'_>) -> bool {
    let Stale::Yes(before) = story.stale else { return false };
    let broken = matches!(story.ending, Ending::Failed(Fault::UpstreamReset));
    broken
        && before < STALE_MAX
        && story.answer == Answer::NotBegun
        && story.call.may_be_sent_again(story.sent).is_ok()
}

fn again(story: &Story<'_>, now: Tick, roll: u64) -> Result<Duration, Because> {
    let retry = story.route.retry.as_ref().filter(|_| story.fallen_back == FallenBack::No);
    let (Some(retry), Some(failure)) = (retry, failure(story)) else { return Err(Because::NotAsked) };
    let told = retry::Story {
        call: story.call,
        attempt: story.attempt,
        sent: story.sent,
        failure,
        retry_after: story.retry_after,
        answer: story.answer,
        below: story.below,
    };
    let acts = retry.mode.and(Some(story.route.mode)) == Mode::Enforce;
    match retry::again(&retry.settings, &told, &retry.budget, now, roll) {
        Again::After(pause) if acts => Ok(pause),
        Again::Stop(because) if acts => Err(because),
        Again::After(_) | Again::Stop(_) => Err(Because::NotAsked),
    }
}

fn failure(story: &Story<'_>) -> Option<Failure> {
    match story.ending {
        // What policy refused on the way to the target it would refuse again a moment later.
        Ending::Denied(_) => None,
        Ending::Failed(fault) => match fault {
            Fault::ConnectFailed | Fault::ConnectTimeout | Fault::TlsFailed => Some(Failure::Connect),
            Fault::UpstreamTimeout => Some(Failure::Timeout),
            Fault::AnswerMalformed | Fault::AnswerTruncated | Fault::UpstreamReset => Some(Failure::Reset),
            Fault::AnswerTooLarge
            | Fault::ClientGone
            | Fault::ClientTooSlow
            | Fault::DeadlineExceeded
            | Fault::Internal
            | Fault::KeysUnavailable
            | Fault::LimitStoreDown
            | Fault::NoEndpoint => None,
        },
        Ending::Status(status) => match story.grpc_status {
            Some(code) if status == StatusCode::OK => Some(Failure::Grpc(code)),
            _ => Some(Failure::Status(status)),
        },
    }
}

fn fall_back(story: &Story<'_>) -> Result<(), Because> {
    let Some(fallback) = story.route.fallback.as_ref().filter(|_| story.fallen_back == FallenBack::No) else {
        return Err(Because::NotAsked);
    };
    let (gives, when) = (fallback.gives(), &fallback.when);
    fallback::applies(gives, when, story.ending, &story.call, story.sent, story.answer)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::sync::Arc;

    use http::Method;

    use super::*;
    use crate::document::{Document, Source};
    use crate::plan::{Materials, Plan};
    use crate::resilience::deadline::Deadline;
    use crate::resilience::repeat::{Effect, IdempotencyKey, Replayable};
    use crate::state::{Living, Room};
    use crate::why::Silent;

    #[test]
    fn a_route_that_observes_falls_back_to_nothing() {
        let next = |mode: &str| {
            let text = format!(
                "version: 1
targets: {{ a: {{ url: http://a }} }}
routes: [{{ name: all, to: a, mode: {mode}, fallback: {{ answer: {{ body: sorry }} }} }}]
"
            );
            let document = Document::load(&[Source::new("a.yaml", text)]).unwrap();
            let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
            let plan = Plan::compile(&document, &Materials::default(), &living, 1).unwrap();
            let call = Call {
                method: &Method::GET,
                idempotency_key: IdempotencyKey::Absent,
                effect: Effect::AsMethod,
                body: Replayable::Yes,
                incoming_attempt: 1,
                deadline: Deadline::new(Tick::ZERO, Duration::from_secs(30)),
            };
            let story = Story {
                route: &plan.edge.routes[0],
                call,
                attempt: 1,
                sent: Sent::Nothing,
                ending: Ending::Failed(Fault::ConnectFailed),
                grpc_status: None,
                retry_after: None,
                answer: Answer::NotBegun,
                below: Below::Silent,
                stale: Stale::No,
                fallen_back: FallenBack::No,
            };
            after(&story, Tick::ZERO, 1, &mut Silent)
        };
        assert_eq!(next("enforce"), Next::FallBack);
        assert_eq!(next("observe"), Next::GiveUp(Below::Silent));
    }
}
