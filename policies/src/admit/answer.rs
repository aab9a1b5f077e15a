//! Answers that are given without asking a target: refusals, fixed answers, redirects, preflights.

use std::sync::Arc;
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use smallvec::SmallVec;

use super::{Ask, Observed, Standing, StoreAsk};
use crate::headers::Forwarding;
use crate::headers::forwarded::client_secure;
use crate::limit::Outcome;
use crate::plan::{Action, Limit, Plan, Redirect, Route};
use crate::request::Secure;
use crate::route::Allowed;
use crate::verdict::{Again, Denial, Fault, Row};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Because {
    /// Policy said no.
    Denial(Denial),
    /// The world failed.
    Fault(Fault),
    /// The document asks for this failure, as a test.
    Injected(StatusCode),
}

impl From<Denial> for Because {
    fn from(denial: Denial) -> Self {
        Self::Denial(denial)
    }
}

impl From<Fault> for Because {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Because {
    /// The row of the table.
    pub const fn row(self) -> Row {
        match self {
            Self::Denial(denial) => denial.row(),
            Self::Fault(fault) => fault.row(),
            Self::Injected(status) => Row { status, ..Denial::InjectedAbort.row() },
        }
    }

    /// The stable name.
    pub const fn slug(self) -> &'static str {
        self.row().slug
    }
}

/// A refusal, with what its answer must carry.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub because: Because,
    /// When it may be tried again, if that is known.
    pub retry_after: Option<Duration>,
    /// The methods this path knows, for a 405.
    pub allow: Option<HeaderValue>,
    /// The refusal is held back for so long first, because the document asks for it, as a test.
    pub delay: Option<Duration>,
    /// The route, if one spoke for the request.
    pub route: Option<Arc<Route>>,
    /// Policies that would have refused, but only observe.
    pub observed: SmallVec<[Observed; 2]>,
    pub(super) standing: Option<Standing>,
    pub(super) asks: Vec<StoreAsk>,
}

impl Refusal {
    pub(super) fn unrouted(because: Because) -> Self {
        Self {
            because,
            retry_after: None,
            allow: None,
            delay: None,
            route: None,
            observed: SmallVec::new(),
            standing: None,
            asks: Vec::new(),
        }
    }

    pub(super) fn of(route: &Arc<Route>, because: Because, retry_after: Option<Duration>) -> Self {
        Self { route: Some(route.clone()), retry_after, ..Self::unrouted(because) }
    }

    pub(super) fn not_allowed(allowed: &Allowed<'_>) -> Self {
        let allow = HeaderValue::from_str(&allowed.to_string()).ok();
        Self { allow, ..Self::unrouted(Because::Denial(Denial::MethodNotAllowed)) }
    }

    /// The limit that refused, and how the caller stands there.
    pub fn standing(&self) -> Option<(&Limit, Outcome)> {
        let standing = self.standing?;
        Some((self.route.as_ref()?.limits.get(standing.limit)?, standing.outcome))
    }
}

/// The problem document of RFC 9457 for a row of the table: slug and request id, never an inner message.
pub fn problem(row: &Row, request_id: &str) -> String {
    serde_json::json!({
        "type": format!("https://banyan.dev/denials#{}", row.slug),
        "title": row.says,
        "status": row.status.as_u16(),
        "slug": row.slug,
        "request_id": request_id,
        "retry": match row.again { Again::Later => "later", Again::Never => "never", Again::OnlyIfIdempotent => "only-if-idempotent" },
    })
    .to_string()
}

/// An answer of the route's own.
#[derive(Debug)]
pub struct LocalAnswer {
    /// The route.
    pub route: Arc<Route>,
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Arc<str>,
    pub(super) asks: Vec<StoreAsk>,
}

impl LocalAnswer {
    fn new(route: &Arc<Route>, status: StatusCode, headers: HeaderMap, body: Arc<str>) -> Self {
        Self { route: route.clone(), status, headers, body, asks: Vec::new() }
    }

    pub(super) fn preflight(route: &Arc<Route>, headers: HeaderMap) -> Self {
        Self::new(route, StatusCode::NO_CONTENT, headers, "".into())
    }

    /// The fixed answer or the redirect of a route; nothing if it cannot be written.
    pub(super) fn of<'p>(
        route: &Arc<Route>,
        plan: &Plan,
        ask: &Ask<'_>,
        parameter: impl Fn(&str) -> Option<&'p str>,
    ) -> Option<Self> {
        let mut headers = HeaderMap::new();
        match &route.action {
            Action::Answer(answer) => {
                headers.extend(answer.headers.iter().cloned());
                Some(Self::new(route, answer.status, headers, answer.body.clone()))
            }
            Action::Redirect(redirect) => {
                headers
                    .insert(LOCATION, HeaderValue::from_str(&location(redirect, plan, ask, parameter)).ok()?);
                Some(Self::new(route, redirect.status, headers, "".into()))
            }
            Action::Forward(_) | Action::Migrate(_) => None,
        }
    }
}

fn location<'p>(
    redirect: &Redirect,
    plan: &Plan,
    ask: &Ask<'_>,
    parameter: impl Fn(&str) -> Option<&'p str>,
) -> String {
    // What the client used, not what the proxy before us did: it may have taken the TLS off.
    let (peer, headers) = (ask.incoming.peer, &ask.incoming.head.headers);
    let scheme = redirect.scheme.as_deref().unwrap_or_else(|| {
        match client_secure(peer, headers, &plan.trust, &Forwarding::default()) {
            Secure::Plain => "http",
            Secure::Tls => "https",
        }
    });
    let host = match (&redirect.host, ask.clean.port) {
        (Some(host), _) => host.clone(),
        // Another scheme has another port, and which one is not ours to guess.
        (None, Some(port)) if redirect.scheme.is_none() => format!("{}:{port}", ask.clean.host),
        (None, _) => ask.clean.host.to_string(),
    };
    let path = redirect
        .path
        .as_ref()
        .map_or_else(|| ask.clean.path.to_string(), |template| template.fill(parameter));
    let query = ask.clean.query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}{path}{query}")
}
