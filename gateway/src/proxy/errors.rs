//! Pingora's errors in the words of the table of verdicts.

use std::io;

use pingora::prelude::{Error, ErrorType};
use pingora::{ErrorSource, ErrorType as Type};
use policies::resilience::repeat::{Replayable, Sent};
use policies::verdict::{Denial, Fault};

use shell::exchange::{Breakage, Broke};

/// An error we raised ourselves, to tell Pingora what the exchange has decided.
pub const OURS: ErrorType = ErrorType::new("decided");

/// Did we raise it?
pub fn is_ours(error: &Error) -> bool {
    *error.etype() == OURS
}

/// No connection could be had.
pub fn connecting(error: &Error, body: Replayable) -> Broke {
    let fault = match error.etype() {
        Type::ConnectTimedout | Type::TLSHandshakeTimedout => Fault::ConnectTimeout,
        Type::TLSHandshakeFailure | Type::InvalidCert | Type::HandshakeError => Fault::TlsFailed,
        _ => Fault::ConnectFailed,
    };
    log::debug!(target: "banyan", "cannot connect: {error}");
    Broke { fault, sent: Sent::Nothing, body, stale: false }
}

/// Something broke after there was a connection.
pub fn proxying(error: &Error, body: Replayable, reused: bool) -> Breakage {
    match error.esource() {
        ErrorSource::Downstream => downstream(error),
        ErrorSource::Upstream => Breakage::Target(upstream(error, body, reused)),
        ErrorSource::Internal | ErrorSource::Unset => {
            log::error!(target: "banyan", "{error}");
            Breakage::Target(Broke { fault: Fault::Internal, sent: Sent::Something, body, stale: false })
        }
    }
}

fn downstream(error: &Error) -> Breakage {
    match error.etype() {
        Type::ReadTimedout | Type::WriteTimedout => Breakage::Client(Fault::ClientTooSlow),
        Type::ReadError | Type::WriteError if is(error, io::ErrorKind::TimedOut) => {
            Breakage::Client(Fault::ClientTooSlow)
        }
        Type::ReadError if is(error, io::ErrorKind::InvalidData) => Breakage::Malformed(Denial::BadBody),
        Type::ReadError | Type::WriteError | Type::ConnectionClosed | Type::H2Error => {
            Breakage::Client(Fault::ClientGone)
        }
        Type::Custom("PrematureBodyEnd") => Breakage::Client(Fault::ClientGone),
        Type::Custom("InvalidChunk" | "InvalidTrailerEnd") => Breakage::Malformed(Denial::BadBody),
        Type::InvalidHTTPHeader => Breakage::Malformed(Denial::BadHeader),
        _ => Breakage::Malformed(Denial::BadBody),
    }
}

fn upstream(error: &Error, body: Replayable, reused: bool) -> Broke {
    let fault = match error.etype() {
        Type::ReadTimedout | Type::WriteTimedout => Fault::UpstreamTimeout,
        Type::InvalidHTTPHeader | Type::InvalidH2 | Type::Custom("InvalidChunk" | "InvalidTrailerEnd") => {
            Fault::AnswerMalformed
        }
        Type::Custom("PrematureBodyEnd") => Fault::AnswerTruncated,
        _ => Fault::UpstreamReset,
    };
    let sent = if was_refused(error) { Sent::Nothing } else { Sent::Something };
    Broke { fault, sent, body, stale: reused && fault == Fault::UpstreamReset }
}

/// Is this what our own guarded stream said? It gives up waiting, and knows chunks that are none.
fn is(error: &Error, kind: io::ErrorKind) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == kind)
}

/// RFC 9113 §8.7: a stream that was refused was not looked at.
fn was_refused(error: &Error) -> bool {
    error.root_cause().to_string().contains("refused stream")
}
