//! One connection to the store: made, proved with the script itself, and given up for good when it fails.
//!
//! The only file that knows fred, and what the store speaks. It does not know when to try again: a connection is never
//! repaired, the room above makes a new one. (A client that reconnects by itself keeps the old socket as long as the kernel
//! believes in it, which behind a firewall that drops packets is a quarter of an hour.)

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::config::Config;
use fred::types::{Builder, ConnectHandle};
use policies::admit::StoreAsk;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// What a grant is, in the store's language.
pub(super) const SCRIPT: &str = include_str!("grant.lua");

/// How long one question may take. A healthy store takes one millisecond; what takes this long is not healthy.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(250);

/// How long a connection may take until it has answered its first question.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Keys in the store begin with this.
const PREFIX: &str = "banyan:limit:";

/// The store's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Granted {
    /// How many permits.
    pub permits: u32,
    /// How long the bucket now needs to be full.
    pub full_in: Duration,
}

/// Where questions go in.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    script: Arc<str>,
}

/// A connection that has answered. Dropped, it is closed.
pub(super) struct Redis {
    pub link: Link,
    /// Ends when the connection does.
    pub ended: AbortOnDropHandle<Result<(), Error>>,
}

/// Reads where the store is: `redis://` or `rediss://` (with TLS), each also with `-cluster` or `-sentinel`.
///
/// Refuses every other scheme: fred would speak without TLS to whatever it does not know, password and all.
pub(super) fn config(url: &str) -> Result<Config, Error> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    let (protocol, _) = scheme.split_once('-').unwrap_or((scheme, ""));
    if !["redis", "rediss", "valkey", "valkeys"].contains(&protocol) {
        return Err(Error::new(ErrorKind::Url, "expected redis://HOST:PORT or rediss://HOST:PORT"));
    }
    Config::from_url(url)
}

impl Redis {
    /// Connects, loads the script, and asks one question: a server that is up but may not be written to (a replica, a
    /// full memory, a user without the right) is not up for us.
    pub(super) async fn connect(config: &Config) -> Result<Self, Error> {
        let client = Builder::from_config(config.clone())
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_WITHIN;
                connection.internal_command_timeout = CONNECT_WITHIN;
                connection.max_command_attempts = 1;
            })
            .with_performance_config(|performance| performance.default_command_timeout = ANSWER_WITHIN)
            .build()?;
        let handle: ConnectHandle = client.connect();
        let mut ended = AbortOnDropHandle::new(handle);
        let proved = async {
            tokio::select! {
                connected = client.wait_for_connect() => connected?,
                over = &mut ended => return Err(reason(over)),
            }
            let script: String = client.script_load(SCRIPT).await?;
            let link = Link { client: client.clone(), script: script.into() };
            link.grant("probe".into(), 1_000_000, 1_000_000, 1).await?;
            Ok(link)
        };
        let link = timeout(CONNECT_WITHIN, proved).await.map_err(|_| late())??;
        Ok(Self { link, ended })
    }
}

impl Link {
    /// Asks one question. Many may be under way; they share the connection and do not wait for each other.
    pub(super) async fn ask(&self, ask: &StoreAsk) -> Result<Granted, Error> {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let gcra = ask.gcra();
        let name = ask.name().to_string();
        self.grant(name, nanos(gcra.interval()), nanos(gcra.fill()), ask.want().into()).await
    }

    async fn grant(&self, name: String, interval: i64, fill: i64, want: i64) -> Result<Granted, Error> {
        let key = format!("{PREFIX}{name}");
        let arguments = vec![interval, fill, want];
        let answer = self.client.evalsha(&*self.script, &*key, arguments.clone()).await;
        let (permits, nanos): (u32, u64) = match answer {
            // Forgotten: the store was told to, or another node of a cluster answers. Sent whole, it is known again.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                self.client.eval(SCRIPT, &*key, arguments).await?
            }
            answer => answer?,
        };
        Ok(Granted { permits, full_in: Duration::from_nanos(nanos) })
    }
}

/// Why a connection ended.
fn reason(over: Result<Result<(), Error>, tokio::task::JoinError>) -> Error {
    match over {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::new(ErrorKind::IO, "the connection was closed"),
        Err(error) => Error::new(ErrorKind::Unknown, error.to_string()),
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "no answer to the first question")
}
