//! Routes, compiled: every policy of a route with its profiles and defaults filled in, and its living state.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use smol_str::SmolStr;

use super::identity::{Identity, Kind, Tokens};
use super::target::{Target, breaker};
use super::{Mode, Notion};
use crate::access::{AddressRules, AddressSettings, ClaimPath, ClaimRule, PeerRules, ScopeRule};
use crate::cors::{Cors, Credentials, Origin};
use crate::document::migrate::{Migrate, Stage};
use crate::document::policy::{self, Policies};
use crate::document::route::Route as Written;
use crate::document::words::{By, Name};
use crate::headers::Edits;
use crate::identity::api_key::ApiKeys;
use crate::limit::lease::{IfStoreDown, Sharing, Terms};
use crate::limit::{Gcra, Quota};
use crate::request::Priority;
use crate::resilience::breaker::Breaker;
use crate::resilience::fallback::{Gives, When};
use crate::resilience::{budget, fault, hedge, retry};
use crate::rewrite::{PathEdit, Template};
use crate::state::{Living, print, stable_hash};
use crate::units::Share;

/// The time a request has where nobody says otherwise: longer than any page, short enough that nothing piles up for ever.
const DEADLINE: Duration = Duration::from_secs(30);

/// A route. What only some routes have lies elsewhere: of thousands of routes the next one asked for is in no cache of the
/// processor, and every line of it that a request looks at is waited for.
#[derive(Debug)]
pub struct Route {
    /// Its name in the document; a short one lies here.
    pub name: SmolStr,
    /// Its place among the routes of its door.
    pub number: usize,
    /// What it does.
    pub action: Action,
    /// Who may call.
    pub require: Option<Box<Requirement>>,
    /// How much.
    pub limits: Box<[Limit]>,
    /// How important; `None` leaves it to a trusted caller, and is normal where nobody says.
    pub priority: Option<Priority>,
    /// The time a request has.
    pub deadline: Duration,
    /// What has to be over by then.
    pub deadline_holds: Holds,
    /// The largest request body.
    pub body_max: Option<u64>,
    /// Trying again.
    pub retry: Option<Box<Retry>>,
    /// A second try for slow reads: after so long.
    pub hedge: Option<Box<Hedge>>,
    /// What is answered when the target cannot.
    pub fallback: Option<Box<Fallback>>,
    /// Failures made on purpose.
    pub fault: Option<Box<fault::Settings>>,
    /// What happens to the path.
    pub path: Option<Box<PathEdit>>,
    /// The Host the target sees, if the route says one.
    pub host: Option<Box<HeaderValue>>,
    /// What happens to the request's header fields.
    pub request_headers: Edits,
    /// What happens to the answer's header fields.
    pub answer_headers: Edits,
    /// Which web pages may call.
    pub cors: Option<Box<Cors>>,
    /// Does it carry gRPC, said or seen?
    pub grpc: Grpc,
    /// Does the route enforce, or only observe?
    pub mode: Mode,
}

/// What a deadline holds for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holds {
    /// The answer has to begin by then. The default's: what nobody wrote must not cut a long download.
    ForTheBeginning,
    /// The answer has to be over by then.
    ToTheEnd,
}

/// Does a route carry gRPC?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Grpc {
    /// The document says so.
    Always,
    /// Seen by content type.
    IfSeen,
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Answers by itself.
    Answer(Box<FixedAnswer>),
    /// Sends on.
    Forward(Side),
    /// Sends on, to one of two.
    Migrate(Box<Migration>),
    /// Sends the client elsewhere.
    Redirect(Box<Redirect>),
}

/// A target of a route, with the breaker between the two.
#[derive(Clone, Debug)]
pub struct Side {
    /// The target.
    pub target: Arc<Target>,
    /// The route's breaker to this target, or the target's own.
    pub breaker: Option<(Arc<Breaker>, Mode)>,
}

/// Two targets and the way from one to the other.
#[derive(Debug)]
pub struct Migration {
    /// The old side.
    pub from: Side,
    /// The new side.
    pub to: Side,
    /// What keeps a caller on one side.
    pub stick_to: CountedBy,
    /// The share of callers on the new side.
    pub share: Share,
    /// As written: stages, gates, shadowing.
    pub written: Migrate,
    /// Does it move anybody?
    pub mode: Mode,
}

/// An answer given without asking anybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FixedAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Arc<str>,
}

/// Where a client is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Another scheme.
    pub scheme: Option<String>,
    /// Another host.
    pub host: Option<String>,
    /// Another path.
    pub path: Option<Template>,
}

/// Who may call.
#[derive(Debug)]
pub struct Requirement {
    /// A token of one of these.
    pub tokens: Vec<Arc<Tokens>>,
    /// A key of these.
    pub api_keys: Option<Arc<ApiKeys>>,
    /// With these scopes.
    pub scope: Option<ScopeRule>,
    /// With these claims.
    pub claims: Vec<ClaimRule>,
    /// From these addresses.
    pub addresses: Option<AddressRules>,
    /// From these workloads.
    pub peers: Option<PeerRules>,
    /// Does it refuse, or only say so?
    pub mode: Mode,
}

/// One limit.
#[derive(Debug)]
pub struct Limit {
    /// Its name in `RateLimit` headers.
    pub name: String,
    /// Who is counted.
    pub per: CountedBy,
    /// As written.
    pub rate: crate::units::Rate,
    /// The arithmetic.
    pub gcra: Gcra,
    /// Tells its buckets from those of every other limit, and from its own before it was changed.
    pub id: u64,
    /// Is it counted together by all replicas, and if so, on what terms?
    pub shared: Option<Arc<Terms>>,
    /// Does it refuse, or only say so?
    pub mode: Mode,
}

/// Who is counted, or kept together.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "as in the document")]
pub enum CountedBy {
    Address,
    Claim(ClaimPath),
    Cookie(String),
    Header(HeaderName),
    Key,
    Peer,
    Route,
    User,
}

impl CountedBy {
    fn compile(by: &By) -> Self {
        match by {
            By::Address => Self::Address,
            By::Claim(path) => ClaimPath::parse(path).map_or(Self::User, Self::Claim),
            By::Cookie(name) => Self::Cookie(name.clone()),
            By::Header(name) => Self::Header(name.clone()),
            By::Key => Self::Key,
            By::Peer => Self::Peer,
            By::Route => Self::Route,
            By::User => Self::User,
        }
    }
}

/// Trying again.
#[derive(Debug)]
pub struct Retry {
    /// When and how often.
    pub settings: retry::Settings,
    /// How much of it in all.
    pub budget: Arc<budget::Budget>,
    /// Does it try again, or only say so?
    pub mode: Mode,
}

/// A second try beside a slow first one.
#[derive(Clone, Debug)]
pub struct Hedge {
    /// When.
    pub settings: hedge::Settings,
    /// What pays for it: the same that pays for retries.
    pub budget: Arc<budget::Budget>,
    /// Is it made?
    pub mode: Mode,
}

/// What is answered when the target cannot.
#[derive(Debug)]
pub struct Fallback {
    /// What.
    pub give: FallbackAnswer,
    /// After which failures.
    pub when: Vec<When>,
}

impl Fallback {
    /// What kind of thing it gives, for the decision whether it may.
    pub fn gives(&self) -> Gives {
        match self.give {
            FallbackAnswer::Fixed(_) => Gives::Answer,
            FallbackAnswer::LastGood(_) => Gives::LastGood,
            FallbackAnswer::Target(_) => Gives::Target,
        }
    }
}

/// What a fallback gives.
#[derive(Debug)]
pub enum FallbackAnswer {
    /// A fixed answer.
    Fixed(FixedAnswer),
    /// The last good answer, if it is not older.
    LastGood(Duration),
    /// Another target's.
    Target(Side),
}

/// Compiles one route. Everything was checked when the document was loaded; what still cannot be is left out, and
/// `notion.trouble` says so, which makes the whole plan fail.
pub(super) fn compile(
    notion: &mut Notion<'_>,
    number: usize,
    path: &str,
    written: &Written,
    own: Policies<'_>,
    home: Option<&Arc<Target>>,
) -> Option<Route> {
    let name = written.name.as_ref().map_or("", Name::as_str);
    let mode = own.mode.unwrap_or_default();
    let breaker = own.breaker.map(|breaker| (breaker, mode));
    Some(Route {
        name: name.into(),
        number,
        action: action(notion, path, written, home, breaker, mode)?,
        require: own.require.map(|require| Box::new(requirement(notion, path, require, mode))),
        limits: own
            .limit
            .iter()
            .flat_map(|list| &list.0)
            .enumerate()
            .filter_map(|(n, limit)| self::limit(notion, path, n, limit, mode))
            .collect(),
        priority: own.priority.map(priority),
        deadline: own.deadline.map_or(DEADLINE, |wait| wait.0),
        deadline_holds: own.deadline.map_or(Holds::ForTheBeginning, |_| Holds::ToTheEnd),
        body_max: own.body_limit.map(|bytes| bytes.0),
        retry: own.retry.map(|retry| Box::new(retrying(notion, path, retry, mode))),
        hedge: own.hedge.map(|hedge| Box::new(hedging(notion, path, hedge, own.retry, mode))),
        fallback: own
            .fallback
            .and_then(|fallback| falling_back(notion, path, fallback, breaker))
            .map(Box::new),
        fault: own.fault.map(|fault| {
            Box::new(fault::Settings {
                share: fault.share.unwrap_or_default(),
                delay: fault.delay.map(|wait| wait.0),
                abort: fault.abort.and_then(|status| StatusCode::from_u16(status).ok()),
            })
        }),
        path: own.rewrite.and_then(path_edit).map(Box::new),
        host: own
            .rewrite
            .and_then(|rewrite| HeaderValue::from_str(rewrite.host.as_deref()?).ok())
            .map(Box::new),
        request_headers: own.headers.and_then(|headers| edits(headers.request.as_ref()?)).unwrap_or_default(),
        answer_headers: own.headers.and_then(|headers| edits(headers.response.as_ref()?)).unwrap_or_default(),
        cors: own.cors.map(|cors| Box::new(sharing(cors, written))),
        grpc: if written.grpc { Grpc::Always } else { Grpc::IfSeen },
        mode,
    })
}

fn action(
    notion: &mut Notion<'_>,
    path: &str,
    written: &Written,
    home: Option<&Arc<Target>>,
    breaker: OwnBreaker<'_>,
    mode: Mode,
) -> Option<Action> {
    if let Some(answer) = &written.answer {
        return Some(Action::Answer(Box::new(fixed(answer))));
    }
    if let Some(redirect) = &written.redirect {
        return Some(Action::Redirect(Box::new(Redirect {
            status: redirect
                .status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::PERMANENT_REDIRECT),
            scheme: redirect.scheme.clone(),
            host: redirect.host.clone(),
            path: redirect.path.as_deref().and_then(|path| Template::parse(path).ok()),
        })));
    }
    if let Some(migrate) = &written.migrate {
        return Some(Action::Migrate(Box::new(Migration {
            from: side(notion, path, notion.target(migrate.from.as_str())?, breaker),
            to: side(notion, path, notion.target(migrate.to.as_str())?, breaker),
            stick_to: migrate.stick_to.as_ref().map_or(CountedBy::User, CountedBy::compile),
            share: first_share(migrate),
            written: migrate.clone(),
            mode: mode.and(migrate.mode),
        })));
    }
    let to = match &written.to {
        Some(to) => notion.target(to.as_str()),
        None => home.cloned(),
    };
    Some(Action::Forward(side(notion, path, to?, breaker)))
}

/// The share a migration begins with.
fn first_share(migrate: &Migrate) -> Share {
    match (migrate.share, migrate.plan.as_deref()) {
        (Some(share), _) => share,
        (None, Some([Stage::Share(share), ..])) => *share,
        (None, _) => Share::NONE,
    }
}

/// The breaker a route has for itself, and whether the route only observes.
type OwnBreaker<'a> = Option<(&'a policy::Breaker, Mode)>;

fn side(notion: &Notion<'_>, path: &str, target: Arc<Target>, own: OwnBreaker<'_>) -> Side {
    let breaker = match (own, &target.breaker) {
        (Some((own, mode)), _) => {
            let (state, own) = breaker(&format!("{path}/{}", target.name), own, notion.living);
            Some((state, mode.and(Some(own))))
        }
        (None, Some(shared)) => Some(breaker(&target.name, shared, notion.living)),
        (None, None) => None,
    };
    Side { target, breaker }
}

fn fixed(answer: &policy::Answer) -> FixedAnswer {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter_map(|(field, value)| Some((field.0.clone(), HeaderValue::from_str(value).ok()?)))
        .collect();
    if !headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE) && answer.body.is_some() {
        headers.push((http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")));
    }
    FixedAnswer {
        status: answer.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK),
        headers,
        body: answer.body.clone().unwrap_or_default().into(),
    }
}

fn requirement(notion: &mut Notion<'_>, path: &str, written: &policy::Require, mode: Mode) -> Requirement {
    let mut tokens = Vec::new();
    for name in written.jwt.iter().flat_map(|names| &names.0) {
        if let Some(Identity { kind: Kind::Tokens(issuer), .. }) = notion.identity(name) {
            tokens.push(issuer.clone());
        }
    }
    let api_keys = written.api_key.as_ref().and_then(|name| match notion.identity(name) {
        Some(Identity { kind: Kind::ApiKeys(keys), .. }) => Some(keys.clone()),
        _ => None,
    });
    let scope = written.scope.as_ref().and_then(|text| notion.good(path, ScopeRule::parse(text.as_str())));
    let claims = written.claims.iter().filter_map(|(claim, values)| {
        let values = values.0.iter().map(|value| serde_json::Value::String(value.clone())).collect();
        notion.good(path, ClaimPath::parse(claim).and_then(|claim| ClaimRule::new(claim, values)))
    });
    let claims = claims.collect();
    let peers = written.peers.as_ref().and_then(|list| {
        let list: Vec<String> = list.0.iter().map(|peers| peers.0.clone()).collect();
        let rules = PeerRules::compile(&list, notion.domain.as_deref());
        notion.good(path, rules)
    });
    let addresses = written.addresses.as_ref().map(|addresses| {
        let networks = |list: &[crate::document::words::Network]| {
            list.iter().map(|network| network.0).collect::<Vec<_>>()
        };
        let allow = Some(networks(&addresses.allow)).filter(|list| !list.is_empty());
        AddressRules::compile(&AddressSettings { allow, deny: networks(&addresses.deny) })
    });
    Requirement { tokens, api_keys, scope, claims, addresses, peers, mode: mode.and(written.mode) }
}

fn limit(
    notion: &mut Notion<'_>,
    path: &str,
    n: usize,
    written: &policy::Limit,
    mode: Mode,
) -> Option<Limit> {
    let quota = Quota { count: written.rate.count, per: written.rate.per, burst: written.burst };
    let gcra = notion.good(path, quota.compile())?;
    let shared = sharing_limit(notion.living, written).map(|sharing| Arc::new(Terms::new(gcra, &sharing)));
    Some(Limit {
        name: format!("{}", written.per),
        per: CountedBy::compile(&written.per),
        rate: written.rate,
        gcra,
        // The position is part of it: two equal limits of one route are still two.
        id: stable_hash(&(path, n, print(&(&written.per, quota)))),
        shared,
        mode: mode.and(written.mode),
    })
}

/// A limit that says nothing is shared where there is a store; one that asks for it is shared even where there is none,
/// and then does what it says for a store that is down.
fn sharing_limit(living: &Living, written: &policy::Limit) -> Option<Sharing> {
    let asked = written.shared == Some(true) || written.if_store_down.is_some();
    let if_store_down = match written.if_store_down.unwrap_or_default() {
        policy::IfStoreDown::Closed => IfStoreDown::Closed,
        policy::IfStoreDown::Local => IfStoreDown::Local,
        policy::IfStoreDown::Open => IfStoreDown::Open,
    };
    (written.shared != Some(false) && (asked || living.leases.is_some())).then(|| Sharing {
        replicas: living.replicas,
        if_store_down,
        ..Sharing::default()
    })
}

fn priority(written: policy::Priority) -> Priority {
    match written {
        policy::Priority::Critical => Priority::Critical,
        policy::Priority::Normal => Priority::Normal,
        policy::Priority::Sheddable => Priority::Sheddable,
    }
}

fn retrying(notion: &mut Notion<'_>, path: &str, written: &policy::Retry, mode: Mode) -> Retry {
    let defaults = retry::Settings::default();
    let settings = retry::Settings {
        attempts: written.attempts.unwrap_or(2),
        on: written.on.as_ref().map_or_else(|| defaults.on.clone(), |list| conditions(&list.0)),
        backoff_base: written.backoff.map_or(Duration::from_millis(25), |wait| wait.0),
        backoff_max: written.backoff_max.map_or(Duration::from_secs(1), |wait| wait.0),
        per_try: written.per_try.map(|wait| wait.0),
        replay_body_max: written.body_max.map_or(64 << 10, |bytes| bytes.0),
        ..defaults
    };
    Retry { settings, budget: budget(notion, path, Some(written)), mode: mode.and(written.mode) }
}

/// Retries and second tries of a route are paid from one budget.
fn budget(notion: &mut Notion<'_>, path: &str, retry: Option<&policy::Retry>) -> Arc<budget::Budget> {
    let ratio = retry.and_then(|retry| retry.budget).map_or(0.2, Share::ratio);
    let settings = budget::Settings { ratio, ..budget::Settings::default() };
    notion.living.keep("budget", path, &settings, || budget::Budget::new(&settings))
}

fn hedging(
    notion: &mut Notion<'_>,
    path: &str,
    written: &policy::Hedge,
    retry: Option<&policy::Retry>,
    mode: Mode,
) -> Hedge {
    let settings =
        hedge::Settings { after: hedge::After::Fixed(written.after.0), ..hedge::Settings::default() };
    Hedge { settings, budget: budget(notion, path, retry), mode: mode.and(written.mode) }
}

fn conditions(list: &[policy::RetryOn]) -> retry::Conditions {
    let mut on = retry::Conditions {
        connect: false,
        refused: false,
        reset: false,
        timeout: false,
        statuses: Vec::new(),
        grpc: Vec::new(),
    };
    for condition in list {
        match condition {
            // A stream the target refused was never worked on, as a connection that failed was not.
            policy::RetryOn::Connect => (on.connect, on.refused) = (true, true),
            policy::RetryOn::Grpc(code) => on.grpc.push(*code),
            policy::RetryOn::Reset => on.reset = true,
            policy::RetryOn::Status(status) => on.statuses.extend(StatusCode::from_u16(*status)),
            policy::RetryOn::Timeout => on.timeout = true,
        }
    }
    on
}

fn falling_back(
    notion: &mut Notion<'_>,
    path: &str,
    written: &policy::Fallback,
    breaker: OwnBreaker<'_>,
) -> Option<Fallback> {
    use When::{Breaker, Bulkhead, Connect, NoEndpoint, Overload, Reset, Timeout};
    let give = if let Some(to) = &written.to {
        FallbackAnswer::Target(side(notion, path, notion.target(to.as_str())?, breaker))
    } else if let Some(age) = written.last_good {
        FallbackAnswer::LastGood(age.0)
    } else {
        FallbackAnswer::Fixed(fixed(&written.answer.clone().unwrap_or_default()))
    };
    let when = written.when.clone().map(|list| list.0);
    let when = when.unwrap_or_else(|| vec![Breaker, Bulkhead, Connect, NoEndpoint, Overload, Reset, Timeout]);
    Some(Fallback { give, when })
}

fn path_edit(written: &policy::Rewrite) -> Option<PathEdit> {
    if let Some(path) = &written.path {
        return Template::parse(path).ok().map(PathEdit::Whole);
    }
    let strip = written.strip_prefix.clone().unwrap_or_default();
    let add = written.add_prefix.clone().unwrap_or_default();
    (!strip.is_empty() || !add.is_empty()).then_some(PathEdit::Prefix { strip, add })
}

fn edits(written: &policy::HeaderEdits) -> Option<Edits> {
    let fields = |map: &std::collections::BTreeMap<crate::document::words::Field, String>| {
        map.iter()
            .filter_map(|(field, value)| Some((field.0.clone(), HeaderValue::from_str(value).ok()?)))
            .collect()
    };
    Edits::new(
        fields(&written.set),
        fields(&written.add),
        written.remove.iter().map(|field| field.0.clone()).collect(),
    )
    .ok()
}

fn sharing(written: &policy::Cors, route: &Written) -> Cors {
    let methods = written.methods.as_ref().unwrap_or(&route.method.0);
    Cors {
        origins: written.origins.iter().map(|origin| Origin::parse(origin)).collect(),
        methods: methods.iter().map(|method| method.0.clone()).collect(),
        headers: written.headers.as_ref().map(|list| list.iter().map(|field| field.0.clone()).collect()),
        expose: written.expose.iter().map(|field| field.0.clone()).collect(),
        credentials: if written.credentials { Credentials::Allowed } else { Credentials::Refused },
        max_age_secs: written.max_age.map_or(600, |wait| wait.0.as_secs()),
    }
}
