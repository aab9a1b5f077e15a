//! Fetches the keys of issuers: ahead of their end, in the background, one flight at a time. When, and what becomes of
//! the keys, is decided by `policies::identity::jwks`; this only carries bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use policies::identity::jwks::{Due, FetchFailed, Fetched, Keyring, Landing, max_age};
use policies::identity::keys::KeySet;
use policies::plan::{Kind, Plan, Tokens};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::upstream::{Calling, Roots, call};

/// A fetch takes no longer than this: less than what the keyring takes for lost.
const FETCH_WITHIN: Duration = Duration::from_secs(10);
/// A set of keys is a few kilobytes.
const BYTES_MAX: usize = 1024 * 1024;

/// The fetchers of all issuers.
pub struct Keys {
    house: Handle,
    roots: Arc<Roots>,
    fetchers: Mutex<HashMap<String, Fetcher>>,
    /// Fetches that brought keys, and those that did not.
    pub fetched: Arc<Counts>,
}

/// How fetches went.
#[derive(Debug, Default)]
pub struct Counts {
    /// They brought keys.
    pub good: AtomicU64,
    /// They brought none.
    pub failed: AtomicU64,
}

struct Fetcher {
    keyring: Arc<Keyring>,
    bell: Arc<Bell>,
    task: AbortHandle,
}

#[derive(Default)]
struct Bell {
    wanted: Notify,
    landed: Notify,
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keys {
    /// No issuers yet. Fetching runs on `house`.
    pub fn new(house: Handle, roots: Arc<Roots>) -> Self {
        Self { house, roots, fetchers: Mutex::default(), fetched: Arc::default() }
    }

    /// Fetches for the issuers of this plan and no others.
    pub fn apply(&self, plan: &Plan) {
        let mut fetchers = self.fetchers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = HashMap::new();
        for identity in &plan.identities {
            let Kind::Tokens(tokens) = &identity.kind else { continue };
            let Some(url) = &tokens.jwks_url else { continue };
            let known = fetchers.remove(&identity.name);
            let kept = known.filter(|fetcher| Arc::ptr_eq(&fetcher.keyring, &tokens.keyring));
            let fetcher = kept.unwrap_or_else(|| self.fetcher(&identity.name, url, &tokens.keyring));
            next.insert(identity.name.clone(), fetcher);
        }
        *fetchers = next;
    }

    /// Wakes the fetcher of an issuer, and waits until a fetch has landed. The caller bounds the wait.
    pub async fn ask(&self, tokens: &Tokens) {
        let bell = {
            let fetchers = self.fetchers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut all = fetchers.values();
            all.find(|fetcher| Arc::ptr_eq(&fetcher.keyring, &tokens.keyring))
                .map(|fetcher| fetcher.bell.clone())
        };
        if let Some(bell) = bell {
            let mut landed = std::pin::pin!(bell.landed.notified());
            landed.as_mut().enable();
            bell.wanted.notify_one();
            landed.await;
        }
    }

    /// How each issuer's keys are, for the admin page.
    pub fn statuses(&self) -> Vec<(String, policies::identity::jwks::KeyringStatus)> {
        let fetchers = self.fetchers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = crate::clock::tick();
        let mut all: Vec<_> =
            fetchers.iter().map(|(name, fetcher)| (name.clone(), fetcher.keyring.status(now))).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn fetcher(&self, name: &str, url: &str, keyring: &Arc<Keyring>) -> Fetcher {
        let bell = Arc::<Bell>::default();
        let work = Work {
            name: name.to_owned(),
            url: url.to_owned(),
            keyring: keyring.clone(),
            roots: self.roots.clone(),
            bell: bell.clone(),
            counts: self.fetched.clone(),
        };
        Fetcher { keyring: keyring.clone(), bell, task: self.house.spawn(work.run()).abort_handle() }
    }
}

/// One issuer's fetching.
struct Work {
    name: String,
    url: String,
    keyring: Arc<Keyring>,
    roots: Arc<Roots>,
    bell: Arc<Bell>,
    counts: Arc<Counts>,
}

impl Work {
    async fn run(self) {
        let mut asked = false;
        loop {
            // Asked for once in each round: what it gives is the right to fetch, and must not be dropped.
            match self.keyring.due(crate::clock::tick()) {
                Due::Never => return,
                Due::Wait(wait) => {
                    if std::mem::take(&mut asked) {
                        // Whoever asked gets the answer that there is nothing to fetch now.
                        self.bell.landed.notify_waiters();
                    }
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.bell.wanted.notified() => asked = true,
                    }
                }
                Due::Fetch(flight) => {
                    let fetched = self.fetch().await;
                    let counts = if fetched.is_ok() { &self.counts.good } else { &self.counts.failed };
                    counts.fetch_add(1, Ordering::Relaxed);
                    let problem = fetched.as_ref().err().map(ToString::to_string);
                    let landing =
                        self.keyring.fetched(flight, crate::clock::tick(), fetched, fastrand::u64(..));
                    self.say(&landing, problem);
                    asked = false;
                    self.bell.landed.notify_waiters();
                }
            }
        }
    }

    fn say(&self, landing: &Landing, problem: Option<String>) {
        match problem {
            Some(problem) => {
                log::warn!(target: "banyan", "keys of {}: {problem}; the keys we have stay", self.name);
            }
            None => log::debug!(target: "banyan", "keys of {}: {landing:?}", self.name),
        }
    }

    fn client(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.store())
            .with_no_client_auth();
        Ok(Arc::new(client))
    }

    async fn fetch(&self) -> Result<Fetched, FetchFailed> {
        let unreachable = |why: String| FetchFailed::Transport(why.chars().take(200).collect());
        let uri: Uri = self.url.parse().map_err(|_| unreachable("its address is no URL".into()))?;
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err(unreachable("its address has no host".into()));
        };
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found = tokio::time::timeout(FETCH_WITHIN, tokio::net::lookup_host((bare.as_str(), port))).await;
        let address = match found {
            Ok(Ok(mut addresses)) => addresses.next(),
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("its name cannot be looked up in time".into())),
        };
        let Some(address) = address else { return Err(unreachable("its name has no address".into())) };
        let name = ServerName::try_from(bare.clone()).map_err(|error| unreachable(error.to_string()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let tls = secure.then(|| Ok((self.client()?, name))).transpose();
        let tls = tls.map_err(|error: rustls::Error| unreachable(error.to_string()))?;
        let calling = Calling {
            address,
            tls,
            http2: false,
            host: authority.as_str(),
            path,
            within: FETCH_WITHIN,
            bytes_max: BYTES_MAX,
        };
        let (status, headers, body) = call(calling).await.map_err(|error| unreachable(error.to_string()))?;
        if status != 200 {
            return Err(unreachable(format!("it answered {status}")));
        }
        let keys = KeySet::from_jwks(&body)?;
        let cache = headers.get(http::header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        Ok(Fetched { keys, max_age: cache.and_then(max_age) })
    }
}
