//! One attempt: the request goes to one endpoint, or to a second one beside it when the first is slow.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response, Uri, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use policies::headers::hop::Next;
use policies::resilience::repeat::Sent;
use policies::verdict::{Denial, Fault};
use shell::exchange::{Attempt, Broke, Then, Which};
use tokio::time::Instant;

use super::{Carrier, Way};
use crate::body::{Outgoing, Source, Upload};
use crate::client::{Client, Kept, Place, unreachable};

/// The head of an answer, and the connection its body is still on.
pub(super) type Answered = (Response<Incoming>, Kept);

impl Carrier {
    /// Makes one attempt: an answer, or what comes next.
    pub(super) async fn attempt(
        &self,
        way: &mut Way,
        attempt: &Attempt,
    ) -> Result<(Parts, Source, Kept), Then> {
        let request = way.outgoing(attempt)?;
        let place = Place::of(&attempt.endpoints, attempt.index, attempt.patience.connect);
        let Some(place) = place else { return Err(way.broke(unreachable(Fault::NoEndpoint))) };
        // What is sent twice at once is sent from the beginning twice: a body comes only once.
        let hedge = if way.upload.is_none() { way.exchange.hedge_after() } else { None };
        let sending = send(self.client.clone(), place, request);
        tokio::pin!(sending);
        let answered = match hedge {
            None => way.wait(sending, attempt).await,
            // Seldom, and large.
            Some(after) => Box::pin(self.hedged(way, sending, attempt, after)).await,
        };
        let (answer, kept) = answered.map_err(|broke| way.broke(broke))?;
        let (head, source) = answer.into_parts();
        Ok((head, way.source(source, attempt.patience.silence).await?, kept))
    }

    /// Waits for a while, and then for the first of two.
    async fn hedged(
        &self,
        way: &mut Way,
        mut first: Pin<&mut impl Future<Output = Result<Answered, Broke>>>,
        attempt: &Attempt,
        after: Duration,
    ) -> Result<Answered, Broke> {
        let until = Instant::now() + attempt.patience.answer;
        if let Ok(answered) = tokio::time::timeout(after, first.as_mut()).await {
            return answered;
        }
        let Some(beside) = way.exchange.hedge(&way.parts).await else {
            return way.wait(first, attempt).await;
        };
        let place = Place::of(&beside.endpoints, beside.index, beside.patience.connect);
        let (Some(place), Ok(request)) = (place, way.outgoing(&beside)) else {
            way.exchange.lost(Which::Second, unreachable(Fault::NoEndpoint));
            return way.wait(first, attempt).await;
        };
        let second = send(self.client.clone(), place, request);
        tokio::pin!(second);
        let (which, answered) = tokio::select! {
            answered = first.as_mut() => (Which::First, answered),
            answered = second.as_mut() => (Which::Second, answered),
            () = tokio::time::sleep_until(until) => {
                way.exchange.lost(Which::Second, silent());
                return Err(silent());
            }
        };
        match (answered, which) {
            (Ok(answered), which) => {
                way.exchange.won(which);
                Ok(answered)
            }
            (Err(broke), Which::First) => {
                way.exchange.lost(which, broke);
                way.wait(second, &beside).await
            }
            (Err(broke), Which::Second) => {
                way.exchange.lost(which, broke);
                way.wait(first, attempt).await
            }
        }
    }
}

/// Puts a request on a connection.
async fn send(client: Arc<Client>, place: Place, request: Request<Outgoing>) -> Result<Answered, Broke> {
    match client.to(place).await {
        Ok(ready) => ready.send(request).await,
        Err(fault) => Err(unreachable(fault)),
    }
}

/// The target has said nothing for too long.
fn silent() -> Broke {
    Broke { sent: Sent::Something, ..unreachable(Fault::UpstreamTimeout) }
}

impl Way {
    /// Waits for an answer, as long as its patience lasts.
    async fn wait(
        &self,
        mut sending: Pin<&mut impl Future<Output = Result<Answered, Broke>>>,
        attempt: &Attempt,
    ) -> Result<Answered, Broke> {
        let mut since = Instant::now();
        loop {
            if let Ok(answered) =
                tokio::time::timeout_at(since + attempt.patience.answer, sending.as_mut()).await
            {
                return answered;
            }
            // A long upload is no silence.
            let moved = self.upload.as_ref().map(|upload| shell::clock::instant(upload.moved()).into());
            match moved.filter(|moved: &Instant| *moved > since) {
                Some(moved) => since = moved,
                None => return Err(silent()),
            }
        }
    }

    /// The request as it goes to the target of this attempt.
    fn outgoing(&mut self, attempt: &Attempt) -> Result<Request<Outgoing>, Then> {
        let mut headers = self.parts.headers.clone();
        if let Err(denial) = self.exchange.dress_request(&mut headers) {
            return Err(self.malformed(denial));
        }
        let (target, host) = (self.exchange.outgoing_target(), self.exchange.outgoing_host());
        let next = self.exchange.next_hop();
        let uri = match (next, host) {
            (Next::Http2, Some(host)) => {
                headers.remove(header::HOST);
                let scheme = if attempt.endpoints.shape.material.is_some() { "https" } else { "http" };
                let host = host.to_str().unwrap_or_default();
                Uri::from_maybe_shared(Bytes::from(format!("{scheme}://{host}{target}")))
            }
            (_, host) => {
                if let Some(host) = host {
                    headers.insert(header::HOST, host);
                }
                Uri::from_maybe_shared(Bytes::from(target.into_owned()))
            }
        };
        let Ok(uri) = uri else { return Err(self.malformed(Denial::BadTarget)) };
        let body = self.upload.as_ref().map_or(Outgoing::Nothing, Upload::again);
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        *request.version_mut() = if next == Next::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Ok(request)
    }

    /// The body of an answer, all of it if it is kept so that another attempt can take its place.
    async fn source(&mut self, source: Incoming, silence: Duration) -> Result<Source, Then> {
        let length = source.size_hint().exact().filter(|_| !source.is_end_stream());
        let body = self.replayable();
        if !length.is_some_and(|length| self.exchange.keeps_whole(length, body)) {
            return Ok(Source::Passing(source));
        }
        match Source::keep(source, silence).await {
            Ok(kept) => Ok(kept),
            Err(fault) => Err(self.broke(Broke { fault, sent: Sent::Something, body, stale: false })),
        }
    }
}
