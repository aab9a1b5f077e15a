//! One request of HTTP, from a door to a target and back. What shall happen is asked of the exchange, step by step; here
//! it is done, with hyper.
//!
//! Read [`Carrier::carry`]: open, then attempts until one answer passes or there is nothing left to try.

mod attempt;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use policies::guard::{End, Framings, Wire};
use policies::headers::hop::Next;
use policies::reply::Reply;
use policies::resilience::repeat::Replayable;
use policies::verdict::Denial;
use shell::alarm::Alarm;
use shell::exchange::{
    Attempt, Breakage, Broke, Connection, Core, Exchange, Head, Opening, Part, Then, Watch,
};
use shell::listen::Facts;
use tower::Service;

use crate::body::{Answer, BrokenOff, Passing, Source, Upload, Wrong};
use crate::client::{Client, Kept, discard};
use crate::lent::Progress;
use crate::tunnel::Tunnel;
use crate::undeclared::pass;

/// A request as it arrived at a door.
pub struct Arrived {
    /// As hyper read it.
    pub request: Request<Incoming>,
    /// The target, byte by byte as it came.
    pub target: Bytes,
    /// The connection it came on.
    pub facts: Arc<Facts>,
    /// The Host it is for, whatever it says: on an address of ours that reaches one target.
    pub host: Option<HeaderValue>,
    /// On HTTP/1: how far the answer has come.
    pub progress: Option<Arc<Progress>>,
    /// What becomes of the connection after it.
    pub then: Connection,
}

/// Carries requests of one door.
#[derive(Clone)]
pub struct Carrier {
    /// Which door, and what is at hand there.
    pub core: Arc<Core>,
    /// Connections to targets.
    pub client: Arc<Client>,
}

/// What becomes of a request.
pub type Carried = Result<Response<Answer>, BrokenOff>;

impl Service<Arrived> for Carrier {
    type Response = Response<Answer>;
    type Error = BrokenOff;
    type Future = Pin<Box<dyn Future<Output = Carried> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BrokenOff>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, arrived: Arrived) -> Self::Future {
        let carrier = self.clone();
        Box::pin(async move {
            let watch = Arc::<Watch>::default();
            let progress = arrived.progress.clone();
            let then = arrived.then;
            let carried = Box::pin(carrier.carry(arrived, watch.clone()));
            // Its last words are said when it is dropped: before they are asked for.
            let carried = watch.hold(&mut Alarm::default(), pin!(carried)).await;
            match carried {
                Ok(carried) => carried.map(|answer| closing(answer, then)),
                // Its time was over before an answer began.
                Err(_) => watch.last_words().map(|reply| written(reply, progress)).ok_or(BrokenOff),
            }
        })
    }
}

/// A request on its way.
pub(crate) struct Way {
    pub exchange: Box<Exchange>,
    pub parts: Parts,
    pub upload: Option<Upload>,
    watch: Arc<Watch>,
    upgrade: Upgraded,
    progress: Option<Arc<Progress>>,
    /// What becomes of the connection.
    then: Connection,
}

/// Does the client want to change the protocol?
#[derive(Clone, Copy, Eq, PartialEq)]
enum Upgraded {
    Asked,
    No,
}

impl Carrier {
    /// Carries one request.
    async fn carry(self, arrived: Arrived, watch: Arc<Watch>) -> Carried {
        let Arrived { request, target, facts, host, progress, then: _ } = arrived;
        let mut exchange = Box::new(Exchange::begin(self.core.clone(), watch.clone()));
        let (mut parts, body) = request.into_parts();
        if let Some(host) = host {
            readdress(&mut parts, host);
        }
        exchange.tidy(&mut parts.headers);
        let h2 = parts.version == Version::HTTP_2;
        let end = if h2 && body.is_end_stream() { End::WithHead } else { End::Later };
        // Of HTTP/1 the connection has looked at the very bytes; HTTP/2 has one framing only.
        let wire = Wire { end, framing: Framings::OneOrNone };
        let going = facts.meant_for;
        let passes = match exchange.open(Head { parts: &parts, target: &target, wire }, facts).await {
            Opening::Forward => None,
            Opening::Pass(host, port) => Some((host, port)),
            Opening::Reply(reply, connection) => {
                exchange.close();
                return Ok(closing(written(reply, progress), if h2 { Connection::Keep } else { connection }));
            }
        };
        let upload = match (body.is_end_stream(), exchange.upload_meter()) {
            (false, Some(meter)) => Some(Upload::new(body, meter, exchange.replay_max())),
            _ => None,
        };
        let upgrade =
            if parts.headers.contains_key(header::UPGRADE) { Upgraded::Asked } else { Upgraded::No };
        let mut way = Way { exchange, watch, parts, upload, upgrade, progress, then: Connection::Keep };
        if let Some((host, port)) = passes {
            return match pass(&self.client, way, going, &host, port).await {
                Ok(answer) => Ok(answer),
                Err((way, then)) => way.ends(then),
            };
        }
        loop {
            let then = match way.exchange.next_attempt(&way.parts).await {
                Ok(attempt) => match self.attempt(&mut way, &attempt).await {
                    Ok((head, source, kept)) => match way.exchange.answered(&head, way.replayable()) {
                        Ok(_) => return Ok(way.passes(head, source, kept, &attempt)),
                        Err(then) => {
                            discard(source, kept).await;
                            then
                        }
                    },
                    Err(then) => then,
                },
                Err(then) => then,
            };
            if !matches!(then, Then::Again) {
                return way.ends(then);
            }
        }
    }
}

impl Way {
    fn replayable(&self) -> Replayable {
        self.upload.as_ref().map_or(Replayable::Yes, Upload::replayable)
    }

    fn tell_upload(&mut self) {
        if let Some(upload) = &self.upload {
            self.exchange.uploaded(upload.bytes());
        }
    }

    /// What the client sent makes no sense: what follows it may make none either.
    pub(crate) fn malformed(&mut self, denial: Denial) -> Then {
        if self.progress.is_some() {
            self.then = Connection::Close;
        }
        self.exchange.malformed(denial)
    }

    /// There is nothing left to try.
    fn ends(mut self, then: Then) -> Carried {
        self.tell_upload();
        self.exchange.close();
        match then {
            Then::Reply(reply) => Ok(closing(written(*reply, self.progress), self.then)),
            Then::Again | Then::BreakOff | Then::PassOn => Err(BrokenOff),
        }
    }

    /// The attempt broke: whose fault was it?
    pub(crate) fn broke(&mut self, broke: Broke) -> Then {
        match self.upload.as_ref().and_then(Upload::wrong) {
            Some(Wrong::Client(fault)) => self.exchange.broke(Breakage::Client(fault)),
            Some(Wrong::Malformed) => self.malformed(Denial::BadBody),
            Some(Wrong::Misfit(misfit)) => self.exchange.unfit(misfit),
            None => {
                let broke = Broke { body: self.replayable(), ..broke };
                self.exchange.broke(Breakage::Target(broke))
            }
        }
    }

    /// The answer goes to the client.
    fn passes(
        mut self,
        mut head: http::response::Parts,
        source: Source,
        kept: Kept,
        attempt: &Attempt,
    ) -> Response<Answer> {
        let h2 = self.parts.version == Version::HTTP_2;
        let next = if h2 { Next::Http2 } else { Next::Http1 };
        head.version = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
        let tunnel = self.upgrade == Upgraded::Asked && head.status.is_informational();
        let target = tunnel.then(|| head.extensions.remove::<hyper::upgrade::OnUpgrade>()).flatten();
        self.exchange.dress_answer(&mut head.headers, &self.parts.headers, next);
        if let (Some(target), Some(progress)) = (target, &self.progress) {
            progress.becomes(Tunnel::new(target, self.exchange, attempt.patience.silence));
            return Response::from_parts(head, Answer::ours(Vec::new(), self.progress));
        }
        passing(self, head, source, kept, attempt.patience.silence)
    }
}

/// An answer on its way to the client.
pub(crate) fn passing(
    way: Way,
    head: http::response::Parts,
    source: Source,
    kept: Kept,
    silence: Duration,
) -> Response<Answer> {
    let ended = source.is_end_stream();
    let mut passing = Box::new(Passing {
        source,
        exchange: way.exchange,
        watch: way.watch,
        kept: Some(kept),
        silence,
        upload: way.upload,
        alarm: None,
    });
    if ended {
        // Hyper asks a body that has ended for nothing more.
        let _ = passing.exchange.answer_chunk(Part { bytes: 0, last: true }, &[]);
        passing.finish();
    }
    Response::from_parts(head, Answer::passing(passing, way.progress))
}

/// The request is for this host, whatever it says.
fn readdress(parts: &mut Parts, host: HeaderValue) {
    if parts.version == Version::HTTP_2 {
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        uri.authority = http::uri::Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes())).ok();
        parts.uri = Uri::from_parts(uri).unwrap_or_default();
        parts.headers.remove(header::HOST);
    } else {
        parts.headers.insert(header::HOST, host);
    }
}

/// Says that the connection ends with this answer, if it does.
fn closing(mut answer: Response<Answer>, then: Connection) -> Response<Answer> {
    if then == Connection::Close {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// An answer of ours.
fn written(reply: Reply, progress: Option<Arc<Progress>>) -> Response<Answer> {
    let mut answer = Response::new(Answer::ours(reply.body, progress));
    *answer.status_mut() = reply.status;
    *answer.headers_mut() = reply.headers;
    answer
}
