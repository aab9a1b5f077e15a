//! The policies a route, a profile, a call or the inbound side can carry.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::many::OneOrMany;
use super::words::{By, Field, MethodWord, Name, Network, Peers, Scope, wrong};
use crate::resilience::fallback::When as FallbackWhen;
use crate::units::{Bytes, OpenAt, Rate, Share, Unit, UnitError, Wait, readable};

readable!(FallbackWhen, RetryOn);

/// Does a policy act, or only say what it would do?
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It acts.
    #[default]
    Enforce,
    /// It decides, counts and logs, and never changes an answer.
    Observe,
}

impl Mode {
    /// Observes if the route does, or if the policy itself does.
    #[must_use]
    pub fn and(self, own: Option<Self>) -> Self {
        if self == Self::Observe { self } else { own.unwrap_or_default() }
    }
}

/// Adds the policies to a block that has keys of its own: they stand in this list, and nowhere else.
macro_rules! with_policies {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$own_meta:meta])* pub $own:ident: $own_type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, serde::Deserialize, Eq, Hash, schemars::JsonSchema, PartialEq, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$own_meta])* pub $own: $own_type,)*
            /// Profiles whose policies apply where this block has none of its own; of several, the first that has one.
            #[serde(rename = "use")]
            pub profiles: $crate::document::many::OneOrMany<$crate::document::words::Name>,
            /// `observe` turns every policy of this block into one that only says what it would do. Default: `enforce`.
            pub mode: Option<$crate::document::policy::Mode>,
            /// Who may call.
            pub require: Option<$crate::document::policy::Require>,
            /// How much each caller may call. Several limits apply together: a request needs room in all of them.
            pub limit: Option<$crate::document::many::OneOrMany<$crate::document::policy::Limit>>,
            /// How important these requests are under pressure: `critical`, `normal` or `sheddable`. Default: `normal`.
            pub priority: Option<$crate::document::policy::Priority>,
            /// The time a request has in all, every attempt and wait and the whole answer included. Default: `30s` for the answer to begin, and as long as it keeps moving for its body.
            pub deadline: Option<$crate::units::Wait>,
            /// The largest request body. A larger one gets a readable 413. Default: no bound.
            pub body_limit: Option<$crate::units::Bytes>,
            /// Trying again, where that is safe. Default: never.
            pub retry: Option<$crate::document::policy::Retry>,
            /// A second try for a slow read. Default: never.
            pub hedge: Option<$crate::document::policy::Hedge>,
            /// Pauses the route when too many of its calls fail. Default: the target's.
            pub breaker: Option<$crate::document::policy::Breaker>,
            /// What to answer when the target cannot. Default: the error.
            pub fallback: Option<$crate::document::policy::Fallback>,
            /// Failures made on purpose, for tests. Default: none.
            pub fault: Option<$crate::document::policy::InjectedFault>,
            /// Changes to the path and host on the way to the target.
            pub rewrite: Option<$crate::document::policy::Rewrite>,
            /// Changes to header fields, both ways.
            pub headers: Option<$crate::document::policy::Headers>,
            /// Which web pages of other origins may call.
            pub cors: Option<$crate::document::policy::Cors>,
        }

        impl $name {
            /// Its policies alone.
            pub fn policies(&self) -> $crate::document::policy::Policies<'_> {
                $crate::document::policy::Policies {
                    mode: self.mode,
                    require: self.require.as_ref(),
                    limit: self.limit.as_ref(),
                    priority: self.priority,
                    deadline: self.deadline,
                    body_limit: self.body_limit,
                    retry: self.retry.as_ref(),
                    hedge: self.hedge.as_ref(),
                    breaker: self.breaker.as_ref(),
                    fallback: self.fallback.as_ref(),
                    fault: self.fault.as_ref(),
                    rewrite: self.rewrite.as_ref(),
                    headers: self.headers.as_ref(),
                    cors: self.cors.as_ref(),
                }
            }
        }
    };
}
pub(super) use with_policies;

/// The policies of a block, wherever they came from.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "each is documented where it stands in the document")]
pub struct Policies<'a> {
    pub mode: Option<Mode>,
    pub require: Option<&'a Require>,
    pub limit: Option<&'a OneOrMany<Limit>>,
    pub priority: Option<Priority>,
    pub deadline: Option<Wait>,
    pub body_limit: Option<Bytes>,
    pub retry: Option<&'a Retry>,
    pub hedge: Option<&'a Hedge>,
    pub breaker: Option<&'a Breaker>,
    pub fallback: Option<&'a Fallback>,
    pub fault: Option<&'a InjectedFault>,
    pub rewrite: Option<&'a Rewrite>,
    pub headers: Option<&'a Headers>,
    pub cors: Option<&'a Cors>,
}

impl<'a> Policies<'a> {
    /// These policies, and where there is none those of the profile.
    #[must_use]
    pub fn or(self, profile: Policies<'a>) -> Self {
        Self {
            mode: self.mode.or(profile.mode),
            require: self.require.or(profile.require),
            limit: self.limit.or(profile.limit),
            priority: self.priority.or(profile.priority),
            deadline: self.deadline.or(profile.deadline),
            body_limit: self.body_limit.or(profile.body_limit),
            retry: self.retry.or(profile.retry),
            hedge: self.hedge.or(profile.hedge),
            breaker: self.breaker.or(profile.breaker),
            fallback: self.fallback.or(profile.fallback),
            fault: self.fault.or(profile.fault),
            rewrite: self.rewrite.or(profile.rewrite),
            headers: self.headers.or(profile.headers),
            cors: self.cors.or(profile.cors),
        }
    }
}

/// Who may call. Everything that is named must hold.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Require {
    /// A token of one of these identities.
    pub jwt: Option<OneOrMany<Name>>,
    /// An API key of this identity.
    pub api_key: Option<Name>,
    /// The scopes the token (or the API key) must have: `orders:read | orders:write`, with `&`, `|` and parentheses.
    pub scope: Option<Scope>,
    /// Claims the token must have, by path: a value, or a list of which one is enough.
    pub claims: BTreeMap<String, OneOrMany<String>>,
    /// The addresses that may call and that may not. The narrower network wins, and `deny` wins a tie.
    pub addresses: Option<Addresses>,
    /// The workloads that may call, by mesh identity: `ns/shop/sa/orders`, `ns/shop/*`, or a whole SPIFFE ID.
    pub peers: Option<OneOrMany<Peers>>,
    /// `observe` counts and logs who would be refused, and refuses nobody.
    pub mode: Option<Mode>,
}

/// Networks that may call and that may not.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Addresses {
    /// Only these. Default: all that are not denied.
    pub allow: Vec<Network>,
    /// Not these.
    pub deny: Vec<Network>,
}

/// How much each caller may call.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Who is counted: `user`, `address`, `key`, `peer`, `route`, `header:NAME`, `cookie:NAME` or `claim:PATH`.
    pub per: By,
    /// How many in which time.
    pub rate: Rate,
    /// How many may come at once. Default: what the rate allows in one of its times.
    pub burst: Option<u32>,
    /// Counted together by all replicas. Default: `true` where the proxy was started with a store for limits; `false` makes each replica count for itself.
    pub shared: Option<bool>,
    /// What happens when the shared store cannot be reached. Default: `local`.
    pub if_store_down: Option<IfStoreDown>,
    /// `observe` counts and logs who would be refused, and refuses nobody.
    pub mode: Option<Mode>,
}

/// What a shared limit does without its store.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IfStoreDown {
    /// Nothing passes.
    Closed,
    /// Each replica counts for itself.
    #[default]
    Local,
    /// Everything passes.
    Open,
}

/// How important a request is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Shed last: orders, payments.
    Critical,
    /// In between.
    #[default]
    Normal,
    /// Shed first: prefetching, recommendations, batch work.
    Sheddable,
}

/// Trying again. Only what is idempotent, or was provably never sent, or carries an `Idempotency-Key`.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts in all, the first included: 1 to 10. Default: 2.
    pub attempts: Option<u32>,
    /// After what: `connect`, `reset`, `timeout`, statuses, and gRPC codes by name. Default: `[connect, reset, 502, 503, 504]`.
    pub on: Option<OneOrMany<RetryOn>>,
    /// Retries may add at most this share to the requests of the last ten seconds. Default: `20%`.
    pub budget: Option<Share>,
    /// The pause before a retry is drawn from zero up to this, doubled each time. Default: `25ms`.
    pub backoff: Option<Wait>,
    /// The longest pause. Default: `1s`.
    pub backoff_max: Option<Wait>,
    /// How long one attempt may take. Default: what the deadline leaves.
    pub per_try: Option<Wait>,
    /// A larger body is not kept for sending again. Default: `64KiB`.
    pub body_max: Option<Bytes>,
    /// `observe` counts and logs what it would try again, and tries nothing again.
    pub mode: Option<Mode>,
}

/// A failure that may be tried again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection broke before an answer began.
    Reset,
    /// An attempt took longer than `per_try`.
    Timeout,
    /// This status.
    Status(u16),
    /// This gRPC code.
    Grpc(u8),
}

/// The gRPC codes worth trying again, by their names in lower case.
const GRPC_CODES: [(&str, u8); 5] = [
    ("cancelled", 1),
    ("deadline-exceeded", 4),
    ("resource-exhausted", 8),
    ("internal", 13),
    ("unavailable", 14),
];

impl Unit for RetryOn {
    const NAME: &'static str = "retry-condition";
    const EXPECTED: &'static str = "connect, reset, timeout, a status from 400 to 599, or a gRPC code (cancelled, deadline-exceeded, internal, resource-exhausted, unavailable)";
    const PATTERN: &'static str = r"^(connect|reset|timeout|cancelled|deadline-exceeded|internal|resource-exhausted|unavailable|[45][0-9]{2})$";
    const ALSO_NUMBER: bool = true;
}

impl FromStr for RetryOn {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "connect" => Ok(Self::Connect),
            "reset" => Ok(Self::Reset),
            "timeout" => Ok(Self::Timeout),
            _ => match (error_status(text), GRPC_CODES.iter().find(|(name, _)| *name == text)) {
                (Some(status), _) => Ok(Self::Status(status)),
                (_, Some((_, code))) => Ok(Self::Grpc(*code)),
                _ => Err(wrong::<Self>(text)),
            },
        }
    }
}

fn error_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..600).contains(status))
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Grpc(code) => f.write_str(
                GRPC_CODES.iter().find(|(_, known)| known == code).map_or("grpc", |(name, _)| name),
            ),
            Self::Reset => f.write_str("reset"),
            Self::Status(status) => status.fmt(f),
            Self::Timeout => f.write_str("timeout"),
        }
    }
}

/// A second try for a read whose answer is late, drawn from the retry budget.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// How long to wait for the first answer.
    pub after: Wait,
    /// `observe` counts and logs what it would send, and sends nothing.
    pub mode: Option<Mode>,
}

/// Pauses a target that keeps failing.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// The share of failures, of at least how many calls, in which time: `50% of 20 in 10s`.
    pub open_at: OpenAt,
    /// How long nothing is sent. Default: `5s`.
    pub stay_open: Option<Wait>,
    /// So many calls then try whether it works again; all must succeed. Default: 3.
    pub probes: Option<u32>,
    /// `observe` counts and logs what it would refuse, and refuses nothing.
    pub mode: Option<Mode>,
}

/// What is answered when the target cannot: another target, or a fixed answer, or the last good one.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fallback {
    /// Ask this target instead.
    pub to: Option<Name>,
    /// Answer this.
    pub answer: Option<Answer>,
    /// Answer what the target last answered to the same GET, if that is not older than this. Only on a route that asks nobody who they are.
    pub last_good: Option<Wait>,
    /// When: `breaker`, `bulkhead`, `connect`, `timeout`, `reset`, `no-endpoint`, `overload`, or a status. Default: all but statuses.
    pub when: Option<OneOrMany<FallbackWhen>>,
}

const FALLBACK_WORDS: [(&str, FallbackWhen); 7] = [
    ("breaker", FallbackWhen::Breaker),
    ("bulkhead", FallbackWhen::Bulkhead),
    ("connect", FallbackWhen::Connect),
    ("no-endpoint", FallbackWhen::NoEndpoint),
    ("overload", FallbackWhen::Overload),
    ("reset", FallbackWhen::Reset),
    ("timeout", FallbackWhen::Timeout),
];

impl Unit for FallbackWhen {
    const NAME: &'static str = "fallback-condition";
    const EXPECTED: &'static str =
        "breaker, bulkhead, connect, no-endpoint, overload, reset, timeout, or a status from 400 to 599";
    const PATTERN: &'static str =
        r"^(breaker|bulkhead|connect|no-endpoint|overload|reset|timeout|[45][0-9]{2})$";
    const ALSO_NUMBER: bool = true;
}

impl FromStr for FallbackWhen {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let word = FALLBACK_WORDS.iter().find(|(word, _)| *word == text).map(|(_, when)| *when);
        word.or_else(|| error_status(text).map(Self::Status)).ok_or_else(|| wrong::<Self>(text))
    }
}

impl fmt::Display for FallbackWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (FALLBACK_WORDS.iter().find(|(_, when)| when == self), self) {
            (Some((word, _)), _) => f.write_str(word),
            (None, Self::Status(status)) => status.fmt(f),
            (None, _) => Ok(()),
        }
    }
}

/// An answer given without asking anybody.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The status, 200 to 599. Default: 200.
    pub status: Option<u16>,
    /// The body, as text. Default: empty.
    pub body: Option<String>,
    /// Header fields. `content-type` defaults to `text/plain; charset=utf-8`.
    pub headers: BTreeMap<Field, String>,
}

/// Failures made on purpose.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct InjectedFault {
    /// The share of requests it happens to. Default: `0%`.
    pub share: Option<Share>,
    /// They are delayed by this.
    pub delay: Option<Wait>,
    /// They are answered with this status.
    pub abort: Option<u16>,
}

/// Changes on the way to the target.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// The new path; `{name}` stands for a parameter of the route's path.
    pub path: Option<String>,
    /// Removes this beginning of the path.
    pub strip_prefix: Option<String>,
    /// Puts this before the path.
    pub add_prefix: Option<String>,
    /// The Host the target sees.
    pub host: Option<String>,
}

/// Changes to header fields.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// Of the request, on the way to the target.
    pub request: Option<HeaderEdits>,
    /// Of the answer, on the way to the client.
    pub response: Option<HeaderEdits>,
}

/// Removed first, then set, then added.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderEdits {
    /// Set to this, whatever was there.
    pub set: BTreeMap<Field, String>,
    /// Added to what is there.
    pub add: BTreeMap<Field, String>,
    /// Removed.
    pub remove: Vec<Field>,
}

/// Which web pages of other origins may call. Preflight requests are answered here and never reach the target.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// The origins, as `https://shop.example`, `https://*.shop.example`, or `*` for all.
    pub origins: Vec<String>,
    /// The methods. Default: those of the route.
    pub methods: Option<Vec<MethodWord>>,
    /// Request header fields a page may send. Default: those it asks for.
    pub headers: Option<Vec<Field>>,
    /// Answer header fields a page may read.
    pub expose: Vec<Field>,
    /// May it send cookies? Not together with `*`. Default: `false`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub credentials: bool,
    /// How long a browser remembers the answer. Default: `10m`.
    pub max_age: Option<Wait>,
}
