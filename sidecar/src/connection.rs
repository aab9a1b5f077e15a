//! What happens on one connection of HTTP: waits for a head, looks at its very bytes, and only then wakes hyper, for this
//! one request. Between requests there is no hyper and no buffer.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use policies::guard::raw;
use policies::verdict::{Denial, Fault};
use policies::why::Silent;
use shell::alarm::Alarm;
use shell::exchange::{Connection, refuse};
use shell::listen::{Conn, Facts, Fence, Head, Limits, Phase};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::Service;

use crate::carry::{Arrived, Carrier};
use crate::lent::{Lent, Progress};

/// Room for the request line beside the fields.
const REQUEST_LINE_ROOM: usize = 256;
/// Fields hyper reads without asking for memory; a document may allow more.
const FIELDS_USUAL: usize = 100;
/// Streams at once on one connection.
const STREAMS_MAX: u32 = 100;
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How often a quiet HTTP/2 connection is asked whether it lives, and how long it may think about it.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_WITHIN: Duration = Duration::from_secs(20);
/// Longer lists of fields are refused before they are read: a margin over what the guard allows, so that it can say why.
const HEADER_LIST_ROOM: usize = 16 * 1024;

/// What the connections of one door are held to.
#[derive(Clone)]
pub struct Serving {
    /// Carries their requests.
    pub carrier: Carrier,
    /// What clients are held to.
    pub limits: Limits,
    /// Serving, or on the way out.
    pub phase: watch::Receiver<Phase>,
    /// Clients are told with each answer that the connection ends with it; new ones are still taken.
    pub leaving: watch::Receiver<bool>,
    /// How old a connection may get: certificates that were shown on it may be worth nothing by then.
    pub age_max: Duration,
}

/// One connection, and what is known of it.
struct Talk {
    serving: Arc<Serving>,
    facts: Arc<Facts>,
    host: Option<HeaderValue>,
    old_at: Instant,
}

/// Serves one connection until it ends. `host` is whom its requests are for, if that does not stand in them.
pub async fn serve(serving: Arc<Serving>, mut conn: Conn, host: Option<HeaderValue>) {
    let Some(facts) = conn.facts().cloned() else { return };
    let old_at = Instant::now() + serving.age_max;
    let talk = Arc::new(Talk { serving: serving.clone(), facts, host, old_at });
    if talk.facts.speaks_h2 {
        return talk.h2(conn).await;
    }
    let mut alarm = Alarm::default();
    loop {
        let head_bytes_max = {
            let planned = serving.carrier.core.plans.load();
            planned.plan.guard.fields.bytes_max + REQUEST_LINE_ROOM + planned.plan.guard.target_bytes_max
        };
        let limits = Limits { head_bytes_max, ..serving.limits };
        match conn.next_head(&limits, &serving.phase, &mut alarm).await {
            Head::Http1 => match talk.clone().request(conn).await {
                Some(back) => conn = back,
                None => return,
            },
            Head::Preface => return talk.h2(conn).await,
            Head::TooLarge => {
                return refuse(&serving.carrier.core, conn, Denial::HeadersTooLarge.into()).await;
            }
            Head::TooSlow => return refuse(&serving.carrier.core, conn, Fault::ClientTooSlow.into()).await,
            Head::Closed | Head::Draining | Head::IdleOver => return conn.close().await,
        }
    }
}

impl Talk {
    /// Does the connection end with the next answer?
    fn is_last(&self) -> bool {
        let serving = &self.serving;
        *serving.leaving.borrow()
            || *serving.phase.borrow() == Phase::Draining
            || Instant::now() >= self.old_at
    }

    /// One request of HTTP/1. The connection, if it can have another.
    async fn request(self: Arc<Self>, mut conn: Conn) -> Option<Conn> {
        let core = &self.serving.carrier.core;
        let (vetted, fields_max) = {
            let planned = core.plans.load();
            (raw::vet(conn.head(), &planned.plan.guard, &mut Silent), planned.plan.guard.fields.count_max)
        };
        let fence = match vetted {
            Ok(raw) => Fence::from(raw),
            Err(denial) => {
                refuse(core, conn, denial.into()).await;
                return None;
            }
        };
        let target = conn.head().split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let target = Bytes::copy_from_slice(target);
        conn.fence(fence);
        conn.release_head();
        let progress = Arc::<Progress>::default();
        let talk = self.clone();
        let told = progress.clone();
        let service = service_fn(move |request| talk.carry(request, target.clone(), Some(told.clone())));
        let mut server = http1::Builder::new();
        if fields_max > FIELDS_USUAL {
            server.max_headers(fields_max);
        }
        let mut hyper = server.serve_connection(TokioIo::new(Lent::new(conn, progress.clone())), service);
        let ended = std::future::poll_fn(|context| match hyper.poll_without_shutdown(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if progress.has_left() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        let parts = hyper.into_parts();
        let mut conn = parts.io.into_inner().conn;
        conn.put_back(&parts.read_buf);
        if let Some(tunnel) = progress.tunnel() {
            tunnel.run(conn).await;
            return None;
        }
        match ended {
            None if !conn.has_unread() => Some(conn),
            None | Some(Ok(())) => {
                conn.close().await;
                None
            }
            // Broken off on purpose, so that nobody takes half an answer for the whole; or the client has gone.
            Some(Err(_)) => None,
        }
    }

    async fn h2(self: Arc<Self>, mut conn: Conn) {
        conn.open();
        let fields = self.serving.carrier.core.plans.load().plan.guard.fields.bytes_max;
        let mut server = http2::Builder::new(TokioExecutor::new());
        server
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_WITHIN)
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(fields + HEADER_LIST_ROOM).unwrap_or(u32::MAX));
        let talk = self.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let talk = talk.clone();
            let target = request.uri().path_and_query().map_or("*", |target| target.as_str());
            let target = Bytes::copy_from_slice(target.as_bytes());
            talk.carry(request, target, None)
        });
        let hyper = server.serve_connection(TokioIo::new(conn), service);
        tokio::pin!(hyper);
        let (mut phase, mut leaving) = (self.serving.phase.clone(), self.serving.leaving.clone());
        let end = async {
            tokio::select! {
                _ = phase.wait_for(|phase| *phase == Phase::Draining) => {}
                _ = leaving.wait_for(|leaving| *leaving) => {}
                () = tokio::time::sleep_until(self.old_at) => {}
            }
        };
        tokio::select! {
            _ = &mut hyper => return,
            () = end => hyper.as_mut().graceful_shutdown(),
        }
        // What was begun may end.
        let _ = hyper.await;
    }

    fn carry(
        &self,
        request: Request<Incoming>,
        target: Bytes,
        progress: Option<Arc<Progress>>,
    ) -> <Carrier as Service<Arrived>>::Future {
        let (facts, host) = (self.facts.clone(), self.host.clone());
        // HTTP/2 says so for all of its streams at once.
        let then = if progress.is_some() && self.is_last() { Connection::Close } else { Connection::Keep };
        self.serving.carrier.clone().call(Arrived { request, target, facts, host, progress, then })
    }
}
