//! The end: what is told of a request, to metrics, log and trace. Told once, however the request ends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use policies::admit::{Because, Observed};
use policies::balance::Outcome;
use policies::overload;
use policies::plan::{Route, Target};
use policies::resilience::fallback::Ending;
use policies::time::Tick;
use policies::verdict::Fault;
use smallvec::SmallVec;

use super::Exchange;
use super::attempt::{Current, Stage};
use crate::telemetry::Worker;

/// What is known of a request so far, for those who count and write.
#[derive(Default)]
pub(super) struct Told {
    pub route: Option<Arc<Route>>,
    pub target: Option<Arc<Target>>,
    pub endpoint: String,
    pub status: Option<StatusCode>,
    pub because: Option<Because>,
    pub observed: SmallVec<[Observed; 2]>,
    pub fell_back: Option<&'static str>,
    pub retries: u32,
    pub retry_after: Option<Duration>,
    pub grpc_status: Option<u8>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub first_byte: Option<Duration>,
    closed: bool,
}

impl Told {
    pub(super) fn route(&mut self, route: &Arc<Route>) {
        self.route = Some(route.clone());
    }

    /// The request ends because of this.
    pub(super) fn because(&mut self, because: Because) {
        self.because = Some(because);
        if self.first_byte.is_none() {
            self.status = Some(because.row().status);
        }
    }

    /// The request is answered by ourselves with this status.
    pub(super) fn local(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The target answered with this status.
    pub(super) fn answer(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    pub(super) fn observed(&mut self, observed: &[Observed]) {
        self.observed.extend_from_slice(observed);
    }

    /// A policy that only observes would have refused.
    pub(super) fn would_refuse(&mut self, about: &'static str, because: Because) {
        self.observed.push(Observed { about, because });
    }

    /// The route's fallback answers, because of this.
    pub(super) fn fell_back(&mut self, ending: Ending) {
        self.fell_back = Some(match ending {
            Ending::Denied(denial) => denial.slug(),
            Ending::Failed(fault) => fault.slug(),
            Ending::Status(_) => "status",
        });
    }

    pub(super) fn first_byte(&mut self, began: Tick) {
        if self.first_byte.is_none() {
            self.first_byte = Some(crate::clock::tick().since(began));
        }
    }

    pub(super) fn attempt(&mut self, current: &Current, outcome: Outcome, now: Tick, telemetry: &Worker) {
        self.target = Some(current.target.clone());
        self.endpoint.clone_from(&current.endpoint);
        let how = match outcome {
            Outcome::Busy => "busy",
            Outcome::Failure => "failure",
            Outcome::Neutral => "neutral",
            Outcome::Success => "success",
        };
        telemetry.attempt(&current.target.name, how, now.since(current.began));
    }
}

impl Exchange {
    /// The request is over: everything that was given or refused has left.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.told.closed, true) {
            return;
        }
        self.judge(Outcome::Success, Stage::Over);
        let failed = matches!(self.told.because, Some(Because::Fault(fault)) if Outcome::of_fault(fault) == Outcome::Failure);
        self.measured(if failed { overload::Outcome::Failed } else { overload::Outcome::Ignored });
        self.tell();
    }

    fn tell(&mut self) {
        let cells = self.planned.cells(self.told.route.as_ref(), self.told.target.as_ref());
        self.core.telemetry.finished(cells);
    }
}

impl Drop for Exchange {
    /// Dropped in the middle: the client went away, or somebody gave the request up.
    fn drop(&mut self) {
        if self.told.closed || self.facts.is_none() {
            return;
        }
        let late = self.permit.as_ref().is_some_and(|permit| permit.deadline().is_over(self.tick()));
        let fault = if late { Fault::DeadlineExceeded } else { Fault::ClientGone };
        self.judge(Outcome::of_fault(fault), Stage::Over);
        if late && !self.answer.begun {
            let reply = self.reply(Because::Fault(fault), None);
            self.watch.leave_words(reply);
        } else if self.told.because.is_none() {
            self.told.because(Because::Fault(fault));
        }
        self.close();
    }
}
