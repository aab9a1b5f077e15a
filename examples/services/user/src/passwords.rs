//! Passwords: what is kept of them, and how they are compared. Both are slow on purpose, so both are done beside the
//! threads that serve, a few at a time, and with a bounded line of those who wait.

use std::sync::Arc;
use std::thread::available_parallelism;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use axum::http::StatusCode;
use chassis::{Failure, Settings, StartError};
use tokio::sync::Semaphore;
use tracing::Instrument;
use uuid::Uuid;

/// Who comes when so many wait is told to come again: at thirty a second for each core they would wait too long.
const WAITING_MAX: usize = 64;

/// Hashes and compares passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    line: Arc<Semaphore>,
    /// A hash of no password anybody knows, for accounts that are not there.
    nobody: Arc<str>,
}

impl Passwords {
    pub(crate) async fn of(settings: &Settings) -> Result<Self, StartError> {
        let cores = available_parallelism().map_or(1, usize::from);
        let at_once: usize = settings.parsed("PASSWORDS_AT_ONCE", cores.saturating_sub(1).max(1))?;
        let at_once = at_once.clamp(1, 64);
        let line = Arc::new(Semaphore::new(at_once + WAITING_MAX));
        let mut new = Self { turns: Arc::new(Semaphore::new(at_once)), line, nobody: "".into() };
        let hash = new.hash(Uuid::new_v4().to_string()).await;
        new.nobody = hash.map_err(|failure| StartError::Other(failure.to_string()))?.into();
        Ok(new)
    }

    /// What is kept of a password: argon2id with 19 MiB and two rounds, as OWASP asks for.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Failure> {
        let hashed = self.in_turn(move || Argon2::default().hash_password(password.as_bytes())).await?;
        hashed.map(|hash| hash.to_string()).map_err(|error| internal(&error))
    }

    /// Is it the password this was kept of? Without anything to compare with it takes as long to say no.
    #[tracing::instrument(skip_all, name = "compare password")]
    pub(crate) async fn is(&self, password: String, kept: Option<&str>) -> Result<bool, Failure> {
        let is_somebody = kept.is_some();
        let kept = kept.unwrap_or(&self.nobody).to_owned();
        let compare = move || Argon2::default().verify_password(password.as_bytes(), kept.as_str()).is_ok();
        Ok(self.in_turn(compare).await? && is_somebody)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = |_| Failure::unavailable("too_many_logins", "too many people sign in at this moment");
        let place = self.line.clone().try_acquire_owned().map_err(busy)?;
        let turn =
            self.turns.clone().acquire_owned().in_current_span().await.map_err(|error| internal(&error))?;
        // The thread holds the turn, not the request: one whose caller hangs up does not end sooner.
        let worked = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        worked.await.map_err(|error| internal(&error))
    }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    tracing::error!(%error, "a password could not be hashed");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong inside")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chassis::Settings;
    use chassis::testing::until;

    use super::{Passwords, WAITING_MAX};

    async fn passwords() -> Passwords {
        Passwords::of(&Settings::of(&[("PASSWORDS_AT_ONCE", "2")])).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_password_is_the_password() {
        let passwords = passwords().await;
        let kept = passwords.hash("correct horse".into()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("correct horse".into()).await.unwrap(), "each has its own salt");
        assert!(passwords.is("correct horse".into(), Some(&kept)).await.unwrap());
        assert!(!passwords.is("correct horsf".into(), Some(&kept)).await.unwrap());
        assert!(!passwords.is("correct horse".into(), None).await.unwrap());
    }

    /// What it costs to say no stands in the hash that is compared with: memory, rounds and lanes. A stopwatch would only
    /// tell how busy the machine is.
    #[tokio::test]
    async fn nobody_costs_as_much_as_somebody() {
        let passwords = passwords().await;
        let kept = passwords.hash("correct horse".into()).await.unwrap();
        let cost = |hash: &str| hash.splitn(5, '$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(cost(&passwords.nobody), cost(&kept));
        assert_eq!(passwords.nobody.len(), kept.len(), "salt and hash are of the same size");
        // It is compared, and not merely answered: a hash that cannot be read is not the same as one of nobody.
        assert!(!passwords.is(String::new(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_few_work_some_wait_and_the_rest_is_told_so() {
        let passwords = passwords().await;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let jobs = (0..WAITING_MAX + 12).map(|_| {
            let (now, most, gate) = (now.clone(), most.clone(), gate.clone());
            passwords.in_turn(move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Ends when the other side of the gate is gone.
                let _ = gate.lock().unwrap().recv();
                now.fetch_sub(1, Ordering::SeqCst);
            })
        });
        let mut jobs: Vec<_> = jobs.map(Box::pin).collect();
        // Each is asked once: who is let in takes a place, who is not is told at once.
        let mut refused = 0;
        for job in &mut jobs {
            if let std::task::Poll::Ready(answer) = futures_util::poll!(job) {
                assert_eq!(answer.err().unwrap().body().error, "too_many_logins");
                refused += 1;
            }
        }
        assert_eq!(refused, 10);
        until("two are at it", async || now.load(Ordering::SeqCst) == 2).await;
        drop(go);
        for job in jobs.into_iter().take(WAITING_MAX + 2) {
            job.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
