//! When a request may be sent a second time, whoever wants to (a retry, a hedge, a fallback to another target).
//!
//! The rule: only what is idempotent, or provably never sent, or carries an Idempotency-Key. A wrong yes here is an
//! order placed twice. Read [`Call::may_be_sent_again`].

use std::fmt::{Display, Formatter};

use http::{HeaderMap, Method};

use super::deadline::Deadline;

/// The request, as far as sending it again is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Does it carry an `Idempotency-Key`?
    pub idempotency_key: IdempotencyKey,
    /// What the route says about its calls.
    pub effect: Effect,
    /// Is its body still there to be sent again?
    pub body: Replayable,
    /// `x-banyan-attempt` from a trusted caller; 1 (or 0) if there is none. Above 1 the caller is itself retrying.
    pub incoming_attempt: u32,
    /// By when it must be answered.
    pub deadline: Deadline,
}

/// Does the request carry an `Idempotency-Key`?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IdempotencyKey {
    /// No.
    Absent,
    /// Yes: the service promised to carry it out once.
    Present,
}

impl IdempotencyKey {
    /// Whether this request carries one.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key("idempotency-key") { Self::Present } else { Self::Absent }
    }
}

/// What sending a request of this route twice does, as the document says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Effect {
    /// What its method says.
    #[default]
    AsMethod,
    /// The operator declares that twice is the same as once, whatever the method (searches by POST, gRPC reads).
    Idempotent,
}

/// Is the request's body still there?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replayable {
    /// It was larger than is kept, or is still arriving.
    No,
    /// There is none, or all of it is kept.
    Yes,
}

/// How much of the request had left us when it failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// Not one byte, provably: no connection, or the peer said it never looked (RFC 9113 §8.7: REFUSED_STREAM, or
    /// GOAWAY with a lower stream number).
    Nothing,
    /// Some of it, or we cannot know.
    Something,
}

/// Why it is not sent again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Because {
    /// The client already has the beginning of an answer.
    AnswerBegun,
    /// As many attempts were made as the route allows.
    AttemptsUsedUp,
    /// The body is no longer there.
    BodyGone,
    /// The retry budget is empty.
    BudgetEmpty,
    /// The proxy that gave the answer has already retried, or decided not to.
    CalleeRetried,
    /// The caller is itself retrying.
    CallerRetries,
    /// There is too little time left.
    DeadlineTooNear,
    /// The route does not try again after this failure.
    NotAsked,
    /// It may have been carried out, and twice is not the same as once.
    NotIdempotent,
    /// Only reads are hedged.
    NotRead,
    /// The service asks for a longer pause than there is time for.
    RetryAfterTooLong,
}

impl Because {
    /// A stable name, for metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::AnswerBegun => "answer-begun",
            Self::AttemptsUsedUp => "attempts-used-up",
            Self::BodyGone => "body-gone",
            Self::BudgetEmpty => "budget-empty",
            Self::CalleeRetried => "callee-retried",
            Self::CallerRetries => "caller-retries",
            Self::DeadlineTooNear => "deadline-too-near",
            Self::NotAsked => "not-asked",
            Self::NotIdempotent => "not-idempotent",
            Self::NotRead => "not-read",
            Self::RetryAfterTooLong => "retry-after-too-long",
        }
    }
}

impl Display for Because {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AnswerBegun => "the client already has the beginning of an answer",
            Self::AttemptsUsedUp => "as many attempts were made as the route allows",
            Self::BodyGone => "the request body was too large to keep",
            Self::BudgetEmpty => "the retry budget is empty",
            Self::CalleeRetried => "a proxy nearer to the failure has already tried again, or decided not to",
            Self::CallerRetries => "the caller is itself retrying, and retries of retries multiply",
            Self::DeadlineTooNear => "there is too little time left",
            Self::NotAsked => "the route does not try again after this failure",
            Self::NotIdempotent => "it may have been carried out, and doing it twice is not the same as once",
            Self::NotRead => "only reads are hedged",
            Self::RetryAfterTooLong => "the service asks for a longer pause than there is time for",
        })
    }
}

impl Call<'_> {
    /// May it be sent again, after so much of it had been sent?
    ///
    /// Only the last attempt counts: an earlier one was followed by another because this same question was answered
    /// with yes.
    ///
    /// # Errors
    /// [`Because::BodyGone`] or [`Because::NotIdempotent`].
    pub fn may_be_sent_again(&self, sent: Sent) -> Result<(), Because> {
        if self.body == Replayable::No {
            return Err(Because::BodyGone);
        }
        if sent == Sent::Nothing || self.is_idempotent() { Ok(()) } else { Err(Because::NotIdempotent) }
    }

    /// May it be sent to the same target again, as far as the caller's own retries go? Three attempts at each of
    /// four hops are 81 at the last: what is itself a second try gets no further ones on the way.
    ///
    /// # Errors
    /// [`Because::CallerRetries`].
    pub fn is_first_from_caller(&self) -> Result<(), Because> {
        if self.incoming_attempt > 1 { Err(Because::CallerRetries) } else { Ok(()) }
    }

    /// RFC 9110 §9.2.2: "Of the request methods defined by this specification, PUT, DELETE, and safe request
    /// methods are idempotent."
    fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
            || self.idempotency_key == IdempotencyKey::Present
            || self.effect == Effect::Idempotent
    }
}

/// Is a request's body there to be sent again? `kept` is how many bytes of it are kept, none if not all of it is.
pub fn replayable(kept: Option<u64>, most: u64) -> Replayable {
    if kept.is_some_and(|bytes| bytes <= most) { Replayable::Yes } else { Replayable::No }
}
