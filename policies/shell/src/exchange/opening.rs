//! The beginning: is the request clean, who sent it, may it pass. Ends with leave to go on, or with an answer.

use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::request::Parts;
use policies::admit::{Ask, Because, Permit, Verdict, admit};
use policies::guard::{self, BodyMeter, Clean, Underscores, Wire, inspect};
use policies::headers::{Carried, Fields, Forwarding, Known, Trusted, client_address, grpc};
use policies::identity::Asked as KeysAsked;
use policies::plan::{Destination, Expects, Mode, Way};
use policies::reply::{Listener, Reply, Speaks};
use policies::request::Incoming;
use policies::resilience::fallback::is_anonymous;
use policies::resilience::repeat::IdempotencyKey;
use policies::trace::{self, Caller, Context};
use policies::verdict::{Denial, Fault};
use policies::why::Silent;

use super::{Asked, Exchange, Traced, roll, roll_wide};
use crate::listen::Facts;

/// How long a request waits for an issuer's keys. Longer, and an issuer's bad minute fills this proxy with waiting requests.
const KEYS_WITHIN: Duration = Duration::from_secs(5);

/// A request's head as an engine holds it.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// Method, target, version, fields.
    pub parts: &'a Parts,
    /// The target, byte by byte as it came.
    pub target: &'a [u8],
    /// What only the connection saw.
    pub wire: Wire,
}

/// What shall happen with a request that has just arrived.
pub enum Opening {
    /// It goes on to a target.
    Forward,
    /// Nobody declared where it goes, to this host and port: it passes.
    Pass(String, Option<u16>),
    /// It gets this answer.
    Reply(Reply, Connection),
}

/// What becomes of the connection after an answer of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    /// What follows on it may be anything: it ends.
    Close,
    /// It may be used again.
    Keep,
}

impl Exchange {
    /// The connection brought nothing that could be a request: the answer it gets.
    pub fn turn_away(&mut self, facts: Arc<Facts>, because: Because) -> Reply {
        self.facts = Some(facts);
        self.core.telemetry.malformed(because.slug());
        self.reply(because, None)
    }

    /// Takes out fields the document wants dropped, before anybody looks at them.
    pub fn tidy(&self, fields: &mut impl Fields) {
        if self.planned.plan.guard.underscores == Underscores::Drop {
            guard::drop_underscored(fields, &self.planned.plan.guard);
        }
    }

    /// Decides about a request.
    pub async fn open(&mut self, head: Head<'_>, facts: Arc<Facts>) -> Opening {
        let planned = self.planned.clone();
        self.facts = Some(facts.clone());
        let incoming = Incoming { head: head.parts, target: head.target, peer: &facts.peer };
        let clean = match inspect(&incoming, head.wire, &planned.plan.guard, &mut Silent) {
            Ok(clean) => clean,
            Err(denial) => {
                self.core.telemetry.malformed(denial.slug());
                return Opening::Reply(self.reply(denial.into(), None), Connection::Close);
            }
        };
        match self.look(&incoming, &clean) {
            Ok(asked) => self.asked = Some(asked),
            Err(denial) => return Opening::Reply(self.reply(denial.into(), None), Connection::Close),
        }
        if self.core.way == Way::Inbound
            && let Err(denial) = planned.plan.mesh.admits(&facts.peer, &mut Silent)
        {
            return Opening::Reply(self.reply(denial.into(), None), Connection::Keep);
        }
        if self.core.way == Way::Outbound {
            match planned.plan.destination(&clean.host) {
                Destination::Declared => {}
                Destination::Passes => return Opening::Pass(clean.host.to_string(), clean.port),
                Destination::Refused(denial) => {
                    return Opening::Reply(self.reply(denial.into(), None), Connection::Keep);
                }
            }
        }
        if let Some(refused) = self.misdirected(&facts, &clean) {
            return Opening::Reply(refused, Connection::Close);
        }
        let Some(asked) = &self.asked else {
            return Opening::Reply(self.reply(Fault::Internal.into(), None), Connection::Close);
        };
        let mut ask = Ask {
            incoming: &incoming,
            clean: &clean,
            carried: &asked.carried,
            client: asked.client,
            now: self.began,
            roll: roll(),
            asked: KeysAsked::NotYet,
            last: Some(&facts.last_token),
        };
        let door = planned.plan.door(self.core.way);
        let mut verdict = admit(&planned.plan, door, &ask, &mut Silent);
        if let Verdict::AskKeys { tokens, .. } = &verdict {
            // Whatever became of it: the decision sees the keys that are there now.
            let _ = tokio::time::timeout(KEYS_WITHIN, self.core.keys.ask(tokens)).await;
            let now = crate::clock::now();
            self.now = now.tick;
            ask = Ask { asked: KeysAsked::Already, now, ..ask };
            verdict = admit(&planned.plan, door, &ask, &mut Silent);
        }
        let asks = verdict.take_asks();
        if !asks.is_empty() {
            self.core.store.ask(asks);
        }
        self.heed(verdict, head.parts).await
    }

    async fn heed(&mut self, verdict: Verdict, head: &Parts) -> Opening {
        match verdict {
            Verdict::Permit(mut permit) => {
                let route = permit.route().clone();
                let delay = permit.delay();
                self.told.route(&route);
                self.told.observed(permit.observed());
                self.calls.enter(permit.take_entry());
                self.remember(&permit);
                self.permit = Some(permit);
                self.speak(Some(&route), head);
                self.set_watch();
                // Requests pay in for what is sent twice; those that are a second try themselves do not.
                let pays = self.asked.as_ref().is_some_and(|asked| asked.carried.attempt.unwrap_or(1) <= 1);
                let budget = route.retry.as_ref().map(|retry| &retry.budget);
                if let Some(budget) =
                    budget.or(route.hedge.as_ref().map(|hedge| &hedge.budget)).filter(|_| pays)
                {
                    budget.deposit(self.began.tick);
                }
                if let Some(delay) = delay {
                    tokio::time::sleep(delay).await;
                    self.time_passed();
                }
                Opening::Forward
            }
            Verdict::Answer(answer) => {
                self.told.route(&answer.route);
                self.told.local(answer.status);
                self.speak(Some(&answer.route), head);
                let reply = self.addressed(|to| Reply::local(&answer, to));
                Opening::Reply(self.vouched(reply, &answer.route, head), Connection::Keep)
            }
            Verdict::Refuse(refusal) => {
                if let Some(delay) = refusal.delay {
                    tokio::time::sleep(delay).await;
                }
                self.told.because(refusal.because);
                self.told.observed(&refusal.observed);
                self.speak(refusal.route.as_deref(), head);
                let reply = self.addressed(|to| Reply::refusal(&refusal, to));
                match &refusal.route {
                    Some(route) => {
                        self.told.route(route);
                        Opening::Reply(self.vouched(reply, route, head), Connection::Keep)
                    }
                    None => Opening::Reply(reply, Connection::Keep),
                }
            }
            // It has waited for keys already: they cannot be had.
            Verdict::AskKeys { .. } => {
                Opening::Reply(self.reply(Because::Fault(Fault::KeysUnavailable), None), Connection::Keep)
            }
        }
    }

    /// What the app's own calls for this request shall be told, even if it carries nothing on but the trace.
    fn remember(&self, permit: &Permit) {
        let (Some(recall), Some(asked)) = (&self.core.recall, &self.asked) else { return };
        if self.core.way == Way::Inbound {
            let known = Known {
                attempt: asked.carried.attempt,
                deadline: permit.deadline().tick(),
                priority: permit.priority(),
                request_id: asked.carried.request_id.clone(),
                tried: None,
            };
            recall.keep(asked.trace.context.trace_id, known, self.began.tick);
        }
    }

    /// Everything about the request that is kept once its head is gone.
    fn look(&self, incoming: &Incoming<'_>, clean: &Clean<'_>) -> Result<Asked, Denial> {
        let plan = &self.planned.plan;
        let (head, headers) = (incoming.head, &incoming.head.headers);
        let trusted = plan.believes(self.core.way, incoming.peer);
        let speaks = Speaks::of(head, None);
        let mut carried = Carried::read(headers, trusted, roll_wide());
        if speaks == Speaks::Grpc {
            // Anybody may shorten the time it gets.
            let left = [carried.deadline_left, grpc::timeout(headers)];
            carried.deadline_left = left.into_iter().flatten().min();
        }
        let trace = self.trace(incoming, trusted);
        if let Some(recall) = self.core.recall.as_ref().filter(|_| self.core.way == Way::Outbound)
            && let Some(known) = recall.find(trace.context.trace_id, self.began.tick)
        {
            carried.recalled(headers, &known, self.began.tick);
        }
        let target = clean.target();
        let mut text = String::with_capacity(clean.host.len() + target.len());
        text.push_str(&clean.host);
        text.push_str(&target);
        Ok(Asked {
            method: head.method.clone(),
            text,
            host_bytes: clean.host.len(),
            path_bytes: clean.path.len(),
            port: clean.port,
            body: clean.body,
            upgrade: clean.upgrade,
            speaks,
            expects: Expects::of(head, clean.upgrade),
            idempotency_key: IdempotencyKey::of(headers),
            is_anonymous: is_anonymous(head),
            user_agent: headers.get(USER_AGENT).cloned(),
            version: head.version,
            client: client_address(incoming.peer, headers, &plan.trust, &Forwarding::default()),
            carried,
            trace,
            meter: BodyMeter::request(clean.body, u64::MAX)?,
            fresh_meter: BodyMeter::request(clean.body, u64::MAX)?,
        })
    }

    fn trace(&self, incoming: &Incoming<'_>, trusted: Trusted) -> Traced {
        let tracing = &self.planned.plan.tracing;
        let caller = match trusted {
            Trusted::Yes => Caller::Believed,
            Trusted::No => Caller::Stranger,
        };
        let came = tracing.propagation.extract(&incoming.head.headers, caller, &mut Silent);
        let context = Context::begin(came.as_ref(), roll_wide(), roll());
        // A trace that began here has ids we rolled ourselves.
        let ids_from = if came.is_some() { caller } else { Caller::Believed };
        let sampling = tracing.sampler.decide(&context, ids_from, roll());
        let parent = came.as_ref().and_then(|came| match came {
            trace::Incoming::Context { context, .. } => Some(context.span_id),
            trace::Incoming::Decision { .. } => None,
        });
        let came_in = came.as_ref().map(trace::Incoming::format);
        Traced { context: Context { sampling, ..context }, parent, came_in }
    }

    /// A connection that was opened for another host must not reach one that demands a certificate of its clients:
    /// that one's demand was never made (RFC 9110 §15.5.20).
    fn misdirected(&mut self, facts: &Facts, clean: &Clean<'_>) -> Option<Reply> {
        let certificates = self.core.certificates.as_ref()?;
        let shown = certificates.admits(facts, &clean.host);
        (!shown).then(|| self.reply(Denial::Misdirected.into(), None))
    }

    /// What the caller speaks, now that the route is known; and how much body it may send.
    fn speak(&mut self, route: Option<&policies::plan::Route>, head: &Parts) {
        let Some(asked) = &mut self.asked else { return };
        asked.speaks = Speaks::of(head, route);
        let max = route.filter(|route| route.mode == Mode::Enforce).and_then(|route| route.body_max);
        // The announced length was judged by `admit`; this counts what really comes.
        if let Some(Ok(meter)) = max.map(|max| BodyMeter::request(asked.body, max)) {
            (asked.meter, asked.fresh_meter) = (meter, meter);
        }
    }

    pub(super) fn addressed(&mut self, make: impl FnOnce(Listener<'_>) -> Reply) -> Reply {
        let method = self.asked.as_ref().map_or(http::Method::GET, |asked| asked.method.clone());
        let speaks = self.asked.as_ref().map_or(Speaks::Http, |asked| asked.speaks);
        let request_id = self.request_id();
        let reply = make(Listener { method: &method, speaks, request_id: &request_id });
        self.told.bytes_out += reply.body.len() as u64;
        reply
    }

    /// A web page that may call the route may read its refusals, too.
    fn vouched(&self, mut reply: Reply, route: &policies::plan::Route, head: &Parts) -> Reply {
        if let Some(cors) = &route.cors
            && !policies::cors::is_preflight(head)
        {
            cors.vouch(&head.headers, &mut reply.headers);
        }
        reply
    }
}
