//! Where an answer's body comes from: as the target sends it, or kept until all of it was there.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use policies::verdict::Fault;

/// An answer's body.
pub enum Source {
    /// All of it is here.
    Kept(VecDeque<Bytes>),
    /// The target is still sending it.
    Passing(Incoming),
}

impl Source {
    /// Waits for all of it; each part may take so long.
    pub async fn keep(mut source: Incoming, silence: Duration) -> Result<Self, Fault> {
        let mut parts = VecDeque::new();
        loop {
            match tokio::time::timeout(silence, source.frame()).await {
                Ok(Some(Ok(frame))) => parts.extend(frame.into_data()),
                Ok(Some(Err(error))) => return Err(fault(&error)),
                Ok(None) => return Ok(Self::Kept(parts)),
                Err(_) => return Err(Fault::UpstreamTimeout),
            }
        }
    }
}

/// What it means that a body broke off.
pub fn fault(error: &hyper::Error) -> Fault {
    log::debug!(target: "banyan", "an answer broke off: {error}");
    if error.is_incomplete_message() { Fault::AnswerTruncated } else { Fault::UpstreamReset }
}

impl Body for Source {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Kept(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            Self::Passing(source) => Pin::new(source).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Kept(parts) => parts.is_empty(),
            Self::Passing(source) => source.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Kept(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Self::Passing(source) => source.size_hint(),
        }
    }
}
