//! Watches a body go by and says whether what arrived is what was announced. Fed with lengths, never with bytes.

use super::answer::AnswerBody;
use super::framing::Body;
use crate::verdict::{Denial, Fault};

/// Counts one body. Once it has found fault it keeps finding it.
#[derive(Clone, Copy, Debug)]
pub struct BodyMeter {
    bytes_max: u64,
    expected: Expected,
    misfit: Option<Misfit>,
    seen: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expected {
    Anything,
    Exactly(u64),
}

/// How the bytes stopped coming.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// A reset, a time-out, a connection closed before the last chunk.
    Abruptly,
    /// As the protocol says: the last chunk, END_STREAM, or the close that ends an [`AnswerBody::UntilClose`].
    Properly,
}

/// How a body differs from what was announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Misfit {
    /// Longer than the limit.
    TooLarge,
    /// Longer than announced.
    TooLong,
    /// It ended before its end. What was sent must not look complete: reset the stream, or close before the last
    /// chunk.
    Truncated,
}

impl BodyMeter {
    /// For a request's body of at most `bytes_max`. A body announced as larger is refused before it is read.
    pub fn request(body: Body, bytes_max: u64) -> Result<Self, Denial> {
        let expected = match body {
            Body::Chunked | Body::Stream => Expected::Anything,
            Body::Length(bytes) if bytes > bytes_max => return Err(Denial::BodyTooLarge),
            Body::Length(bytes) => Expected::Exactly(bytes),
            Body::None => Expected::Exactly(0),
        };
        Ok(Self { bytes_max, expected, misfit: None, seen: 0 })
    }

    /// For an answer's body. Answers stream through and have no limit.
    pub fn answer(body: AnswerBody) -> Self {
        let expected = match body {
            AnswerBody::Chunked | AnswerBody::Stream | AnswerBody::Tunnel | AnswerBody::UntilClose => {
                Expected::Anything
            }
            AnswerBody::Length(bytes) => Expected::Exactly(bytes),
            AnswerBody::None => Expected::Exactly(0),
        };
        Self { bytes_max: u64::MAX, expected, misfit: None, seen: 0 }
    }

    /// Some bytes arrived. On `Err` they must not be passed on.
    pub fn chunk(&mut self, bytes: usize) -> Result<(), Misfit> {
        self.seen = self.seen.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        match self.expected {
            Expected::Exactly(announced) if self.seen > announced => self.found(Misfit::TooLong),
            _ if self.seen > self.bytes_max => self.found(Misfit::TooLarge),
            _ => self.misfit.map_or(Ok(()), Err),
        }
    }

    /// No more bytes will come. `Ok` means the body is complete and its connection may be used again.
    pub fn end(&mut self, ended: Ended) -> Result<(), Misfit> {
        match (self.misfit, self.expected, ended) {
            (Some(misfit), _, _) => Err(misfit),
            (None, Expected::Exactly(announced), _) if self.seen == announced => Ok(()),
            (None, Expected::Anything, Ended::Properly) => Ok(()),
            (None, _, _) => self.found(Misfit::Truncated),
        }
    }

    /// How many bytes have gone by.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    fn found(&mut self, misfit: Misfit) -> Result<(), Misfit> {
        // The first one is the cause, the rest follow from it.
        Err(*self.misfit.get_or_insert(misfit))
    }
}

impl Misfit {
    /// What a client whose request's body misfits is told.
    pub fn denial(self) -> Denial {
        match self {
            Self::TooLarge => Denial::BodyTooLarge,
            Self::TooLong | Self::Truncated => Denial::BadBody,
        }
    }

    /// What a service whose answer's body misfits is blamed for.
    pub fn fault(self) -> Fault {
        match self {
            Self::TooLarge | Self::TooLong => Fault::AnswerMalformed,
            Self::Truncated => Fault::AnswerTruncated,
        }
    }
}
