//! What an operator may choose about the guard. The defaults are the strict end, save where real clients would break.

use http::Method;

use super::path::PathRules;

/// The guard's settings, the same for every route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// How large the head of an answer may be.
    pub answer_fields: FieldLimits,
    /// May a client open a tunnel with CONNECT? Refused by default: a gateway is not an open proxy.
    pub connect: Permission,
    /// Methods forwarded beside GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. TRACE is refused even if it
    /// stands here: it echoes credentials; CONNECT needs `connect`.
    pub extra_methods: Vec<Method>,
    /// How large the head of a request may be.
    pub fields: FieldLimits,
    /// Bytes 0x80-0xFF in header values. Allowed by default, since browsers and phones send file names and user
    /// agents in UTF-8 and no framing depends on them; Host never takes them.
    pub obs_text: Permission,
    /// What to do with an `Upgrade` to something else than WebSocket.
    pub other_upgrades: Unoffered,
    /// How paths are read.
    pub path: PathRules,
    /// The longest target taken, query included; 8 KiB, as peers have it.
    pub target_bytes_max: usize,
    /// Header names with an underscore.
    pub underscores: Underscores,
    /// May a client change to WebSocket? Allowed by default; whether a route offers it is the route's business.
    pub websocket: Permission,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            answer_fields: FieldLimits::OF_ANSWERS,
            connect: Permission::Refuse,
            extra_methods: Vec::new(),
            fields: FieldLimits::default(),
            obs_text: Permission::Allow,
            other_upgrades: Unoffered::Ignore,
            path: PathRules::default(),
            target_bytes_max: 8 * 1024,
            underscores: Underscores::Refuse,
            websocket: Permission::Allow,
        }
    }
}

/// How large a header may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FieldLimits {
    /// All names and values together, four bytes added for each field: what HTTP/1 needs to write it.
    pub bytes_max: usize,
    /// How many fields; a field with two values counts twice.
    pub count_max: usize,
}

impl FieldLimits {
    /// Services say more than clients do.
    pub const OF_ANSWERS: Self = Self { bytes_max: 128 * 1024, count_max: 200 };
}

impl Default for FieldLimits {
    /// 100 fields, hyper's own limit, so that gateway and sidecar agree; 64 KiB, Pingora's limit for HTTP/2.
    fn default() -> Self {
        Self { bytes_max: 64 * 1024, count_max: 100 }
    }
}

/// May it pass?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Permission {
    /// It passes.
    Allow,
    /// The request is refused.
    Refuse,
}

/// Header names with an underscore: behind CGI-like servers `Remote_User` and `Remote-User` are the same header,
/// so one of them slips past whoever guards the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Underscores {
    /// Removed by [`super::drop_underscored`].
    Drop,
    /// Forwarded as they are.
    Keep,
    /// The request is refused.
    #[default]
    Refuse,
}

/// An `Upgrade` to a protocol we do not offer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unoffered {
    /// Answer the request as if it had not asked: RFC 9110 §7.8, "A server MAY ignore a received Upgrade header
    /// field". curl asks for h2c this way and is content without.
    #[default]
    Ignore,
    /// The request is refused.
    Refuse,
}
