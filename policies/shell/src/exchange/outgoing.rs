//! The head as it goes to the target. The order matters, and is told in `policies::headers`: first what was meant for us
//! leaves, then what a client could have forged, then ours and the route's comes in.

use std::borrow::Cow;

use http::HeaderValue;
use policies::admit::Permit;
use policies::digits::decimal;
use policies::document::target::{HostSent, Protocol};
use policies::headers::{
    AskedFor, Carried, Fields, Forwarding, contract, cookie, forwarded, grpc,
    hop::{self, Next, Onward},
};
use policies::plan::{Route, Way};
use policies::reply::Speaks;
use policies::verdict::Denial;

use super::{Asked, Exchange};

impl Exchange {
    /// What the next hop speaks.
    pub fn next_hop(&self) -> Next {
        match self.side().map(|side| side.target.protocol) {
            Some(Protocol::Http2 | Protocol::H2c) => Next::Http2,
            Some(Protocol::Http1 | Protocol::Tcp) | None => Next::Http1,
        }
    }

    /// The target of the request line: the very path the policies judged, rewritten where the route says so.
    pub fn outgoing_target(&self) -> Cow<'_, str> {
        let Some(asked) = &self.asked else { return "/".into() };
        match self.permit.as_ref().and_then(|permit| permit.path()) {
            None => asked.target().into(),
            Some(path) => match asked.target().get(asked.path_bytes..) {
                None | Some("") => path.into(),
                Some(query) => format!("{path}{query}").into(),
            },
        }
    }

    /// The Host the target sees. The guard has read the client's, so it is one that can be sent.
    pub fn outgoing_host(&self) -> Option<HeaderValue> {
        let (asked, side) = (self.asked.as_ref()?, self.side()?);
        let route = self.permit.as_ref()?.route();
        if let Some(host) = &route.host {
            return Some(HeaderValue::clone(host));
        }
        match side.target.host {
            HostSent::Target => {
                self.planned.upstream(&side.target).map(|upstream| upstream.authority().clone())
            }
            HostSent::Client if asked.host().is_empty() => None,
            HostSent::Client => {
                let mut host = Vec::with_capacity(asked.host().len() + ":65535".len());
                host.extend_from_slice(asked.host().as_bytes());
                if let Some(port) = asked.port {
                    host.push(b':');
                    decimal::<1>(&mut host, port.into());
                }
                HeaderValue::from_bytes(&host).ok()
            }
        }
    }

    /// Strips what was meant for us and puts in what is ours.
    pub fn dress_request(&mut self, fields: &mut impl Fields) -> Result<(), Denial> {
        // A connection may have been waited for.
        self.time_passed();
        let planned = self.planned.clone();
        let (Some(asked), Some(permit), Some(facts)) = (&self.asked, &self.permit, &self.facts) else {
            return Err(Denial::BadHeader);
        };
        let next = self.next_hop();
        let onward = Onward { framing: self.core.framing, next, upgrade: asked.upgrade };
        hop::request(fields, onward)?;
        planned.plan.identity_headers.strip(fields);
        let host = AskedFor { host: asked.host(), port: asked.port };
        forwarded::write(fields, &facts.peer, host, &planned.plan.trust, &Forwarding::default());
        self.carry(asked, permit, fields);
        if self.core.way == Way::Inbound {
            contract::tell_peer(fields, &facts.peer);
        }
        let context = self.calls.current.as_ref().map_or(&asked.trace.context, |current| &current.context);
        planned.plan.tracing.propagation.inject(context, asked.trace.came_in, fields);
        for (name, value) in permit.caller().forwarded() {
            if let Ok(text) = value.to_str() {
                // What a header cannot carry unchanged is left out: a service that needs it will say so.
                let _ = planned.plan.identity_headers.set(fields, &name, text);
            }
        }
        if next == Next::Http1 {
            cookie::join_crumbs(fields);
        }
        edits(permit.route()).apply(fields);
        Ok(())
    }

    /// What came under the names of the contract leaves with it.
    fn carry(&self, asked: &Asked, permit: &Permit, fields: &mut impl Fields) {
        let left = std::time::Duration::from_millis(permit.deadline().carry_ms(self.now));
        if asked.speaks == Speaks::Grpc {
            grpc::set_timeout(fields, left);
        }
        let made = self.calls.made.saturating_sub(self.calls.stale).max(1);
        let attempt = asked.carried.attempt.unwrap_or(1).max(1).saturating_add(made - 1);
        Carried {
            attempt: Some(attempt),
            deadline_left: Some(left),
            priority: Some(permit.priority()),
            request_id: asked.carried.request_id.clone(),
            shadow: asked.carried.shadow,
        }
        .write(fields);
    }
}

fn edits(route: &Route) -> &policies::headers::Edits {
    &route.request_headers
}
