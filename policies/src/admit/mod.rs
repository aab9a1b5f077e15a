//! The whole decision about one request, told in order: which route, who, may they, how much, how important, where to.
//!
//! [`admit`] is what both proxies call, and what `explain` calls with a witness that listens. It takes facts and the time,
//! and gives a [`Verdict`]; only here is a [`Permit`] made. For a known token it allocates nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use smallvec::SmallVec;

mod affinity;
mod answer;
mod caller;
mod limits;
mod permit;
mod side;

#[cfg(test)]
mod tests;

pub use affinity::affinity;
pub use answer::{Because, LocalAnswer, Refusal, problem};
pub use caller::Caller;
pub use limits::{StoreAsk, StoreName};
pub use permit::{Entry, Observed, Permit, Standing};
pub use side::{COOKIE, Moved, Stick};

use crate::cors;
use crate::guard::{Body, Clean};
use crate::headers::Carried;
use crate::identity::{Asked, LastToken, Refused};
use crate::plan::{Action, Door, Mode, Plan, Requirement, Route, Side, Tokens};
use crate::request::{Incoming, Priority};
use crate::resilience::deadline::Deadline;
use crate::resilience::fallback::When;
use crate::resilience::fault;
use crate::route::{self, Found};
use crate::time::Now;
use crate::verdict::{Denial, Fault};
use crate::why::{Silent, Witness};

/// Less time than this is not enough for any answer over a network.
const LEAST_USEFUL: Duration = Duration::from_millis(2);

/// Everything a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The request as it came.
    pub incoming: &'a Incoming<'a>,
    /// What the guard made of it.
    pub clean: &'a Clean<'a>,
    /// What trusted callers said about it.
    pub carried: &'a Carried,
    /// The client's address, behind trusted proxies.
    pub client: IpAddr,
    /// The time.
    pub now: Now,
    /// A random number.
    pub roll: u64,
    /// Has this request waited for new keys already?
    pub asked: Asked,
    /// The token that its connection showed last.
    pub last: Option<&'a LastToken>,
}

/// What shall happen.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a permit is the common case, and boxing it would allocate per request"
)]
pub enum Verdict {
    /// Answer this; nobody else is asked.
    Answer(LocalAnswer),
    /// Not decided: fetch the keys of this issuer, and ask again.
    AskKeys {
        /// The issuer.
        tokens: Arc<Tokens>,
        /// The key the token names.
        key_id: Option<Box<str>>,
    },
    /// Send it on.
    Permit(Permit),
    /// Refuse it.
    Refuse(Box<Refusal>),
}

impl Verdict {
    /// What the store of shared limits has to be asked because of this request, whatever its verdict: to be taken once,
    /// and asked off the request's path.
    pub fn take_asks(&mut self) -> Vec<StoreAsk> {
        match self {
            Self::Answer(answer) => std::mem::take(&mut answer.asks),
            Self::AskKeys { .. } => Vec::new(),
            Self::Permit(permit) => std::mem::take(&mut permit.asks),
            Self::Refuse(refusal) => std::mem::take(&mut refusal.asks),
        }
    }
}

/// Why a decision ended early.
enum Stop {
    AskKeys { tokens: Arc<Tokens>, key_id: Option<Box<str>> },
    Refuse(Because, Option<Duration>),
}

impl From<Denial> for Stop {
    fn from(denial: Denial) -> Self {
        Self::Refuse(Because::Denial(denial), None)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Refuse(Because::Fault(fault), None)
    }
}

/// Decides about one request at one door.
pub fn admit(plan: &Plan, door: &Door, ask: &Ask<'_>, why: &mut impl Witness) -> Verdict {
    let head = ask.incoming.head;
    if let Some(answered) = preflight(door, ask, why) {
        return answered;
    }
    let (route, params) = match door.table.find(&question(ask, &head.method), why) {
        Found::Route { index, params } => match door.routes.get(index) {
            Some(route) => (route, params),
            None => return Verdict::Refuse(Box::new(Refusal::unrouted(Because::Fault(Fault::Internal)))),
        },
        Found::MethodNotAllowed { allowed } => {
            return Verdict::Refuse(Box::new(Refusal::not_allowed(&allowed)));
        }
        Found::Nothing => {
            return Verdict::Refuse(Box::new(Refusal::unrouted(Because::Denial(Denial::NoRoute))));
        }
    };
    let mut making = Making {
        plan,
        route,
        ask,
        why,
        observed: SmallVec::new(),
        standing: None,
        asks: Vec::new(),
        delay: None,
    };
    let decided = making.decide();
    let Making { observed, standing, asks, why, delay, .. } = making;
    match decided {
        Ok(Some(permit)) => {
            let path = route
                .path
                .as_ref()
                .map(|edit| edit.apply(&ask.clean.path, |name| params.value(name)).into_owned());
            Verdict::Permit(Permit { path, observed, standing, asks, delay, ..permit })
        }
        Ok(None) => match LocalAnswer::of(route, plan, ask, |name| params.value(name)) {
            Some(answer) => {
                why.note("route", || format!("`{}` answers by itself", route.name));
                Verdict::Answer(LocalAnswer { asks, ..answer })
            }
            None => {
                let refusal = Refusal::of(route, Denial::BadTarget.into(), None);
                Verdict::Refuse(Box::new(Refusal { asks, ..refusal }))
            }
        },
        Err(Stop::AskKeys { tokens, key_id }) => Verdict::AskKeys { tokens, key_id },
        Err(Stop::Refuse(because, retry_after)) => {
            let refusal = Refusal::of(route, because, retry_after);
            Verdict::Refuse(Box::new(Refusal { standing, observed, asks, delay, ..refusal }))
        }
    }
}

/// How much a refusal by one of several issuers says about the token. Most, if its signature was good: then it is this
/// issuer's, and no good. Less, if we cannot know: newer keys or any keys at all might tell, and "cannot know" must not
/// be told as "no good". Least, if it may simply be another issuer's.
fn weight(refused: &Refused) -> u8 {
    match refused {
        Refused::Denial(
            Denial::TokenAudience | Denial::TokenEndless | Denial::TokenExpired | Denial::TokenNotYetValid,
        ) => 5,
        Refused::AskKeys { .. } => 4,
        Refused::Fault(_) => 3,
        Refused::Denial(Denial::TokenMissing) => 0,
        Refused::Denial(Denial::TokenIssuer | Denial::TokenKeyUnknown) => 1,
        Refused::Denial(_) => 2,
    }
}

fn question<'a>(ask: &Ask<'a>, method: &'a Method) -> route::Ask<'a> {
    route::Ask {
        host: &ask.clean.host,
        path: &ask.clean.path,
        query: ask.clean.query,
        method,
        headers: &ask.incoming.head.headers,
    }
}

/// A preflight asks about the request that would follow it, and is answered by that request's route, if it has a CORS
/// policy. If it has none, the OPTIONS is a request like any other: it must meet the policies of its own method's route.
fn preflight(door: &Door, ask: &Ask<'_>, why: &mut impl Witness) -> Option<Verdict> {
    let head = ask.incoming.head;
    let wanted = cors::is_preflight(head).then(|| cors::wanted_method(head)).flatten()?;
    let Found::Route { index, .. } = door.table.find(&question(ask, &wanted), &mut Silent) else {
        return None;
    };
    let route = door.routes.get(index)?;
    Some(match route.cors.as_ref()?.preflight(head, why) {
        Ok(headers) => Verdict::Answer(LocalAnswer::preflight(route, headers)),
        Err(_) if route.mode == Mode::Observe => return None,
        Err(denial) => Verdict::Refuse(Box::new(Refusal::of(route, denial.into(), None))),
    })
}

/// A decision in the making.
struct Making<'a, W> {
    plan: &'a Plan,
    route: &'a Arc<Route>,
    ask: &'a Ask<'a>,
    why: &'a mut W,
    observed: SmallVec<[Observed; 2]>,
    standing: Option<Standing>,
    asks: Vec<StoreAsk>,
    delay: Option<Duration>,
}

impl<W: Witness> Making<'_, W> {
    /// A permit, or nothing if the route answers by itself, or why not.
    fn decide(&mut self) -> Result<Option<Permit>, Stop> {
        let caller = self.caller()?;
        self.body()?;
        self.limits(&caller)?;
        let (side, moved) = match &self.route.action {
            Action::Answer(_) | Action::Redirect(_) => return Ok(None),
            Action::Forward(side) => (side, None),
            Action::Migrate(migration) => {
                let moved = side::choose(migration, &caller, self.ask, self.why);
                (moved.side(migration), Some(moved))
            }
        };
        let priority = self.priority();
        let deadline =
            Deadline::at_edge(self.ask.now.tick, self.route.deadline, self.ask.carried.deadline_left);
        deadline.refuse_if_too_short(self.ask.now.tick, LEAST_USEFUL)?;
        let entry = self.enter(side, priority)?;
        self.fault(deadline)?;
        Ok(Some(Permit {
            route: self.route.clone(),
            generation: self.plan.generation,
            caller,
            priority,
            deadline,
            moved,
            entry,
            delay: None,
            path: None,
            standing: None,
            observed: SmallVec::new(),
            asks: Vec::new(),
        }))
    }

    /// A place in the target's adaptive limit. What is shed is refused, unless the route's fallback has an answer to it.
    fn enter(&mut self, side: &Side, priority: Priority) -> Result<Entry, Stop> {
        let Some((limiter, mode)) = &side.target.overload else { return Ok(Entry::Free) };
        let shed = match limiter.enter(priority, self.ask.now.tick) {
            Ok(ticket) => return Ok(Entry::Inside(ticket)),
            Err(shed) => shed,
        };
        let mode = self.route.mode.and(Some(*mode));
        let fallback = self.route.fallback.as_ref().filter(|_| mode == Mode::Enforce);
        if fallback.is_some_and(|fallback| fallback.when.contains(&When::Overload)) {
            self.why.note("overload", || "shed, and the fallback is asked".to_owned());
            return Ok(Entry::Shed(shed.retry_after));
        }
        let because = Because::Denial(Denial::Overloaded);
        self.refuse_or_observe("overload", mode, because, Some(shed.retry_after))?;
        Ok(Entry::Free)
    }

    /// Refuses, or where the policy only observes, notes that it would have.
    fn refuse_or_observe(
        &mut self,
        about: &'static str,
        mode: Mode,
        because: Because,
        retry_after: Option<Duration>,
    ) -> Result<(), Stop> {
        match mode {
            Mode::Enforce => Err(Stop::Refuse(because, retry_after)),
            Mode::Observe => {
                self.why.note(about, || format!("would refuse with `{}`, but only observes", because.slug()));
                self.observed.push(Observed { about, because });
                Ok(())
            }
        }
    }

    fn caller(&mut self) -> Result<Caller, Stop> {
        let mut caller = Caller::unknown(self.ask);
        let Some(require) = &self.route.require else { return Ok(caller) };
        let demanded = self.demands(require, &mut caller);
        match demanded {
            Ok(()) => Ok(caller),
            Err(Stop::Refuse(because, retry_after)) => {
                self.refuse_or_observe("require", require.mode, because, retry_after)?;
                Ok(caller)
            }
            // A policy that only observes must not make a request wait for keys either.
            Err(ask @ Stop::AskKeys { .. }) if require.mode == Mode::Enforce => Err(ask),
            Err(Stop::AskKeys { .. }) => {
                self.refuse_or_observe(
                    "require",
                    Mode::Observe,
                    Because::Fault(Fault::KeysUnavailable),
                    None,
                )?;
                Ok(caller)
            }
        }
    }

    /// Everything that is named must hold, the cheapest first.
    fn demands(&mut self, require: &Requirement, caller: &mut Caller) -> Result<(), Stop> {
        let headers = &self.ask.incoming.head.headers;
        if let Some(addresses) = &require.addresses {
            addresses.check(self.ask.client, self.why)?;
        }
        if let Some(peers) = &require.peers {
            peers.check(self.ask.incoming.peer.identity.as_ref(), self.why)?;
        }
        if let Some(keys) = &require.api_keys {
            caller.key = Some(keys.find(headers, self.why)?.clone());
        }
        if !require.tokens.is_empty() {
            caller.claims = Some(self.token(&require.tokens, caller)?);
        }
        if let Some(scope) = &require.scope {
            scope.check(caller.scopes(), self.why)?;
        }
        for rule in &require.claims {
            match &caller.claims {
                Some(claims) => rule.check(&claims.all, self.why)?,
                None => return Err(Denial::ClaimMismatch.into()),
            }
        }
        Ok(())
    }

    /// A token of any of these issuers. Of several refusals the one that tells most is given: see [`weight`].
    fn token(
        &mut self,
        issuers: &[Arc<Tokens>],
        caller: &mut Caller,
    ) -> Result<Arc<crate::identity::Claims>, Stop> {
        let mut refused = Refused::Denial(Denial::TokenMissing);
        let mut by = None;
        for tokens in issuers {
            match tokens.check(&self.plan.living.tokens, self.ask, self.why) {
                Ok(claims) => {
                    caller.tokens = Some(tokens.clone());
                    return Ok(claims);
                }
                Err(other) if weight(&other) > weight(&refused) || by.is_none() => {
                    (refused, by) = (other, Some(tokens));
                }
                Err(_) => {}
            }
        }
        Err(match (refused, by) {
            (Refused::AskKeys { key_id }, Some(tokens)) => Stop::AskKeys { tokens: tokens.clone(), key_id },
            (Refused::AskKeys { .. }, None) => Fault::KeysUnavailable.into(),
            (Refused::Denial(denial), _) => denial.into(),
            (Refused::Fault(fault), _) => fault.into(),
        })
    }

    fn body(&mut self) -> Result<(), Stop> {
        match (self.route.body_max, self.ask.clean.body) {
            (Some(max), Body::Length(length)) if length > max => {
                self.why.note("body_limit", || format!("the body has {length} bytes; {max} are allowed"));
                self.refuse_or_observe("body_limit", self.route.mode, Denial::BodyTooLarge.into(), None)
            }
            _ => Ok(()),
        }
    }

    /// What a trusted caller says travels on; a route that speaks for itself can only be made less important by it.
    fn priority(&mut self) -> Priority {
        let priority = match (self.route.priority, self.ask.carried.priority) {
            (Some(own), Some(carried)) => own.max(carried),
            (own, carried) => own.or(carried).unwrap_or_default(),
        };
        self.why.note("priority", || format!("{priority}"));
        priority
    }

    /// A failure made on purpose: a delay, and after it a refusal.
    fn fault(&mut self, deadline: Deadline) -> Result<(), Stop> {
        // The roll also chooses the side of a migration; turned, so that the two have nothing to do with each other.
        let roll = self.ask.roll.rotate_left(17);
        let Some(injected) = self.route.fault.as_ref().and_then(|fault| fault::inject(fault, roll)) else {
            return Ok(());
        };
        if self.route.mode == Mode::Enforce {
            // Nobody is kept longer than he would wait for an answer.
            let left = deadline.left(self.ask.now.tick);
            self.delay = Some(injected.delay.min(left)).filter(|delay| !delay.is_zero());
        }
        match injected.abort {
            Some(status) => self.refuse_or_observe("fault", self.route.mode, Because::Injected(status), None),
            None => Ok(()),
        }
    }
}
