//! Start-up settings: ports, paths, threads and caps. Flags, or the environment; never in the document.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use policies::units::{Bytes, Wait};
use shell::house::HouseSettings;
use shell::listen::ListenAt;

/// How a sidecar is started. Every flag is also an environment variable: `--drain-limit` is `BANYAN_DRAIN_LIMIT`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// What every proxy of ours has.
    #[command(flatten)]
    pub house: HouseSettings,
    /// Where the mesh reaches the app. May be given several times.
    #[arg(long, env = "BANYAN_INBOUND", value_delimiter = ',', value_name = "ADDRESS")]
    pub inbound: Vec<ListenAt>,
    /// Where the app reaches what it calls, by Host; an HTTP proxy to it. Besides, each of `calls` can have an address of its own.
    #[arg(long, env = "BANYAN_OUTBOUND", value_delimiter = ',', value_name = "ADDRESS")]
    pub outbound: Vec<ListenAt>,
    /// Connections are redirected to us by the kernel: where each was going is asked of it.
    #[arg(long, env = "BANYAN_TRANSPARENT")]
    pub transparent: bool,
    /// How long a redirected connection may say nothing before it is taken for bytes. Protocols in which the server speaks
    /// first wait this long, unless they are declared.
    #[arg(long, env = "BANYAN_DETECT_WITHIN", default_value = "100ms", value_name = "TIME")]
    pub detect_within: Wait,
    /// Our certificate with its SPIFFE id, and those between it and an authority.
    #[arg(long, env = "BANYAN_CERTIFICATE", value_name = "FILE", requires = "key", requires = "authorities")]
    pub certificate: Option<PathBuf>,
    /// The key of the certificate.
    #[arg(long, env = "BANYAN_KEY", value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// The authorities that vouch for others; several at once while one takes over from another.
    #[arg(long, env = "BANYAN_AUTHORITIES", value_name = "FILE", requires = "certificate")]
    pub authorities: Option<PathBuf>,
    /// Threads that serve requests: by what the pod asks for, not by what the node has.
    #[arg(long, env = "BANYAN_THREADS", default_value_t = 1, value_name = "N")]
    pub threads: usize,
    /// Connections at once.
    #[arg(long, env = "BANYAN_CONNECTIONS_MAX", default_value_t = 10_000, value_name = "N")]
    pub connections_max: usize,
    /// How long a TLS handshake may take.
    #[arg(long, env = "BANYAN_HANDSHAKE_WITHIN", default_value = "10s", value_name = "TIME")]
    pub handshake_within: Wait,
    /// How long a request's whole header may take from its first byte.
    #[arg(long, env = "BANYAN_HEADER_WITHIN", default_value = "10s", value_name = "TIME")]
    pub header_within: Wait,
    /// How long a connection may say nothing: before its first request, and between requests.
    #[arg(long, env = "BANYAN_IDLE_WITHIN", default_value = "10m", value_name = "TIME")]
    pub idle_within: Wait,
    /// The least a client must send of a body, and take of an answer, per second; after a grace of five seconds.
    #[arg(long, env = "BANYAN_BODY_RATE_MIN", default_value = "240B", value_name = "SIZE")]
    pub body_rate_min: Bytes,
    /// How old a connection may get, so that both ends show certificates again.
    #[arg(long, env = "BANYAN_CONNECTION_AGE", default_value = "1h", value_name = "TIME")]
    pub connection_age: Wait,
    /// How long the app and requests in flight may take to end after SIGTERM.
    #[arg(long, env = "BANYAN_DRAIN_LIMIT", default_value = "30s", value_name = "TIME")]
    pub drain_limit: Wait,
}

impl Settings {
    /// The defaults, for this document: what tests and the embedded use begin with.
    pub fn new(policies: impl Into<PathBuf>) -> Self {
        Self {
            house: HouseSettings::new(policies),
            inbound: Vec::new(),
            outbound: Vec::new(),
            transparent: false,
            detect_within: Wait(Duration::from_millis(100)),
            certificate: None,
            key: None,
            authorities: None,
            threads: 1,
            connections_max: 10_000,
            handshake_within: Wait(Duration::from_secs(10)),
            header_within: Wait(Duration::from_secs(10)),
            idle_within: Wait(Duration::from_secs(600)),
            body_rate_min: Bytes(240),
            connection_age: Wait(Duration::from_secs(3600)),
            drain_limit: Wait(Duration::from_secs(30)),
        }
    }
}
