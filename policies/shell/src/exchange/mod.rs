//! One request's life, in words no engine knows. This is the seam: Pingora's `HttpProxy` and every other data path ask
//! the same questions here, in the same order, and do what they are told.
//!
//! Read [`Exchange`] first. An engine calls, in this order:
//! [`Exchange::open`] with the head as it came (guard, trust, trace, the whole admission) -> [`Opening`];
//! per attempt [`Exchange::next_attempt`] (breaker, bulkhead, endpoint) -> [`Attempt`], [`Exchange::dress_request`] on the
//! head that goes out, [`Exchange::request_chunk`] for each part of the body; when the answer's head is there
//! [`Exchange::answered`], then [`Exchange::dress_answer`] and [`Exchange::answer_chunk`]; whenever an attempt fails
//! [`Exchange::failed`], which says whether there is another -> [`Then`]. At the end [`Exchange::close`]; an exchange that is
//! merely dropped tells the logs that it broke off.
//!
//! It holds no rule: each of these steps asks `policies`. It knows no socket either.

mod answer;
mod attempt;
mod close;
mod core;
mod failure;
mod hedge;
mod last_good;
mod line;
mod opening;
mod outgoing;
mod planned;
mod refuse;
mod spans;
mod watch;

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use policies::admit::Permit;
use policies::guard::{Body, BodyMeter, Upgrade};
use policies::headers::{Carried, RequestId};
use policies::plan::{Expects, Side};
use policies::reply::{Reply, Speaks};
use policies::resilience::repeat::IdempotencyKey;
use policies::time::{Now, Tick};
use policies::trace;
use policies::verdict::Fault;

pub use self::answer::Part;
pub use self::attempt::Attempt;
pub use self::core::Core;
pub use self::failure::{Breakage, Broke, Then};
pub use self::hedge::Which;
pub use self::last_good::LastGood;
pub use self::line::Line;
pub use self::opening::{Connection, Head, Opening};
pub use self::planned::Planned;
pub use self::refuse::{refuse, wire};
pub use self::watch::Watch;

use crate::listen::Facts;

/// One request, from its head to its last byte.
pub struct Exchange {
    core: Arc<Core>,
    planned: Arc<Planned>,
    watch: Arc<Watch>,
    facts: Option<Arc<Facts>>,
    began: Now,
    /// The same on the wall clock, since 1970.
    began_at: std::time::Duration,
    /// When the clock was last read: at the beginning, and then whenever something was waited for.
    now: Tick,
    asked: Option<Asked>,
    permit: Option<Permit>,
    calls: attempt::Calls,
    answer: answer::State,
    told: close::Told,
}

/// What of the request is needed when its head is no longer at hand.
struct Asked {
    method: Method,
    /// Host and target, in one piece of memory.
    text: String,
    host_bytes: usize,
    path_bytes: usize,
    port: Option<u16>,
    body: Body,
    upgrade: Option<Upgrade>,
    speaks: Speaks,
    expects: Expects,
    idempotency_key: IdempotencyKey,
    /// It carries neither token nor cookie: everybody would get the same answer.
    is_anonymous: bool,
    user_agent: Option<http::HeaderValue>,
    version: http::Version,
    client: IpAddr,
    carried: Carried,
    trace: Traced,
    /// Counts the request's body as it goes to the target of this attempt ...
    meter: BodyMeter,
    /// ... and as it would from the beginning.
    fresh_meter: BodyMeter,
}

/// The span of this request.
struct Traced {
    context: trace::Context,
    /// The caller's span, if it is believed or kept.
    parent: Option<std::num::NonZeroU64>,
    came_in: Option<trace::Format>,
}

impl Asked {
    fn host(&self) -> &str {
        self.text.get(..self.host_bytes).unwrap_or_default()
    }

    /// The target as the guard understood it: path and query.
    fn target(&self) -> &str {
        self.text.get(self.host_bytes..).unwrap_or_default()
    }

    fn path(&self) -> &str {
        self.target().get(..self.path_bytes).unwrap_or_default()
    }
}

impl Exchange {
    /// A request is about to be read. It keeps the plan of this moment.
    pub fn begin(core: Arc<Core>, watch: Arc<Watch>) -> Self {
        let (planned, began) = (core.planned(), crate::clock::now());
        Self {
            core,
            planned,
            watch,
            facts: None,
            began,
            began_at: crate::clock::unix_at(began.tick),
            now: began.tick,
            asked: None,
            permit: None,
            calls: attempt::Calls::default(),
            answer: answer::State::default(),
            told: close::Told::default(),
        }
    }

    /// When the clock was last read for this request.
    pub fn now(&self) -> Tick {
        self.now
    }

    fn request_id(&self) -> RequestId {
        self.asked
            .as_ref()
            .map_or_else(|| RequestId::made_from(roll_wide()), |asked| asked.carried.request_id.clone())
    }

    fn side(&self) -> Option<&Side> {
        self.calls.side(self.permit.as_ref()?)
    }

    /// Something was waited for: reads the clock.
    fn time_passed(&mut self) {
        self.now = crate::clock::tick();
    }

    /// An answer of ours for the client, and what the logs will say of it.
    fn reply(
        &mut self,
        because: policies::admit::Because,
        retry_after: Option<std::time::Duration>,
    ) -> Reply {
        self.told.because(because);
        if because == policies::admit::Because::Fault(Fault::Internal) {
            log::error!(target: "banyan", "request {} ends with {}", self.request_id(), because.slug());
        }
        self.addressed(|to| Reply::because(because, retry_after, to))
    }
}

/// A random number.
fn roll() -> u64 {
    fastrand::u64(..)
}

fn roll_wide() -> u128 {
    fastrand::u128(..)
}
