//! Connections to targets: made when they are needed, kept for the next request, closed when they are old.
//!
//! [`Client::to`] gives a connection to one endpoint, [`Client::send`] puts one request on it. Each worker has a client of its own.

mod connect;
mod loops;
mod pool;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use policies::resilience::repeat::{Replayable, Sent};
use policies::verdict::Fault;
use shell::exchange::Broke;

pub use connect::{Connector, Place, Stream};
pub use loops::Loops;
pub use pool::{Client, Kept};

use crate::body::{Outgoing, Source};

/// A connection that takes one request.
pub struct Ready {
    pub(crate) kept: Kept,
    /// Has it carried requests before?
    pub reused: bool,
}

impl Ready {
    /// Sends a request; the answer's head, and the connection to be given back when its body has passed.
    pub async fn send(mut self, request: Request<Outgoing>) -> Result<(Response<Incoming>, Kept), Broke> {
        match self.kept.send(request).await {
            Ok(answer) => Ok((answer, self.kept)),
            Err((error, sent)) => Err(broke(&error, sent, self.reused)),
        }
    }
}

/// What went wrong, in the words of the table of verdicts.
fn broke(error: &hyper::Error, sent: Sent, reused: bool) -> Broke {
    log::debug!(target: "banyan", "an attempt broke: {error:?}");
    let refused = h2_reason(error).is_some_and(|reason| reason == h2::Reason::REFUSED_STREAM);
    let fault = if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() {
        Fault::AnswerMalformed
    } else if error.is_timeout() {
        Fault::UpstreamTimeout
    } else {
        Fault::UpstreamReset
    };
    // RFC 9113 §8.7: a stream that was refused was not looked at.
    let sent = if refused { Sent::Nothing } else { sent };
    Broke { fault, sent, body: Replayable::Yes, stale: reused && fault == Fault::UpstreamReset }
}

fn h2_reason(error: &hyper::Error) -> Option<h2::Reason> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.reason();
        }
        cause = error.source();
    }
    None
}

/// No connection could be had.
pub fn unreachable(fault: Fault) -> Broke {
    Broke { fault, sent: Sent::Nothing, body: Replayable::Yes, stale: false }
}

/// Reads the rest of an answer nobody wants, if there is little of it, so that its connection can be used again.
pub async fn discard(mut answer: Source, kept: Kept) {
    use http_body_util::BodyExt;
    const BYTES_MAX: usize = 16 * 1024;
    const WITHIN: Duration = Duration::from_millis(50);
    let read = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = answer.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > BYTES_MAX {
                return false;
            }
        }
        true
    };
    if tokio::time::timeout(WITHIN, read).await.unwrap_or(false) {
        kept.give_back();
    }
}
