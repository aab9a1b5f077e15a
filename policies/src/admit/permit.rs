//! The permit: a value that only [`super::admit`] makes, and without which nothing is forwarded.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Because, Caller, Moved, StoreAsk};
use crate::limit::Outcome;
use crate::overload::Ticket;
use crate::plan::{Action, Limit, Route, Side};
use crate::request::Priority;
use crate::resilience::deadline::Deadline;

/// Leave to send one request on, and what was decided about how.
#[derive(Debug)]
pub struct Permit {
    pub(super) route: Arc<Route>,
    pub(super) generation: u64,
    pub(super) caller: Caller,
    pub(super) priority: Priority,
    pub(super) deadline: Deadline,
    pub(super) moved: Option<Moved>,
    pub(super) entry: Entry,
    pub(super) delay: Option<Duration>,
    pub(super) path: Option<String>,
    pub(super) standing: Option<Standing>,
    pub(super) observed: SmallVec<[Observed; 2]>,
    pub(super) asks: Vec<StoreAsk>,
}

/// How a request stands with its target's adaptive limit.
#[derive(Debug)]
pub enum Entry {
    /// There is none, or it only observes.
    Free,
    /// It has a place, to be finished with the outcome.
    Inside(Ticket),
    /// There is no place for it, and none before this time: only the route's fallback may be asked.
    Shed(Duration),
}

/// How a caller stands with the limit that binds it most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    pub(super) limit: usize,
    /// What the limit said.
    pub outcome: Outcome,
}

/// A policy that would have refused, but only observes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Observed {
    /// Which policy.
    pub about: &'static str,
    /// Why it would have.
    pub because: Because,
}

impl Permit {
    /// The route, which stays the one this request began with.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The generation of the plan.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How important it is.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// When it must be over.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Which side of a migration it is on.
    pub fn moved(&self) -> Option<Moved> {
        self.moved
    }

    /// The target, and the breaker before it. A route that answers by itself never makes a permit.
    pub fn side(&self) -> Option<&Side> {
        match (&self.route.action, self.moved) {
            (Action::Forward(side), _) => Some(side),
            (Action::Migrate(migration), Some(moved)) => Some(moved.side(migration)),
            _ => None,
        }
    }

    /// How it stands with the target's adaptive limit.
    pub fn take_entry(&mut self) -> Entry {
        std::mem::replace(&mut self.entry, Entry::Free)
    }

    /// A delay made on purpose.
    pub fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// The path for the target, where the route rewrites it.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The limit that binds the caller most, and how it stands there.
    pub fn standing(&self) -> Option<(&Limit, Outcome)> {
        let standing = self.standing?;
        Some((self.route.limits.get(standing.limit)?, standing.outcome))
    }

    /// The policies that would have refused, but only observe.
    pub fn observed(&self) -> &[Observed] {
        &self.observed
    }
}
