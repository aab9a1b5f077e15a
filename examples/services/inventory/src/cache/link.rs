//! One connection to Redis: made, and given up for good when it fails. The only file that knows fred.
//!
//! A connection is never repaired, the keeper makes a new one: a client that reconnects by itself would send what nobody
//! waits for any more, and believe counters that were not reconciled.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, LuaInterface};
use fred::types::Builder;
use fred::types::config::Config;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::Taken;
use crate::items::Items;
use crate::ledger::Stock;
use crate::refusal::Short;

/// How long one question may take. A healthy Redis takes a millisecond.
const ANSWER_WITHIN: Duration = Duration::from_millis(250);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A counter that missed so many turns goes away: all services have stopped, or cannot read the database.
const TURNS_MISSED_MAX: u32 = 3;
/// But not before.
const COUNTER_LIVES_MIN: Duration = Duration::from_secs(30);
/// The braces keep all keys on one node of a cluster, where one script can reach them.
const PREFIX: &str = "{inventory}";

const FORGET: Script = Script { index: 0, text: include_str!("scripts/forget.lua") };
const GIVE: Script = Script { index: 1, text: include_str!("scripts/give.lua") };
const LOCK: Script = Script { index: 2, text: include_str!("scripts/lock.lua") };
const TAKE: Script = Script { index: 3, text: include_str!("scripts/take.lua") };
const UNLOCK: Script = Script { index: 4, text: include_str!("scripts/unlock.lua") };
const WRITE: Script = Script { index: 5, text: include_str!("scripts/write.lua") };

struct Script {
    index: usize,
    text: &'static str,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    counters_live: Duration,
    /// The names by which Redis knows the scripts.
    names: Vec<String>,
}

/// Ends when the connection does.
pub(super) type End = AbortOnDropHandle<Result<(), Error>>;

/// Reads where Redis is: `redis://` or `rediss://` (with TLS). Every other scheme is refused: fred would speak without
/// TLS to whatever it does not know, password and all.
pub(super) fn config(url: &str) -> Result<Config, Error> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["redis", "rediss"].contains(&scheme) {
        return Err(Error::new(ErrorKind::Url, "expected redis://HOST:PORT or rediss://HOST:PORT"));
    }
    Config::from_url(url)
}

impl Link {
    /// Connects, and brings the scripts. Counters are reconciled this often.
    pub(super) async fn connect(config: &Config, every: Duration) -> Result<(Self, End), Error> {
        let client = Builder::from_config(config.clone())
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT_WITHIN;
                connection.internal_command_timeout = CONNECT_WITHIN;
                connection.max_command_attempts = 1;
            })
            .with_performance_config(|performance| performance.default_command_timeout = ANSWER_WITHIN)
            .build()?;
        let mut end: End = AbortOnDropHandle::new(client.connect());
        let connected = async {
            tokio::select! {
                connected = client.wait_for_connect() => connected?,
                over = &mut end => return Err(why(over)),
            }
            let mut names = Vec::new();
            for script in [FORGET, GIVE, LOCK, TAKE, UNLOCK, WRITE] {
                names.push(client.script_load(script.text).await?);
            }
            Ok(names)
        };
        let late = |_| Error::new(ErrorKind::Timeout, "no answer to the first question");
        let names = tokio::time::timeout(CONNECT_WITHIN, connected).await.map_err(late)??;
        let counters_live = COUNTER_LIVES_MIN.max(every * TURNS_MISSED_MAX);
        Ok((Self { client, counters_live, names }, end))
    }

    /// Takes all of these or nothing.
    #[tracing::instrument(name = "take from the counters", skip_all, fields(otel.kind = "client", db.system = "redis"))]
    pub(super) async fn take(&self, items: &Items) -> Result<Taken, Error> {
        let answer = self.run(TAKE, counters(items), quantities(items)).await?;
        Ok(match answer.split_first() {
            Some((0, _)) => Taken::All,
            Some((1, pairs)) => {
                Taken::Short(pairs.chunks_exact(2).filter_map(|pair| short(items, pair)).collect())
            }
            _ => Taken::Unknown,
        })
    }

    /// Gives these back.
    pub(super) async fn give(&self, items: &Items) -> Result<(), Error> {
        self.run(GIVE, counters(items), quantities(items)).await.map(|_| ())
    }

    /// Forgets the counter of this product.
    pub(super) async fn forget(&self, product: &str) -> Result<(), Error> {
        self.run(FORGET, vec![counter(product)], Vec::new()).await.map(|_| ())
    }

    /// Takes the lock, and a token that is higher than all before and than `above`. `None`: somebody has it.
    pub(super) async fn lock(
        &self,
        name: &str,
        owner: &str,
        held_for: Duration,
        above: i64,
    ) -> Result<Option<i64>, Error> {
        let arguments = vec![owner.to_owned(), held_for.as_millis().to_string(), above.to_string()];
        let answer = self.run(LOCK, vec![key("lock", name), key("token", name)], arguments).await?;
        Ok(answer.first().copied().filter(|token| *token > 0))
    }

    /// Gives the lock back, if it is still this owner's.
    pub(super) async fn unlock(&self, name: &str, owner: &str) -> Result<(), Error> {
        self.run(UNLOCK, vec![key("lock", name)], vec![owner.to_owned()]).await.map(|_| ())
    }

    /// Sets counters to what the books say, and returns how many were wrong. `None`: a higher token was given out since.
    pub(super) async fn write(&self, name: &str, token: i64, books: &[Stock]) -> Result<Option<i64>, Error> {
        let mut keys = vec![key("token", name)];
        keys.extend(books.iter().map(|stock| counter(&stock.product_id)));
        let mut arguments = vec![token.to_string(), self.counters_live.as_millis().to_string()];
        arguments.extend(books.iter().map(|stock| stock.available.to_string()));
        let answer = self.run(WRITE, keys, arguments).await?;
        Ok(answer.first().copied().filter(|wrong| *wrong >= 0))
    }

    async fn run(
        &self,
        script: Script,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> Result<Vec<i64>, Error> {
        let name = self.names.get(script.index).cloned().unwrap_or_default();
        match self.client.evalsha(name, keys.clone(), arguments.clone()).await {
            // Forgotten. Sent whole, it is known again.
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                self.client.eval(script.text, keys, arguments).await
            }
            answer => answer,
        }
    }
}

fn key(kind: &str, name: &str) -> String {
    format!("{PREFIX}:{kind}:{name}")
}

fn counter(product: &str) -> String {
    key("available", product)
}

fn counters(items: &Items) -> Vec<String> {
    items.iter().map(|(product, _)| counter(product)).collect()
}

fn quantities(items: &Items) -> Vec<String> {
    items.iter().map(|(_, quantity)| quantity.to_string()).collect()
}

/// An index (from 1, as Lua counts) and what is left.
fn short(items: &Items, pair: &[i64]) -> Option<Short> {
    let [index, left] = *pair else { return None };
    let (product, wanted) = items.iter().nth(usize::try_from(index).ok()?.checked_sub(1)?)?;
    Some(Short { product_id: product.to_owned(), wanted, available: left.max(0) })
}

/// Why a connection ended.
pub(super) fn why(over: Result<Result<(), Error>, JoinError>) -> Error {
    match over {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::new(ErrorKind::IO, "the connection was closed"),
        Err(error) => Error::new(ErrorKind::Unknown, error.to_string()),
    }
}
