//! Against those who guess: an account has a few tries, and gets one more every half minute. A right password gives its
//! try back, so whoever knows it is not held up by having signed in often.
//!
//! It is kept in memory, by each replica for itself: guessing is made slow, which does not need to be exact. Accounts
//! that do not exist have tries as well, or the answer would tell who exists.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chassis::{Settings, StartError};

/// A try comes back after this time.
const TRY_MS: i64 = 30_000;
/// When more accounts than this are guessed at, the one that was left alone longest is forgotten.
const ACCOUNTS_MAX: usize = 10_000;

/// Counts tries.
#[derive(Clone)]
pub(crate) struct Throttle {
    tries: i64,
    /// When all tries of an account are back, by its email.
    full_at: Arc<Mutex<HashMap<String, i64>>>,
}

impl Throttle {
    pub(crate) fn of(settings: &Settings) -> Result<Self, StartError> {
        let tries: u32 = settings.parsed("LOGIN_TRIES", 10)?;
        Ok(Self { tries: i64::from(tries.max(1)), full_at: Arc::default() })
    }

    /// Takes a try, before the password is compared: a hundred guesses sent at once are a hundred tries. If there is
    /// none, says in how many seconds there will be.
    pub(crate) fn take(&self, email: &str, now_ms: i64) -> Result<(), i64> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full = full_at.get(email).copied().unwrap_or(now_ms).max(now_ms) + TRY_MS;
        let early_ms = full - now_ms - self.tries * TRY_MS;
        if early_ms > 0 {
            return Err((early_ms + 999) / 1000);
        }
        if full_at.len() >= ACCOUNTS_MAX && !full_at.contains_key(email) {
            make_room(&mut full_at, now_ms);
        }
        full_at.insert(email.to_owned(), full);
        Ok(())
    }

    /// Gives it back: the password was right, or nobody compared it.
    pub(crate) fn give_back(&self, email: &str) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = full_at.get_mut(email) {
            *full -= TRY_MS;
        }
    }
}

fn make_room(full_at: &mut HashMap<String, i64>, now_ms: i64) {
    full_at.retain(|_, full| *full > now_ms);
    if full_at.len() >= ACCOUNTS_MAX {
        let longest_alone = full_at.iter().min_by_key(|(_, full)| **full).map(|(email, _)| email.clone());
        longest_alone.and_then(|email| full_at.remove(&email));
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCOUNTS_MAX, TRY_MS, Throttle};
    use chassis::Settings;

    fn three_tries() -> Throttle {
        Throttle::of(&Settings::of(&[("LOGIN_TRIES", "3")])).unwrap()
    }

    #[test]
    fn tries_run_out_and_come_back_one_by_one() {
        let throttle = three_tries();
        for _ in 0..3 {
            assert_eq!(throttle.take("ada", 0), Ok(()));
        }
        assert_eq!(throttle.take("ada", 0), Err(30));
        assert_eq!(throttle.take("ada", 29_001), Err(1), "and asking too early does not make it later");
        assert_eq!(throttle.take("bob", 0), Ok(()), "others are not concerned");
        assert_eq!(throttle.take("ada", TRY_MS), Ok(()));
        assert_eq!(throttle.take("ada", TRY_MS), Err(30));
        for _ in 0..3 {
            assert_eq!(throttle.take("ada", 100 * TRY_MS), Ok(()), "no more than all of them come back");
        }
        assert!(throttle.take("ada", 100 * TRY_MS).is_err());
    }

    #[test]
    fn a_right_password_costs_nothing() {
        let throttle = three_tries();
        for _ in 0..100 {
            assert_eq!(throttle.take("ada", 0), Ok(()));
            throttle.give_back("ada");
        }
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let throttle = three_tries();
        for _ in 0..3 {
            throttle.take("ada", 1).unwrap();
        }
        for n in 0..2 * ACCOUNTS_MAX {
            throttle.take(&n.to_string(), 0).unwrap();
        }
        assert_eq!(throttle.full_at.lock().unwrap().len(), ACCOUNTS_MAX);
        assert!(throttle.take("ada", 1).is_err(), "who was guessed at most is remembered longest");
    }
}
