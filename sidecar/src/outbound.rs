//! From the app to what it calls: by an address of ours that reaches one target, by Host, or by where a redirected connection
//! was going.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use policies::document::target::Protocol;
use policies::guard::{Looks, raw};
use policies::plan::{Call, Destination};
use shell::alarm::Alarm;
use shell::listen::{Conn, Facts, Head, Limits};

use crate::client::Loops;
use crate::connection::{Serving, serve};
use crate::counts::Went;
use crate::opaque::Opaque;

/// What the outbound door needs.
pub struct Outbound {
    /// For HTTP.
    pub serving: Arc<Serving>,
    /// For everything else.
    pub opaque: Opaque,
    /// Knows our own connections.
    pub loops: Arc<Loops>,
    /// How long a connection of which nobody said what it speaks may say nothing, before it is taken for bytes.
    pub detect_within: Duration,
}

impl Outbound {
    /// A connection to an address of ours that reaches one target.
    pub async fn to_target(self: Arc<Self>, conn: Conn, name: &str) {
        let plan = self.opaque.core.plans.load().plan.clone();
        // Gone with a plan that has just been replaced.
        let Some(call) = plan.calls.iter().find(|call| call.target.name == name) else { return };
        match call.target.protocol {
            Protocol::Tcp => self.opaque.to(conn, &call.target).await,
            Protocol::Http1 | Protocol::Http2 | Protocol::H2c => {
                let host = HeaderValue::from_str(call.host.as_str()).ok();
                serve(self.serving.clone(), conn, host).await;
            }
        }
    }

    /// A connection to the door as such: it goes by Host, or, redirected, by where it was going.
    pub async fn connected(self: Arc<Self>, mut conn: Conn) {
        let Some(facts) = conn.facts().cloned() else { return };
        if self.loops.closes(SocketAddr::new(facts.peer.address, facts.port)) {
            log::error!(target: "banyan", "a connection of ours came back to us: exempt this process from the redirect rules");
            return self.opaque.refuse(conn, Went::Loop);
        }
        let going = facts.meant_for;
        if let Some(call) = going.and_then(|going| self.declared(going))
            && call.target.protocol == Protocol::Tcp
        {
            return self.opaque.to(conn, &call.target).await;
        }
        // Who came to us on purpose speaks HTTP, or is told that he should.
        let Some(going) = going else { return serve(self.serving.clone(), conn, None).await };
        match conn.look(self.detect_within).await {
            Looks::Http1 => self.redirected(conn, &facts, going).await,
            Looks::Http2 => serve(self.serving.clone(), conn, None).await,
            Looks::Opaque | Looks::Tls | Looks::Unclear => self.undeclared(conn, going).await,
        }
    }

    /// A redirected connection of HTTP/1. Its first request shows whether it is for somebody who was declared; if not, it
    /// goes on untouched.
    async fn redirected(&self, mut conn: Conn, facts: &Facts, going: SocketAddr) {
        let plan = self.opaque.core.plans.load().plan.clone();
        let limits = Limits { head_bytes_max: plan.guard.fields.bytes_max, ..self.serving.limits };
        let head = conn.next_head(&limits, &self.serving.phase, &mut Alarm::default()).await;
        let host = raw::host_named(conn.head())
            .map(|host| host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned());
        let declared = host.is_some_and(|host| plan.destination(&host) == Destination::Declared);
        match self.declared(going) {
            _ if declared || head != Head::Http1 => serve(self.serving.clone(), conn, None).await,
            Some(call) => {
                let host = HeaderValue::from_str(call.host.as_str()).ok();
                serve(self.serving.clone(), conn, host).await;
            }
            None => {
                log::debug!(target: "banyan", "connection {} goes on to {going} untouched", facts.number);
                self.undeclared(conn, going).await;
            }
        }
    }

    async fn undeclared(&self, conn: Conn, going: SocketAddr) {
        let plan = self.opaque.core.plans.load().plan.clone();
        match plan.undeclared() {
            Destination::Refused(denial) => {
                log::warn!(target: "banyan", "a connection to {going} is refused: {}", denial.slug());
                self.opaque.refuse(conn, Went::Denied);
            }
            Destination::Declared | Destination::Passes => self.opaque.pass(conn, going).await,
        }
    }

    /// The call to whoever has an endpoint there.
    fn declared(&self, going: SocketAddr) -> Option<Call> {
        let planned = self.opaque.core.plans.load();
        let there =
            |call: &&Call| planned.upstream(&call.target).is_some_and(|upstream| upstream.is_at(going));
        planned.plan.calls.iter().find(there).cloned()
    }
}
