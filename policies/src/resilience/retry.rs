//! May this failed attempt be followed by another, and after what pause.
//!
//! Knows nothing of connections: the shell tells a [`Story`] of what happened, [`again`] answers. Every *no* has
//! words. Read [`again`]; the safety rule itself is in [`super::repeat`].

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::{
    budget::Budget,
    repeat::{Because, Call, Sent},
};
use crate::headers::contract;
use crate::time::{Tick, nanos};

/// The `retry` block of a route. A route without the block does not retry: see [`Settings::never`].
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How often it is tried in all, the first attempt included. 0 and 1: no retry.
    pub attempts: u32,
    /// After which failures.
    pub on: Conditions,
    /// The pause before the second attempt is at most this; it doubles with each further one ...
    pub backoff_base: Duration,
    /// ... up to this.
    pub backoff_max: Duration,
    /// How long one attempt may take. None: as long as the request has.
    pub per_try: Option<Duration>,
    /// The least time an attempt needs to be worth beginning.
    pub least_useful: Duration,
    /// The largest request body kept for a second attempt, in bytes. A request with a larger one is tried once.
    pub replay_body_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts: 3,
            on: Conditions::default(),
            // A connection that failed is worth trying elsewhere at once; a crowd that failed together is spread out.
            backoff_base: Duration::from_millis(25),
            backoff_max: Duration::from_millis(250),
            per_try: None,
            least_useful: Duration::from_millis(10),
            // What Pingora and Linkerd keep.
            replay_body_max: 64 * 1024,
        }
    }
}

impl Settings {
    /// One attempt and no more.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }
}

/// Which failures are tried again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conditions {
    /// No connection could be had.
    pub connect: bool,
    /// The service said it did not look at the request.
    pub refused: bool,
    /// The connection broke.
    pub reset: bool,
    /// The attempt took too long. Off by default: more work is no cure for a service that is slow.
    pub timeout: bool,
    /// It answered with one of these.
    pub statuses: Vec<StatusCode>,
    /// It answered with one of these `grpc-status` codes.
    pub grpc: Vec<u8>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            connect: true,
            refused: true,
            reset: true,
            timeout: false,
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            // UNAVAILABLE, the one code gRPC itself calls retryable.
            grpc: vec![14],
        }
    }
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// No connection (address, TCP or TLS): nothing was sent.
    Connect,
    /// An answer with this `grpc-status`.
    Grpc(u8),
    /// The peer said it did not look at the request (REFUSED_STREAM, or GOAWAY with a lower stream number).
    Refused,
    /// The connection broke.
    Reset,
    /// An answer with this status.
    Status(StatusCode),
    /// The attempt's time ran out.
    Timeout,
}

/// Has anything of an answer been passed on to the client?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Yes: it cannot be taken back.
    Begun,
    /// No.
    NotBegun,
}

/// Has a proxy of ours further down already dealt with retrying this failure?
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Below {
    /// No: the answer is the service's own, or there was none.
    #[default]
    Silent,
    /// Yes: a trusted proxy with a retry block for this call says so in its answer (`x-banyan-attempt`). It is nearer
    /// to the failure; if every hop tried again after it, budgets would multiply (1.2 to the power of the hops).
    Tried,
}

impl Below {
    /// What an answer says.
    pub fn of(answer: &HeaderMap) -> Self {
        if contract::says_tried(answer) { Self::Tried } else { Self::Silent }
    }

    /// What to tell the caller, after it was not tried again because of this.
    pub fn after(because: Because) -> Self {
        match because {
            // Nobody here was asked to try again, or it is the caller who does.
            Because::AnswerBegun | Because::CallerRetries | Because::NotAsked | Because::NotRead => {
                Self::Silent
            }
            Because::AttemptsUsedUp
            | Because::BodyGone
            | Because::BudgetEmpty
            | Because::CalleeRetried
            | Because::DeadlineTooNear
            | Because::NotIdempotent
            | Because::RetryAfterTooLong => Self::Tried,
        }
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The request.
    pub call: Call<'a>,
    /// The number of the attempt that failed, from 1.
    pub attempt: u32,
    /// How much of it had left us. Counts for resets and timeouts; the other failures say it themselves.
    pub sent: Sent,
    /// How it failed.
    pub failure: Failure,
    /// `Retry-After` of the answer.
    pub retry_after: Option<Duration>,
    /// Has an answer begun?
    pub answer: Answer,
    /// Has somebody further down tried again already?
    pub below: Below,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// Try again after this pause. The budget has paid for it.
    After(Duration),
    /// Give the client what there is.
    Stop(Because),
}

/// May it be tried again? Takes one retry out of the budget if so, and only then.
pub fn again(settings: &Settings, story: &Story<'_>, budget: &Budget, now: Tick, roll: u64) -> Again {
    match allowed(settings, story).and_then(|()| pause(settings, story, now, roll)) {
        Err(because) => Again::Stop(because),
        Ok(_) if !budget.withdraw(now) => Again::Stop(Because::BudgetEmpty),
        Ok(pause) => Again::After(pause),
    }
}

/// Would another attempt follow this one, if its answer broke off before anybody saw it?
pub fn replaces_broken(settings: &Settings, call: &Call<'_>, attempt: u32) -> bool {
    settings.on.reset
        && attempt < settings.attempts
        && call.is_first_from_caller().is_ok()
        && call.may_be_sent_again(Sent::Something).is_ok()
}

/// The budget is not asked here: a retry that is refused anyway must not cost one.
fn allowed(settings: &Settings, story: &Story<'_>) -> Result<(), Because> {
    if story.answer == Answer::Begun {
        return Err(Because::AnswerBegun);
    }
    if !settings.on.include(story.failure) {
        return Err(Because::NotAsked);
    }
    if story.attempt >= settings.attempts {
        return Err(Because::AttemptsUsedUp);
    }
    story.call.is_first_from_caller()?;
    if story.below == Below::Tried {
        return Err(Because::CalleeRetried);
    }
    story.call.may_be_sent_again(story.sent())
}

/// How long to wait, if waiting leaves time to do anything.
fn pause(settings: &Settings, story: &Story<'_>, now: Tick, roll: u64) -> Result<Duration, Because> {
    let jittered = backoff(settings, story.attempt, roll);
    // The jitter goes on top of what the service asks for: else all it turned away come back in the same moment.
    let pause = story.retry_after.map_or(jittered, |asked| asked.saturating_add(jittered));
    let left = story.call.deadline.left(now);
    match pause.saturating_add(settings.least_useful) <= left {
        true if left.is_zero() => Err(Because::DeadlineTooNear),
        true => Ok(pause),
        false if story.retry_after.is_some_and(|asked| asked > jittered) => Err(Because::RetryAfterTooLong),
        false => Err(Because::DeadlineTooNear),
    }
}

/// Full jitter: anything between nothing and a ceiling that doubles, the spread that keeps a crowd of clients least
/// in step.
fn backoff(settings: &Settings, attempt: u32, roll: u64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(31);
    let ceiling = settings.backoff_base.saturating_mul(1 << doublings).min(settings.backoff_max);
    let scaled = (u128::from(nanos(ceiling)) * u128::from(roll)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}

impl Conditions {
    fn include(&self, failure: Failure) -> bool {
        match failure {
            Failure::Connect => self.connect,
            Failure::Grpc(code) => self.grpc.contains(&code),
            Failure::Refused => self.refused,
            Failure::Reset => self.reset,
            Failure::Status(status) => self.statuses.contains(&status),
            Failure::Timeout => self.timeout,
        }
    }
}

impl Story<'_> {
    fn sent(&self) -> Sent {
        match self.failure {
            Failure::Connect | Failure::Refused => Sent::Nothing,
            Failure::Grpc(_) | Failure::Status(_) => Sent::Something,
            Failure::Reset | Failure::Timeout => self.sent,
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
