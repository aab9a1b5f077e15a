//! Pingora's phases, translated: each asks the exchange a question and does what it says. No rule stands here.
//!
//! In the order of a request: [`ProxyHttp::request_filter`] (open) -> `proxy_upstream_filter` (the first attempt, so that a
//! refusal keeps the connection) -> `upstream_peer` -> `upstream_request_filter` -> `request_body_filter` ->
//! `upstream_response_filter` -> `response_filter` -> `response_body_filter` -> `logging`. What goes wrong arrives in
//! `fail_to_connect`, `error_while_proxy` and `fail_to_proxy`.

mod errors;
mod fields;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{Error, HttpPeer, Result};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use policies::guard::{End, Framings, Wire};
use policies::headers::hop::Next;
use policies::reply::Reply;
use policies::resilience::repeat::Replayable;
use shell::exchange::{Attempt, Connection, Core, Exchange, Head, Opening, Part, Then, Watch};
use shell::listen::Facts;

use self::fields::Answer;
pub(crate) use self::fields::Request;
use crate::peer::peer;
use crate::road::Handed;

/// What every request on this worker goes through.
pub struct Front(Arc<Core>);

impl Front {
    /// The front door of one worker.
    pub fn new(core: Arc<Core>) -> Self {
        Self(core)
    }
}

tokio::task_local! {
    static HANDED: RefCell<Option<Box<Handed>>>;
}

/// Carries a request with what was decided about it on the short road.
pub async fn with<F: Future>(handed: Option<Box<Handed>>, carried: F) -> F::Output {
    HANDED.scope(RefCell::new(handed), carried).await
}

fn handed() -> Option<Box<Handed>> {
    HANDED.try_with(|handed| handed.borrow_mut().take()).ok().flatten()
}

/// What travels with one request through the phases.
pub struct Context {
    exchange: Exchange,
    /// Decided, and not yet begun by Pingora.
    attempt: Option<Attempt>,
    /// What the client gets when Pingora gives up.
    reply: Option<Reply>,
    /// It came by the short road, where it was let in.
    opened: bool,
}

impl Context {
    /// Says in Pingora's words what comes next. The reply waits for `fail_to_proxy`.
    fn heed(&mut self, then: Then) -> Box<Error> {
        let mut error = Error::new(errors::OURS);
        match then {
            Then::Again => error.set_retry(true),
            Then::Reply(reply) => self.reply = Some(*reply),
            Then::BreakOff | Then::PassOn => {}
        }
        error
    }
}

#[async_trait]
impl ProxyHttp for Front {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        if let Some(handed) = handed() {
            let Handed { exchange, attempt, .. } = *handed;
            return Context { exchange, attempt: Some(attempt), reply: None, opened: true };
        }
        Context {
            opened: false,
            exchange: Exchange::begin(self.0.clone(), Watch::current()),
            attempt: None,
            reply: None,
        }
    }

    /// No modules: compression of answers is the services' business, or a cache's.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        if context.opened {
            context.exchange.tidy(&mut Request(session.req_header_mut()));
            return Ok(false);
        }
        let Some(facts) = facts(session) else { return Err(Error::new(errors::OURS)) };
        context.exchange.tidy(&mut Request(session.req_header_mut()));
        let end = if session.is_http2() && session.is_body_empty() { End::WithHead } else { End::Later };
        // Of HTTP/1 the connection has looked at the very bytes; HTTP/2 has one framing only.
        let wire = Wire { end, framing: Framings::OneOrNone };
        let head = session.req_header();
        let opening = context.exchange.open(Head { parts: head, target: head.raw_path(), wire }, facts).await;
        match opening {
            Opening::Forward => Ok(false),
            // Only a sidecar's outbound door lets pass what nobody declared.
            Opening::Pass(..) => Err(Error::new(errors::OURS)),
            Opening::Reply(reply, connection) => {
                if connection == Connection::Close {
                    session.set_keepalive(None);
                }
                write(session, reply).await?;
                Ok(true)
            }
        }
    }

    async fn proxy_upstream_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        if context.attempt.is_some() {
            return Ok(true);
        }
        match context.exchange.next_attempt(session.req_header()).await {
            Ok(attempt) => {
                context.attempt = Some(attempt);
                Ok(true)
            }
            Err(Then::Reply(reply)) => {
                write(session, *reply).await?;
                Ok(false)
            }
            Err(then) => Err(context.heed(then)),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        context.exchange.rewind();
        let attempt = match context.attempt.take() {
            Some(attempt) => attempt,
            None => match context.exchange.next_attempt(session.req_header()).await {
                Ok(attempt) => attempt,
                Err(then) => return Err(context.heed(then)),
            },
        };
        peer(&attempt).map(Box::new).ok_or_else(|| Error::new(errors::OURS))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let _ = session;
        request.set_raw_path(context.exchange.outgoing_target().as_bytes())?;
        if let Err(denial) = context.exchange.dress_request(&mut Request(request)) {
            let then = context.exchange.malformed(denial);
            return Err(context.heed(then));
        }
        if let Some(host) = context.exchange.outgoing_host() {
            request.insert_header(http::header::HOST, host)?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        last: bool,
        context: &mut Context,
    ) -> Result<()> {
        let part = Part { bytes: body.as_ref().map_or(0, Bytes::len), last };
        context.exchange.request_chunk(part).map_err(|then| context.heed(then))
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        match context.exchange.answered(answer, replayable(session)) {
            Ok(_) => Ok(()),
            Err(then) => Err(context.heed(then)),
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        if self.0.is_draining() {
            // The answer says that the connection ends with it.
            session.set_keepalive(None);
        }
        let next = if session.req_header().version == Version::HTTP_2 { Next::Http2 } else { Next::Http1 };
        if next == Next::Http1 {
            // RFC 9110 §2.5: a proxy speaks its own version, not the one it was answered in.
            answer.set_version(session.req_header().version);
            if answer.version == Version::HTTP_10 {
                // It knows no chunks: the body ends with the connection.
                answer.remove_header(&http::header::TRANSFER_ENCODING);
            }
        }
        context.exchange.dress_answer(&mut Answer(answer), &session.req_header().headers, next);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        last: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        let bytes = body.as_deref().unwrap_or_default();
        let part = Part { bytes: bytes.len(), last };
        context.exchange.answer_chunk(part, bytes).map(|()| None).map_err(|then| context.heed(then))
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        let then = context.exchange.failed(errors::connecting(&error, replayable(session)));
        context.heed(then)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        context: &mut Context,
        reused: bool,
    ) -> Box<Error> {
        if errors::is_ours(&error) {
            return error;
        }
        let then = context.exchange.broke(errors::proxying(&error, replayable(session), reused));
        context.heed(then)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        if !errors::is_ours(error) && context.reply.is_none() {
            // Pingora found fault by itself, outside of the calls above.
            let then = context.exchange.broke(errors::proxying(error, Replayable::No, false));
            context.heed(then);
        }
        let Some(reply) = context.reply.take().filter(|_| session.response_written().is_none()) else {
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        let error_code = reply.status.as_u16();
        // Pingora ends the connection after an attempt that failed; the client shall know.
        session.set_keepalive(None);
        let _ = write(session, reply).await;
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        context.exchange.close();
    }

    /// The exchange tells what went wrong, in its own words and once.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _context: &Context,
        _error: &Error,
        _about: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

/// What the listener knows of the connection.
fn facts(session: &Session) -> Option<Arc<Facts>> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest.user_data.as_ref()?.downcast_ref::<Arc<Facts>>().cloned()
}

/// Is the body still there to be sent again?
fn replayable(session: &Session) -> Replayable {
    if session.as_ref().retry_buffer_truncated() { Replayable::No } else { Replayable::Yes }
}

/// Gives the client an answer of ours.
async fn write(session: &mut Session, reply: Reply) -> Result<()> {
    let mut head = ResponseHeader::build(reply.status, Some(reply.headers.len()))?;
    for (name, value) in &reply.headers {
        head.append_header(name, value)?;
    }
    let bodiless = reply.body.is_empty();
    let written = session.write_response_header(Box::new(head), bodiless).await;
    written.map_err(Error::into_down)?;
    let body = (!bodiless).then(|| Bytes::from(reply.body));
    session.write_response_body(body, true).await.map_err(Error::into_down)
}
