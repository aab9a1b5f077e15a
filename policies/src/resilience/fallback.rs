//! What the client gets instead when a request failed: another target's answer, a fixed answer, the last good one.
//!
//! The choice only; the shell carries it out. A fallback to another target sends the request again, so it is bound
//! by the same rule as a retry: see [`super::repeat`].

use http::{HeaderValue, Method, StatusCode, header, request, response};

use super::repeat::{Because, Call, Sent};
use super::retry::Answer;
use crate::verdict::{Denial, Fault};

/// What a fallback gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gives {
    /// A fixed answer.
    Answer,
    /// The last good answer to the same request, if it is kept. Reads only.
    LastGood,
    /// The answer of another target.
    Target,
}

/// What a fallback is for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum When {
    /// The breaker is open.
    Breaker,
    /// The bulkhead is full, or the wait ran out.
    Bulkhead,
    /// No connection could be made.
    Connect,
    /// No endpoint is well.
    NoEndpoint,
    /// Too much work.
    Overload,
    /// The connection broke, or the answer was no answer.
    Reset,
    /// The target answered this.
    Status(u16),
    /// The answer did not come in time.
    Timeout,
}

/// How the request ended, retries included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// Policy refused it on the way to the target.
    Denied(Denial),
    /// The world failed.
    Failed(Fault),
    /// The service answered.
    Status(StatusCode),
}

/// Does the route's fallback speak for this ending? `sent` is what left us in *all* attempts together.
///
/// # Errors
/// Why not: [`Because::NotAsked`] if the route has no fallback for this ending, else what speaks against it.
pub fn applies(
    gives: Gives,
    when: &[When],
    ending: Ending,
    call: &Call<'_>,
    sent: Sent,
    answer: Answer,
) -> Result<(), Because> {
    if answer == Answer::Begun {
        return Err(Because::AnswerBegun);
    }
    let asked = kind(ending).is_some_and(|kind| when.contains(&kind));
    match gives {
        _ if !asked => Err(Because::NotAsked),
        Gives::Answer => Ok(()),
        Gives::LastGood if matches!(*call.method, Method::GET | Method::HEAD) => Ok(()),
        Gives::LastGood => Err(Because::NotRead),
        Gives::Target => call.may_be_sent_again(sent),
    }
}

/// Would everybody get the same answer to this request? Then its answer may be kept as the last good one: a read that
/// carries neither token nor cookie.
pub fn is_anonymous(head: &request::Parts) -> bool {
    let names = [header::AUTHORIZATION, header::COOKIE];
    head.method == Method::GET && !names.iter().any(|name| head.headers.contains_key(name))
}

/// May this answer be shown to somebody else later? Only what is good, sets no cookie, does not vary, and is not
/// declared private.
pub fn may_be_kept(head: &response::Parts) -> bool {
    let told = head.headers.get_all(header::CACHE_CONTROL).iter();
    let private = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or("private").to_ascii_lowercase();
        text.contains("private") || text.contains("no-store")
    };
    let names = [header::SET_COOKIE, header::VARY];
    head.status == StatusCode::OK
        && !names.iter().any(|name| head.headers.contains_key(name))
        && !told.into_iter().any(private)
}

/// Refusals that are about the caller (a token, a limit) have no kind: a fallback must not be a way round them.
fn kind(ending: Ending) -> Option<When> {
    match ending {
        Ending::Denied(Denial::BreakerOpen) => Some(When::Breaker),
        Ending::Denied(Denial::BulkheadFull | Denial::BulkheadTimeout) => Some(When::Bulkhead),
        Ending::Denied(Denial::Overloaded) => Some(When::Overload),
        Ending::Denied(_) => None,
        Ending::Failed(Fault::ConnectFailed | Fault::ConnectTimeout | Fault::TlsFailed) => {
            Some(When::Connect)
        }
        Ending::Failed(Fault::NoEndpoint) => Some(When::NoEndpoint),
        Ending::Failed(Fault::DeadlineExceeded | Fault::UpstreamTimeout) => Some(When::Timeout),
        Ending::Failed(
            Fault::AnswerMalformed | Fault::AnswerTooLarge | Fault::AnswerTruncated | Fault::UpstreamReset,
        ) => Some(When::Reset),
        Ending::Failed(_) => None,
        Ending::Status(status) => Some(When::Status(status.as_u16())),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::Duration;

    use super::super::deadline::Deadline;
    use super::super::repeat::{Effect, IdempotencyKey, Replayable};
    use super::*;
    use crate::time::Tick;

    const ALL: &[When] = &[
        When::Breaker,
        When::Bulkhead,
        When::Connect,
        When::NoEndpoint,
        When::Overload,
        When::Reset,
        When::Status(503),
        When::Timeout,
    ];

    fn check(gives: Gives, method: &Method, sent: Sent, ending: Ending) -> Result<(), Because> {
        let call = Call {
            method,
            idempotency_key: IdempotencyKey::Absent,
            effect: Effect::AsMethod,
            body: Replayable::Yes,
            incoming_attempt: 1,
            deadline: Deadline::new(Tick::ZERO, Duration::from_secs(1)),
        };
        applies(gives, ALL, ending, &call, sent, Answer::NotBegun)
    }

    #[test]
    fn a_failing_target_has_a_fallback() {
        for ending in [
            Ending::Denied(Denial::BreakerOpen),
            Ending::Denied(Denial::BulkheadFull),
            Ending::Denied(Denial::Overloaded),
            Ending::Failed(Fault::ConnectFailed),
            Ending::Failed(Fault::UpstreamTimeout),
            Ending::Failed(Fault::UpstreamReset),
            Ending::Status(StatusCode::SERVICE_UNAVAILABLE),
        ] {
            assert_eq!(check(Gives::Answer, &Method::POST, Sent::Something, ending), Ok(()), "{ending:?}");
        }
    }

    #[test]
    fn a_refused_caller_has_none() {
        for denial in [Denial::TokenExpired, Denial::RateLimited, Denial::ScopeMissing, Denial::AddressDenied]
        {
            let verdict = check(Gives::Answer, &Method::GET, Sent::Nothing, Ending::Denied(denial));
            assert_eq!(verdict, Err(Because::NotAsked), "{denial}");
        }
        let fine = Ending::Status(StatusCode::OK);
        assert_eq!(check(Gives::Answer, &Method::GET, Sent::Something, fine), Err(Because::NotAsked));
    }

    #[test]
    fn a_payment_that_may_have_been_made_goes_to_no_other_target() {
        let timeout = Ending::Failed(Fault::UpstreamTimeout);
        assert_eq!(
            check(Gives::Target, &Method::POST, Sent::Something, timeout),
            Err(Because::NotIdempotent)
        );
        assert_eq!(
            check(Gives::Target, &Method::POST, Sent::Nothing, Ending::Failed(Fault::ConnectFailed)),
            Ok(())
        );
        assert_eq!(check(Gives::Target, &Method::GET, Sent::Something, timeout), Ok(()));
    }

    #[test]
    fn nobody_is_shown_what_was_somebody_elses() {
        let kept = |lines: &[(&str, &str)]| {
            let answer = lines
                .iter()
                .fold(http::Response::builder(), |answer, (name, value)| answer.header(*name, *value));
            may_be_kept(&answer.body(()).unwrap().into_parts().0)
        };
        assert!(kept(&[("cache-control", "max-age=5"), ("content-type", "text/html")]));
        for line in [("set-cookie", "a=b"), ("vary", "accept"), ("cache-control", "max-age=5, Private")] {
            assert!(!kept(&[line]), "{line:?}");
        }
        let asked = |name: &str| {
            let request = http::Request::builder().header(name, "x").body(()).unwrap();
            is_anonymous(&request.into_parts().0)
        };
        assert!(asked("accept") && !asked("cookie") && !asked("authorization"));
    }

    #[test]
    fn the_last_good_answer_is_for_reads() {
        let down = Ending::Failed(Fault::NoEndpoint);
        assert_eq!(check(Gives::LastGood, &Method::GET, Sent::Nothing, down), Ok(()));
        assert_eq!(check(Gives::LastGood, &Method::POST, Sent::Nothing, down), Err(Because::NotRead));
    }
}
