//! What happens on one connection: waits for a head, looks at its very bytes, and only then wakes the engine. Between
//! requests there is no session, no buffer, no engine.
//!
//! Pingora answers what it cannot parse by itself, without a word in any log; and it takes heads that two servers could
//! read in two ways. So the head is vetted here, and handed to Pingora whole.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use policies::admit::Because;
use policies::guard::raw;
use policies::verdict::{Denial, Fault};
use policies::why::Silent;
use shell::alarm::Alarm;
use shell::exchange::{Core, Watch, refuse, wire};
use shell::listen::{Conn, Facts, Fence, Head, Limits, Phase};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use crate::lent::Lent;
use crate::proxy::{Front, with};
use crate::road::{Came, Handed, Road};

/// Room for the request line beside the fields.
const REQUEST_LINE_ROOM: usize = 256;
/// How long an HTTP/2 connection may have no stream.
const H2_IDLE: std::time::Duration = std::time::Duration::from_secs(60);
/// How much of a body one HTTP/2 stream may have in flight; Pingora's default of 8 MiB times 100 streams is a lot of memory.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What a worker does with its connections.
pub struct Serving {
    /// The worker's tools.
    pub core: Arc<Core>,
    /// The short road, unless every request goes by Pingora.
    pub road: Option<Road>,
    /// Pingora, with a pool of this worker's own.
    pub engine: Arc<Engine>,
    /// What clients are held to.
    pub limits: Limits,
    /// Serving, or on the way out.
    pub phase: watch::Receiver<Phase>,
    /// The same, for Pingora.
    pub shutdown: ShutdownWatch,
}

/// Pingora's proxy, and how it serves HTTP/2.
pub struct Engine {
    proxy: Arc<HttpProxy<Front>>,
    options: HttpServerOptions,
}

impl Engine {
    /// Serves with this proxy.
    pub fn new(proxy: HttpProxy<Front>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(H2_IDLE);
        Self { proxy: Arc::new(proxy), options }
    }
}

/// A connection of HTTP/2. Pingora takes its streams apart, and each is a request.
struct Streams {
    serving: Arc<Serving>,
    facts: Arc<Facts>,
}

#[async_trait]
impl HttpServerApp for Streams {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let (session, handed) = match (&self.serving.road, session) {
            (Some(road), ServerSession::H2(stream)) => {
                let (stream, handed) = road.stream(stream, self.facts.clone()).await?;
                (ServerSession::new_http2(stream), Some(handed))
            }
            (_, session) => (session, None),
        };
        let watch = watch_of(handed.as_deref());
        // A stream whose time is over is reset with everything that belongs to it.
        let carried = with(handed, self.serving.engine.proxy.process_new_http(session, shutdown));
        watch.guard(carried).await.ok().flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.initial_window_size(H2_STREAM_WINDOW).initial_connection_window_size(H2_CONNECTION_WINDOW);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.serving.engine.options)
    }
}

/// What holds a request to its deadline: set already, if it has come a part of the way.
fn watch_of(handed: Option<&Handed>) -> Arc<Watch> {
    handed.map(|handed| handed.watch.clone()).unwrap_or_default()
}

/// Serves one connection until it ends. What a request needs is made when it comes: this future is all that a connection
/// at rest holds.
pub async fn serve(serving: Arc<Serving>, mut conn: Conn) {
    if conn.facts().is_some_and(|facts| facts.speaks_h2) {
        return Box::pin(h2(serving, conn)).await;
    }
    let mut alarm = Alarm::default();
    loop {
        // A look, no more: who keeps what `load` gives makes every other look a slow one, and an old plan outlive its time.
        let fields_max = serving.core.plans.load().plan.guard.fields.bytes_max;
        let limits = Limits { head_bytes_max: fields_max + REQUEST_LINE_ROOM + 8192, ..serving.limits };
        match conn.next_head(&limits, &serving.phase, &mut alarm).await {
            Head::Http1 => match Box::pin(request(&serving, conn, &mut alarm)).await {
                Some(back) => conn = back,
                None => return,
            },
            Head::Preface => return Box::pin(h2(serving, conn)).await,
            Head::TooLarge => return turn_away(&serving, conn, Denial::HeadersTooLarge.into()).await,
            Head::TooSlow => return turn_away(&serving, conn, Fault::ClientTooSlow.into()).await,
            Head::Closed | Head::Draining | Head::IdleOver => return Box::pin(conn.close()).await,
        }
    }
}

async fn turn_away(serving: &Serving, conn: Conn, because: Because) {
    Box::pin(refuse(&serving.core, conn, because)).await;
}

async fn h2(serving: Arc<Serving>, mut conn: Conn) {
    let Some(facts) = conn.facts().cloned() else { return };
    conn.open();
    let streams = Arc::new(Streams { serving, facts });
    streams.process_new(Box::new(Lent::with_streams(conn)), &streams.serving.shutdown).await;
}

/// One request of HTTP/1. The connection, if it can have another.
async fn request(serving: &Serving, mut conn: Conn, alarm: &mut Alarm) -> Option<Conn> {
    let head = conn.take_head().freeze();
    let read = raw::request(&head, &serving.core.plans.load().plan.guard, &mut Silent);
    let read = match read {
        Ok(read) => read,
        Err(denial) => {
            turn_away(serving, conn, denial.into()).await;
            return None;
        }
    };
    let fence = Fence::from(read.raw);
    conn.fence(fence);
    let (conn, head, handed) = match &serving.road {
        Some(road) => match road.request(conn, head, read, fence, alarm).await {
            Came::Back(conn) => return Some(conn),
            Came::Gone => return None,
            Came::On(conn, head, handed) => (conn, head, Some(handed)),
        },
        None => {
            if read.raw.asks_for_a_tunnel() {
                // Pingora makes it without a word to us.
                conn.fence(Fence::Open);
            }
            (conn, head, None)
        }
    };
    by_pingora(serving, conn, BytesMut::from(head), handed).await
}

/// One request carried by `HttpProxy`.
async fn by_pingora(
    serving: &Serving,
    conn: Conn,
    head: BytesMut,
    handed: Option<Box<Handed>>,
) -> Option<Conn> {
    let (lent, loan) = conn.lend();
    let mut session = ServerSession::new_http1(Box::new(Lent::new(lent)));
    session.set_pipelined_prefix(head);
    let draining = *serving.phase.borrow() == Phase::Draining;
    session.set_keepalive((!draining).then_some(60));
    let watch = watch_of(handed.as_deref());
    let carried = with(handed, serving.engine.proxy.process_new_http(session, &serving.shutdown));
    match watch.clone().guard(carried).await {
        Ok(Some(reused)) => {
            let (stream, _) = reused.consume();
            stream.into_any().downcast::<Lent>().ok().map(|lent| lent.returned())
        }
        Ok(None) => {
            if let Some(conn) = loan.recover() {
                conn.close().await;
            }
            None
        }
        Err(_) => {
            if let Some(mut conn) = loan.recover() {
                // Nothing of an answer has left: there is still room for the truth.
                if let Some(reply) = watch.last_words().filter(|_| !conn.has_answer_begun()) {
                    let _ = conn.write_all(&wire(&reply)).await;
                    conn.close().await;
                }
            }
            None
        }
    }
}
