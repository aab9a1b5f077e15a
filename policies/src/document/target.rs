//! `targets`: what can be called, where it is, and how it is treated.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::many::OneOrMany;
use super::policy::{Breaker, Mode};
use super::words::{By, Name, wrong};
use crate::units::{Share, Unit, UnitError, Wait, readable};

readable!(Balance, Url);

/// A service that can be called. It says where it is in exactly one way: `url`, `endpoints`, `dns` or `kubernetes`.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// One address, `http://host:port` or `https://host:port`. A name is looked up in the background, never while a request waits.
    pub url: Option<Url>,
    /// Several addresses that do the same work.
    pub endpoints: Vec<Url>,
    /// A name whose every address is an endpoint.
    pub dns: Option<Dns>,
    /// A Kubernetes service whose every ready pod is an endpoint.
    pub kubernetes: Option<Kubernetes>,
    /// How the target's certificate is checked, and which one is shown to it. Needed where the address alone does not name the server.
    pub tls: Option<UpstreamTls>,
    /// The HTTP version spoken to the target. Default: `http1`.
    pub protocol: Option<Protocol>,
    /// Asks each endpoint, at intervals, whether it is well. Default: endpoints are believed to be well until requests fail.
    pub health: Option<Health>,
    /// Which endpoint gets the next request: `least-load`, `round-robin` or `hash(BY)`. Default: `least-load`.
    pub balance: Option<Balance>,
    /// How long a new or recovered endpoint takes to get its full part of the traffic. Default: `0s`, at once.
    pub slow_start: Option<Wait>,
    /// How many requests may be under way to this target at once, and how many may wait. Default: no bound.
    pub bulkhead: Option<Bulkhead>,
    /// Pauses the target when too many calls fail. Default: off; a route can have its own.
    pub breaker: Option<Breaker>,
    /// Leaves out a single bad endpoint for a while. Default: on, see its settings.
    pub outlier: Option<Outlier>,
    /// Finds by itself how many requests the target can take at once, and sheds the least important ones first. Default: off.
    pub overload: Option<Overload>,
    /// How long each step of a call may take.
    pub timeouts: Option<Timeouts>,
    /// Connections kept open between requests.
    pub pool: Option<Pool>,
    /// The target recognises the `x-banyan-shadow` header and then changes nothing: writes may be shadowed to it. Default: `false`, only reads are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_runs: bool,
    /// Which Host the target sees: the client's (`client`) or its own name (`target`). Default: `client`.
    pub host: Option<HostSent>,
    /// PROXY protocol header sent on connections to the target. Default: none.
    pub send_proxy: Option<ProxyVersion>,
}

/// Addresses from DNS. Answers are kept as long as they say, and the last good ones as long as no better ones come.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The name to look up.
    pub name: String,
    /// The port on every address. Needed unless `srv` is true.
    pub port: Option<u16>,
    /// Look up SRV records, which carry ports. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub srv: bool,
    /// Looked up at least this often, whatever the answer says. Default: `30s`.
    pub every: Option<Wait>,
}

/// Endpoints from the Kubernetes API.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// The service's name.
    pub service: Name,
    /// Its namespace. Default: the one this proxy runs in.
    pub namespace: Option<Name>,
    /// The port, by number or by the name the service gives it.
    pub port: String,
}

/// TLS towards a target.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// The name the certificate must be for. Default: the host of the URL; needed where that is an address.
    pub name: Option<String>,
    /// A file of CA certificates to trust instead of the system's. An unreadable file is an error, never the system's trust.
    pub ca: Option<String>,
    /// The certificate shown to the target: a file. With `key`.
    pub certificate: Option<String>,
    /// The private key of `certificate`: a file.
    pub key: Option<String>,
    /// The SPIFFE identity the target must prove. Sidecar only: the gateway checks the name.
    pub spiffe: Option<String>,
}

/// The HTTP version spoken to a target.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, over TLS.
    Http2,
    /// HTTP/2 without TLS, known in advance.
    H2c,
    /// Bytes, not HTTP. Sidecar only.
    Tcp,
}

impl Protocol {
    /// Its name in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::H2c => "h2c",
            Self::Tcp => "tcp",
        }
    }

    /// Does it carry gRPC, which lives in trailers and streams?
    pub const fn carries_grpc(self) -> bool {
        matches!(self, Self::Http2 | Self::H2c)
    }
}

/// Which Host header a target sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostSent {
    /// The one the client sent.
    #[default]
    Client,
    /// The target's own.
    Target,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyVersion {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}

/// Asking an endpoint whether it is well.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Health {
    /// The path to GET. Default: none, a connection that opens is enough.
    pub path: Option<String>,
    /// How often. Default: `5s`.
    pub every: Option<Wait>,
    /// How long an answer may take. Default: `1s`.
    pub timeout: Option<Wait>,
    /// So many failures in a row take the endpoint out. Default: 3.
    pub fail_after: Option<u32>,
    /// So many successes in a row bring it back. Default: 2.
    pub pass_after: Option<u32>,
    /// The statuses that count as well. Default: 200 to 299.
    pub status: Option<OneOrMany<u16>>,
}

/// Concurrency, a bounded queue and a bounded wait, so that one slow target never starves another.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bulkhead {
    /// So many requests under way at once.
    pub max: u32,
    /// So many may wait for a place. Default: 0.
    #[serde(default)]
    pub queue: u32,
    /// How long they may wait. Default: `100ms`.
    pub wait: Option<Wait>,
    /// `observe` counts and logs what it would refuse, and refuses nothing.
    pub mode: Option<Mode>,
}

/// Leaving out single bad endpoints. Not a breaker: that is about the whole target.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outlier {
    /// So many failures in a row put an endpoint out. Default: 5.
    pub failures: Option<u32>,
    /// For how long the first time; longer each time after. Default: `10s`.
    pub out_for: Option<Wait>,
    /// The longest. Default: `5m`.
    pub out_for_max: Option<Wait>,
    /// At most this share of the endpoints is out at once; one always stays. Default: `50%`.
    pub max_out: Option<Share>,
    /// `observe` counts and logs what it would leave out, and leaves nothing out.
    pub mode: Option<Mode>,
}

/// An adaptive bound on concurrency. When it is reached, sheddable requests go first, then normal ones.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overload {
    /// Never fewer at once than this. Default: 4.
    pub min: Option<u32>,
    /// Never more than this. Default: 1000.
    pub max: Option<u32>,
    /// Where it begins. Default: 50.
    pub start: Option<u32>,
    /// `observe` counts and logs what it would shed, and sheds nothing.
    pub mode: Option<Mode>,
}

/// How long the steps of a call may take. The request's deadline cuts all of them.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect, TLS included. Default: `2s`.
    pub connect: Option<Wait>,
    /// Until the answer begins. Default: the deadline.
    pub answer: Option<Wait>,
    /// Between two parts of an answer or an upload. Default: `30s`.
    pub idle: Option<Wait>,
}

/// Connections kept open to a target between requests.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// So many idle ones per endpoint and thread. Default: 128.
    pub idle: Option<u32>,
    /// Closed after so long without a request. Default: `1m`.
    pub idle_for: Option<Wait>,
    /// Closed after so long in any case, so that new certificates and addresses come into use. Default: `1h`.
    pub age: Option<Wait>,
}

/// Which endpoint of a target gets the next request.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub enum Balance {
    /// The same caller goes to the same endpoint, as long as it is there.
    Hash(By),
    /// The better of two, by latency and by what they are busy with.
    #[default]
    LeastLoad,
    /// One after the other.
    RoundRobin,
}

impl Unit for Balance {
    const NAME: &'static str = "balance";
    const EXPECTED: &'static str =
        "least-load, round-robin or hash(BY), where BY is user, address, header:NAME, cookie:NAME ...";
    const PATTERN: &'static str = r"^(least-load|round-robin|hash\(.+\))$";
}

impl FromStr for Balance {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text {
            "least-load" => Ok(Self::LeastLoad),
            "round-robin" => Ok(Self::RoundRobin),
            _ => {
                let by = text.strip_prefix("hash(").and_then(|rest| rest.strip_suffix(')'));
                by.and_then(|by| by.trim().parse().ok()).map(Self::Hash).ok_or_else(|| wrong::<Self>(text))
            }
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(by) => write!(f, "hash({by})"),
            Self::LeastLoad => f.write_str("least-load"),
            Self::RoundRobin => f.write_str("round-robin"),
        }
    }
}

/// Where a target is: `http://host:port` or `https://host:port`, without path.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Url {
    /// https?
    pub scheme: Scheme,
    /// The host name or address, without brackets; empty for a Unix socket.
    pub host: String,
    /// The port; the scheme's own where none is written.
    pub port: u16,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

impl Url {
    /// The address, if the host is one and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl Unit for Url {
    const NAME: &'static str = "target-url";
    const EXPECTED: &'static str =
        "an address such as http://orders:8080 or https://10.0.0.5:8443, without a path";
    const PATTERN: &'static str = r"^https?://[^/?#@]+$";
}

impl FromStr for Url {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parts = || {
            let uri: http::Uri = text.parse().ok()?;
            let (scheme, default) = match uri.scheme_str()? {
                "http" => (Scheme::Http, 80),
                "https" => (Scheme::Https, 443),
                _ => return None,
            };
            let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
            let authority = uri.authority()?;
            let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
            let written_port =
                authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
            let port = if written_port { authority.port_u16().filter(|port| *port > 0)? } else { default };
            let plain = !authority.as_str().contains('@') && !text.ends_with('/') && !host.is_empty();
            (bare && plain).then_some(Self { scheme, host, port })
        };
        parts().ok_or_else(|| wrong::<Self>(text))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}
