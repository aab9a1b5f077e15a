//! Passwords: argon2id, a few at a time, and not too often for one account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use chassis::{Failure, now_ms};
use tokio::sync::Semaphore;

/// A hash takes a core and 19 MiB for a while: no more at once, so that logins do not starve the rest of the shop.
const AT_ONCE: usize = 2;
/// Who would wait behind more than these is told to come again.
const WAITING_MAX: usize = 64;
/// Wrong passwords for one account within [`THROTTLE_MS`].
const WRONG_MAX: u32 = 10;
const THROTTLE_MS: i64 = 60_000;
/// Accounts whose failures are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// Hashes and verifies. One process has one of these.
pub(crate) struct Passwords {
    queue: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    wrong: Mutex<HashMap<String, Wrong>>,
    /// Verified when there is no such account, so that this takes as long.
    nobodys: String,
}

#[derive(Clone, Copy)]
struct Wrong {
    times: u32,
    since: i64,
}

impl Passwords {
    /// Makes a hash to begin with, which blocks for as long as that takes.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            queue: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
            cores: Arc::new(Semaphore::new(AT_ONCE)),
            wrong: Mutex::default(),
            nobodys: hash("nobody has this password")?,
        })
    }

    pub(crate) async fn hash(&self, password: &str) -> Result<String, Failure> {
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await?
    }

    /// Is it the password of this account? `known` is the hash of the account, if there is one.
    pub(crate) async fn verify(
        &self,
        email: &str,
        password: &str,
        known: Option<&str>,
    ) -> Result<bool, Failure> {
        if self.is_throttled(email) {
            let message = "too many wrong passwords; wait a minute";
            return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", message));
        }
        let (password, expected) = (password.to_owned(), known.unwrap_or(&self.nobodys).to_owned());
        let matches = self.in_turn(move || {
            PasswordHash::new(&expected)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        let right = matches.await? && known.is_some();
        if right {
            self.forgive(email);
        } else {
            self.blame(email);
        }
        Ok(right)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = || Failure::unavailable("busy", "too many are signing in at this moment");
        let place = self.queue.clone().try_acquire_owned().map_err(|_| busy())?;
        let core = self.cores.clone().acquire_owned().await.map_err(|_| busy())?;
        let span = tracing::info_span!("password");
        // The permits go along: a caller that leaves does not stop the hash, and must not let another one begin.
        let work = move || span.in_scope(|| (work(), drop((place, core))).0);
        tokio::task::spawn_blocking(work).await.map_err(|_| busy())
    }

    fn is_throttled(&self, email: &str) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get(email).is_some_and(|wrong| wrong.times >= WRONG_MAX && now_ms() - wrong.since < THROTTLE_MS)
    }

    /// Counted whether the account exists or not: the throttle tells nobody which do.
    fn blame(&self, email: &str) {
        let (mut all, now) = (self.wrong.lock().unwrap_or_else(PoisonError::into_inner), now_ms());
        if all.len() >= REMEMBERED_MAX && !all.contains_key(email) {
            all.retain(|_, wrong| now - wrong.since < THROTTLE_MS);
            if all.len() >= REMEMBERED_MAX {
                return;
            }
        }
        let wrong = all.entry(email.to_owned()).or_insert(Wrong { times: 0, since: now });
        if now - wrong.since >= THROTTLE_MS {
            *wrong = Wrong { times: 0, since: now };
        }
        wrong.times += 1;
    }

    fn forgive(&self, email: &str) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(email);
    }
}

fn hash(password: &str) -> Result<String, Failure> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|error| {
        tracing::error!(%error, "a password cannot be hashed");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong inside")
    })
}
