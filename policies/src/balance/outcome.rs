//! How a call to an endpoint went, as balancer, breaker and outlier ejection see it: the one reading of statuses
//! and faults that all three share.

use http::StatusCode;

use crate::verdict::Fault;

/// How a call went.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// The endpoint answered 429: it works, and wants fewer calls. Weighs on the balancer (a fast refusal must not
    /// look like a fast endpoint), is no failure to breaker and ejection.
    Busy,
    /// It failed: a 5xx, no connection, a reset, too slow.
    Failure,
    /// Says nothing about the endpoint: the client went away, or the call was never made.
    Neutral,
    /// It answered.
    Success,
}

impl Outcome {
    /// What an answer's status says. Every 5xx is a failure except 501 and 505, which say that the request was
    /// not one for this server; a 4xx is the server working.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::Busy,
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Self::Success,
            _ if status.is_server_error() => Self::Failure,
            _ => Self::Success,
        }
    }

    /// What a fault says about the endpoint that was called.
    pub fn of_fault(fault: Fault) -> Self {
        match fault {
            Fault::AnswerMalformed
            | Fault::AnswerTooLarge
            | Fault::AnswerTruncated
            | Fault::ConnectFailed
            | Fault::ConnectTimeout
            | Fault::DeadlineExceeded
            | Fault::TlsFailed
            | Fault::UpstreamReset
            | Fault::UpstreamTimeout => Self::Failure,
            Fault::ClientGone
            | Fault::ClientTooSlow
            | Fault::Internal
            | Fault::KeysUnavailable
            | Fault::LimitStoreDown
            | Fault::NoEndpoint => Self::Neutral,
        }
    }
}
