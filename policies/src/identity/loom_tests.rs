//! What must hold however two threads interleave: one flight, one asker at a time.

use std::sync::Arc;
use std::time::Duration;

use super::jwks::{Ask, Due, FetchFailed, Fetched, Keyring, KeyringSettings, Landing};
use super::keys::KeySet;
use crate::time::Tick;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn good() -> Result<Fetched, FetchFailed> {
    Ok(Fetched { keys: KeySet::from_secret(SECRET).unwrap(), max_age: None })
}

fn at(secs: u64) -> Tick {
    Tick::ZERO.after(Duration::from_secs(secs))
}

fn launched(keyring: &Keyring, now: Tick) -> usize {
    usize::from(matches!(keyring.due(now), Due::Fetch(_)))
}

#[test]
fn loom_two_who_ask_what_is_due_get_one_flight() {
    loom::model(|| {
        let keyring = Arc::new(Keyring::fetching(KeyringSettings::default()));
        let other = keyring.clone();
        let there = loom::thread::spawn(move || launched(&other, at(0)));
        let here = launched(&keyring, at(0));
        assert_eq!(here + there.join().unwrap(), 1);
    });
}

#[test]
fn loom_a_token_that_asks_while_keys_land_starts_at_most_one_more_flight() {
    loom::model(|| {
        let keyring = Arc::new(Keyring::fetching(KeyringSettings::default()));
        let Due::Fetch(flight) = keyring.due(at(0)) else { panic!("the first fetch is due at once") };
        let other = keyring.clone();
        let asking = loom::thread::spawn(move || other.ask(at(1)));
        assert_eq!(keyring.fetched(flight, at(1), good(), 0), Landing::Replaced);
        assert_eq!(asking.join().unwrap(), Ask::Yes);
        assert!(launched(&keyring, at(1)) + launched(&keyring, at(1)) <= 1);
    });
}

#[test]
fn loom_of_two_landings_the_later_flight_stays() {
    loom::model(|| {
        let keyring = Arc::new(Keyring::fetching(KeyringSettings::default()));
        let Due::Fetch(first) = keyring.due(at(0)) else { panic!("due at once") };
        let Due::Fetch(second) = keyring.due(at(31)) else { panic!("the first is lost by now") };
        let other = keyring.clone();
        let late = loom::thread::spawn(move || other.fetched(first, at(40), good(), 0));
        assert_ne!(keyring.fetched(second, at(50), good(), 0), Landing::Late);
        late.join().unwrap();
        assert_eq!(keyring.status(at(60)).age, Some(Duration::from_secs(10)));
    });
}
