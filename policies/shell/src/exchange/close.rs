//! The end: what is told of a request, to metrics, log and trace. Told once, however the request ends.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use policies::admit::{Because, Observed, Permit};
use policies::balance::Outcome;
use policies::observe::Record;
use policies::overload;
use policies::plan::{Route, Target};
use policies::request::Secure;
use policies::resilience::fallback::Ending;
use policies::resilience::retry::Below;
use policies::verdict::Fault;
use smallvec::SmallVec;

use super::Exchange;
use super::attempt::Stage;
use crate::telemetry::RouteCells;
use crate::upstream::Endpoints;

/// The method of a request nobody could read.
static UNREAD: http::Method = http::Method::GET;

/// What is known of a request so far, for those who count and write.
#[derive(Default)]
pub(super) struct Told {
    pub route: Option<Arc<Route>>,
    pub target: Option<Arc<Target>>,
    pub endpoint: Option<(Arc<Endpoints>, usize)>,
    pub status: Option<StatusCode>,
    pub because: Option<Because>,
    pub observed: SmallVec<[Observed; 2]>,
    pub fell_back: Option<&'static str>,
    pub retries: u32,
    pub retry_after: Option<Duration>,
    pub grpc_status: Option<u8>,
    /// Has somebody nearer to the failure tried again already?
    pub below: Below,
    /// So often it was tried, and the caller is not to try again.
    pub tried: Option<u32>,
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

    pub(super) fn first_byte(&mut self, after: Duration) {
        self.first_byte.get_or_insert(after);
    }
}

impl Exchange {
    /// The request is over: everything that was given or refused has left.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.told.closed, true) {
            return;
        }
        self.time_passed();
        if let Some(carried) = &self.answer.tunnel {
            self.told.bytes_in += carried.up();
            self.told.bytes_out += carried.down();
        }
        self.judge(Outcome::Success, Stage::Over);
        let failed = matches!(self.told.because, Some(Because::Fault(fault)) if Outcome::of_fault(fault) == Outcome::Failure);
        self.measured(if failed { overload::Outcome::Failed } else { overload::Outcome::Ignored });
        self.tell();
    }

    /// Nothing is copied for it: the record borrows what the exchange knows.
    fn tell(&self) {
        let (told, asked, permit) = (&self.told, self.asked.as_ref(), self.permit.as_ref());
        let made;
        let request_id = match asked {
            Some(asked) => &asked.carried.request_id,
            None => {
                made = self.request_id();
                &made
            }
        };
        let observed: SmallVec<[&'static str; 2]> =
            told.observed.iter().map(|observed| observed.because.slug()).collect();
        let caller = permit.map(Permit::caller).and_then(|caller| {
            let subject = caller.claims.as_ref().and_then(|claims| claims.subject.as_deref());
            subject.or(caller.key.as_ref().map(|key| key.name.as_ref()))
        });
        let record = Record {
            at: self.began_at,
            took: self.now.since(self.began.tick),
            first_byte: told.first_byte,
            generation: self.planned.plan.generation,
            way: self.core.way,
            request_id: request_id.as_str(),
            client: asked.map(|asked| asked.client).or(self.facts.as_ref().map(|facts| facts.peer.address)),
            method: asked.map_or(&UNREAD, |asked| &asked.method),
            host: asked.map(super::Asked::host).unwrap_or_default(),
            path: asked.map(super::Asked::path).unwrap_or_default(),
            version: asked.map_or(http::Version::HTTP_11, |asked| asked.version),
            secure: self.facts.as_ref().map_or(Secure::Plain, |facts| facts.peer.secure),
            route: told.route.as_ref().map(|route| &*route.name).unwrap_or_default(),
            target: told.target.as_ref().map(|target| target.name.as_str()).unwrap_or_default(),
            endpoint: told
                .endpoint
                .as_ref()
                .map(|(endpoints, index)| endpoints.name(*index))
                .unwrap_or_default(),
            status: told.status.map(|status| status.as_u16()),
            slug: told.because.map(Because::slug),
            observed: &observed,
            fell_back: told.fell_back,
            attempts: self.calls.made,
            retries: told.retries,
            bytes_in: told.bytes_in,
            bytes_out: told.bytes_out,
            caller,
            priority: permit.map(Permit::priority),
            trace: asked.map(|asked| (asked.trace.context.trace_id.get(), asked.trace.context.span_id.get())),
            user_agent: asked.and_then(|asked| Some(asked.user_agent.as_ref()?.as_bytes())),
        };
        self.server_span(&record);
        self.core.telemetry.finished(self.counted(), &record);
    }

    /// Where this request is counted, as far as it has come.
    pub(super) fn counted(&self) -> &RouteCells {
        self.planned.cells(self.core.way, self.told.route.as_deref(), self.told.target.as_deref())
    }
}

impl Drop for Exchange {
    /// Dropped in the middle: the client went away, or somebody gave the request up.
    fn drop(&mut self) {
        if self.told.closed || self.facts.is_none() {
            return;
        }
        self.time_passed();
        let late = self.permit.as_ref().is_some_and(|permit| permit.deadline().is_over(self.now));
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
