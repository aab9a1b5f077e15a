//! Start-up settings: ports, paths, threads and caps. Flags, or the environment; never in the document.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use policies::units::{Bytes, Wait};
use shell::house::HouseSettings;
use shell::listen::ListenAt;

/// How a gateway is started. Every flag is also an environment variable: `--drain-limit` is `BANYAN_DRAIN_LIMIT`.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// What every proxy of ours has.
    #[command(flatten)]
    pub house: HouseSettings,
    /// Where plain HTTP is spoken: an address, or `unix:/path`. May be given several times.
    #[arg(long, env = "BANYAN_LISTEN", value_delimiter = ',', value_name = "ADDRESS")]
    pub listen: Vec<ListenAt>,
    /// Where TLS is spoken. May be given several times.
    #[arg(
        long,
        env = "BANYAN_LISTEN_TLS",
        value_delimiter = ',',
        value_name = "ADDRESS",
        requires = "certs"
    )]
    pub listen_tls: Vec<ListenAt>,
    /// Certificates: NAME.crt with NAME.key beside it, and NAME.client-ca.crt where clients must show one too.
    #[arg(long, env = "BANYAN_CERTS", value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// Threads that serve requests. Default: one per core.
    #[arg(long, env = "BANYAN_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
    /// Networks of load balancers that begin each connection with a PROXY header, version 1 or 2.
    #[arg(long, env = "BANYAN_PROXY_PROTOCOL_FROM", value_delimiter = ',', value_name = "NETWORK")]
    pub proxy_protocol_from: Vec<IpNet>,
    /// Connections at once.
    #[arg(long, env = "BANYAN_CONNECTIONS_MAX", default_value_t = 10_000, value_name = "N")]
    pub connections_max: usize,
    /// Connections at once from one address (IPv6: from one /64).
    #[arg(long, env = "BANYAN_CONNECTIONS_PER_ADDRESS_MAX", default_value_t = 1_000, value_name = "N")]
    pub connections_per_address_max: usize,
    /// How long a TLS handshake may take, and a PROXY header.
    #[arg(long, env = "BANYAN_HANDSHAKE_WITHIN", default_value = "10s", value_name = "TIME")]
    pub handshake_within: Wait,
    /// How long a request's whole header may take from its first byte.
    #[arg(long, env = "BANYAN_HEADER_WITHIN", default_value = "10s", value_name = "TIME")]
    pub header_within: Wait,
    /// How long a connection may say nothing: before its first request, and between requests.
    #[arg(long, env = "BANYAN_IDLE_WITHIN", default_value = "60s", value_name = "TIME")]
    pub idle_within: Wait,
    /// The least a client must send of a body, and take of an answer, per second; after a grace of five seconds.
    #[arg(long, env = "BANYAN_BODY_RATE_MIN", default_value = "240B", value_name = "SIZE")]
    pub body_rate_min: Bytes,
    /// How long requests in flight may take to end after SIGTERM.
    #[arg(long, env = "BANYAN_DRAIN_LIMIT", default_value = "30s", value_name = "TIME")]
    pub drain_limit: Wait,
    /// How long readiness says no before listening ends, so that load balancers see it.
    #[arg(long, env = "BANYAN_DRAIN_NOTICE", default_value = "0s", value_name = "TIME")]
    pub drain_notice: Wait,
    /// Which way requests take.
    #[arg(long, env = "BANYAN_DATA_PATH", default_value = "short", value_name = "PATH")]
    pub data_path: DataPath,
    /// A socket over which the next process takes the listening sockets, and from which this one takes them.
    #[arg(long, env = "BANYAN_TAKE_OVER", value_name = "SOCKET")]
    pub take_over: Option<PathBuf>,
}

/// A way through the gateway. Both answer alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DataPath {
    /// Pingora's proxy carries every request.
    Pingora,
    /// One function of ours carries them; Pingora's proxy tunnels, and what goes to targets that speak HTTP/2.
    Short,
}

impl Settings {
    /// The defaults, for this document: what tests and the embedded use begin with.
    pub fn new(policies: impl Into<PathBuf>) -> Self {
        Self {
            house: HouseSettings::new(policies),
            listen: Vec::new(),
            listen_tls: Vec::new(),
            certs: None,
            workers: None,
            proxy_protocol_from: Vec::new(),
            connections_max: 10_000,
            connections_per_address_max: 1_000,
            handshake_within: Wait(Duration::from_secs(10)),
            header_within: Wait(Duration::from_secs(10)),
            idle_within: Wait(Duration::from_secs(60)),
            body_rate_min: Bytes(240),
            drain_limit: Wait(Duration::from_secs(30)),
            drain_notice: Wait(Duration::ZERO),
            data_path: DataPath::Short,
            take_over: None,
        }
    }
}
