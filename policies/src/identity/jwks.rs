//! Which keys of an issuer are believed now, and when to ask for new ones: a [`Keyring`].
//!
//! The shell fetches; this file says when, and what to make of the outcome. It keeps three promises. Good keys are
//! never dropped because a fetch failed; they are believed until a bound in hours. At most one fetch is in the air,
//! started ahead of need, backing off when it fails. A token that names an unknown key causes at most one extra fetch
//! in ten seconds, whoever sends how many.
//!
//! Readers take no lock: the current set is an atomic snapshot. The lock is for those who fetch or ask.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::keys::{KeySet, KeysError};
use crate::sync::{Mutex, lock};
use crate::time::{Tick, nanos};

/// A flight that has not come back after this time is taken for lost and another may start. The shell's own time-out
/// for a fetch must be shorter.
pub const FLIGHT_MAX: Duration = Duration::from_secs(30);

/// What a failed fetch said, as far as it is kept for the admin page.
const FAILURE_CHARS_MAX: usize = 200;

/// How often keys are fetched, and how long they are believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyringSettings {
    /// No sooner than this after a good fetch, whatever `max-age` says. Default 1 min.
    pub refresh_min: Duration,
    /// No later than this after a good fetch, whatever `max-age` says. Default 1 h: a withdrawn key is believed
    /// no longer than that while fetches succeed.
    pub refresh_max: Duration,
    /// After a good fetch that did not say. Default 10 min.
    pub refresh_unsaid: Duration,
    /// After the first failure; doubled for each further one. Default 1 s.
    pub retry_first: Duration,
    /// No wait after a failure is longer. Default 1 min.
    pub retry_max: Duration,
    /// At most one extra fetch in this time because a token names an unknown key. Default 10 s.
    pub ask_every: Duration,
    /// So long after the last good fetch keys are no longer believed. Default 24 h: an issuer's bad night must not
    /// close the shop, and a week must not pass unnoticed.
    pub stale_max: Duration,
}

impl Default for KeyringSettings {
    fn default() -> Self {
        Self {
            refresh_min: Duration::from_secs(60),
            refresh_max: Duration::from_secs(60 * 60),
            refresh_unsaid: Duration::from_secs(10 * 60),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            ask_every: Duration::from_secs(10),
            stale_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What the shell shall do about an issuer's keys now.
#[derive(Debug, Eq, PartialEq)]
pub enum Due {
    /// Fetch them, and come back with [`Keyring::fetched`].
    Fetch(Flight),
    /// Nothing, ever: the keys were given once and for all.
    Never,
    /// Ask again after this time, or when a token asks for keys.
    Wait(Duration),
}

/// The right to fetch. There is at most one at a time; who lets it drop blocks others for [`FLIGHT_MAX`].
#[must_use = "hand it to Keyring::fetched with the outcome"]
#[derive(Debug, Eq, PartialEq)]
pub struct Flight(u64);

/// A good answer.
#[derive(Debug)]
pub struct Fetched {
    /// The keys.
    pub keys: KeySet,
    /// How long the issuer says they may be kept; see [`max_age`].
    pub max_age: Option<Duration>,
}

/// A fetch that brought no keys.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchFailed {
    /// The issuer answered, and the answer is no usable set.
    #[error("{0}")]
    Keys(#[from] KeysError),
    /// The issuer could not be reached, or did not answer 200. Cut to 200 characters.
    #[error("{0}")]
    Transport(String),
}

/// What became of a fetch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Landing {
    /// It failed; the keys we had stay.
    Kept,
    /// A later fetch was faster; this one changes nothing.
    Late,
    /// It brought the keys we had; they are believed anew.
    Renewed,
    /// It brought other keys than we had.
    Replaced,
}

/// May a request wait for another fetch?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ask {
    No,
    Yes,
}

/// How an issuer's keys are, for metrics and the admin page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringStatus {
    /// Time since the last good fetch; `None` before the first, or if the keys were given once and for all.
    pub age: Option<Duration>,
    /// How many keys there are.
    pub keys: usize,
    /// How many fetches have failed since the last good one.
    pub failures: u32,
    /// What the last failure said, until a fetch succeeds.
    pub last_failure: Option<FetchFailed>,
}

/// The keys of one issuer, over time. Shared by all threads; survives a reload of the document.
pub struct Keyring {
    /// `None`: the keys were given once and for all.
    settings: Option<KeyringSettings>,
    held: ArcSwapOption<Held>,
    state: Mutex<State>,
}

/// A set and how long it is believed.
pub(super) struct Held {
    pub(super) keys: KeySet,
    landed: Tick,
    /// `None`: for ever.
    believed_until: Option<Tick>,
}

/// What those who fetch and ask must agree on.
#[derive(Default)]
struct State {
    due: Tick,
    asked: Option<Tick>,
    in_air: Option<(u64, Tick)>,
    launched: u64,
    landed: u64,
    failures: u32,
    last_failure: Option<FetchFailed>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Keyring {
    /// A keyring to be filled by fetching. The first fetch is due at once.
    pub fn fetching(settings: KeyringSettings) -> Self {
        Self { settings: Some(settings), held: ArcSwapOption::empty(), state: Mutex::new(State::default()) }
    }

    /// A keyring that holds these keys for ever: a PEM file, a shared secret, a local set.
    pub fn fixed(keys: KeySet) -> Self {
        let held = Held { keys, landed: Tick::ZERO, believed_until: None };
        Self { settings: None, held: ArcSwapOption::from_pointee(held), state: Mutex::new(State::default()) }
    }

    /// What to do now. Two callers at one moment do not both get the [`Flight`].
    pub fn due(&self, now: Tick) -> Due {
        if self.settings.is_none() {
            return Due::Never;
        }
        let mut state = lock(&self.state);
        if let Some(left) = state.flight_left(now) {
            return Due::Wait(left);
        }
        if now < state.due {
            return Due::Wait(state.due.since(now));
        }
        state.launched += 1;
        state.in_air = Some((state.launched, now));
        Due::Fetch(Flight(state.launched))
    }

    /// Takes the outcome of a fetch. A failure keeps the keys we have and sets a time to try again: `retry_first`
    /// doubled for each failure, up to `retry_max`, and of that between a half and the whole, by `roll`. A success is
    /// fetched again when three quarters to seven eighths of its time are over.
    pub fn fetched(
        &self,
        Flight(number): Flight,
        now: Tick,
        outcome: Result<Fetched, FetchFailed>,
        roll: u64,
    ) -> Landing {
        let Some(settings) = &self.settings else { return Landing::Late };
        let mut state = lock(&self.state);
        state.in_air = state.in_air.filter(|(in_air, _)| *in_air != number);
        if number <= state.landed {
            return Landing::Late;
        }
        state.landed = number;
        match outcome {
            Ok(Fetched { keys, max_age }) => {
                state.succeeded(now.after(settings.refresh_after(max_age, roll)));
                self.replace(Held { keys, landed: now, believed_until: Some(now.after(settings.stale_max)) })
            }
            Err(failure) => {
                state.failed(failure);
                state.due = now.after(settings.retry_after(state.failures, roll));
                Landing::Kept
            }
        }
    }

    /// How the keys are.
    pub fn status(&self, now: Tick) -> KeyringStatus {
        let held = self.held.load();
        let age = |held: &Arc<Held>| held.believed_until.map(|_| now.since(held.landed));
        let state = lock(&self.state);
        KeyringStatus {
            age: held.as_ref().and_then(age),
            keys: held.as_ref().map_or(0, |held| held.keys.len()),
            failures: state.failures,
            last_failure: state.last_failure.clone(),
        }
    }

    /// The current set, if there is one. No lock.
    pub(super) fn held(&self) -> Guard<Option<Arc<Held>>> {
        self.held.load()
    }

    /// May a request wait for a fetch because it misses a key? Yes while one is in the air or due, since it may bring
    /// the key; otherwise once in a while, and then a fetch is due.
    pub(super) fn ask(&self, now: Tick) -> Ask {
        let Some(settings) = &self.settings else { return Ask::No };
        let mut state = lock(&self.state);
        if state.flight_left(now).is_some() || state.due <= now {
            return Ask::Yes;
        }
        if state.asked.is_some_and(|asked| now.since(asked) < settings.ask_every) {
            return Ask::No;
        }
        state.asked = Some(now);
        state.due = now;
        Ask::Yes
    }

    /// May the issuer publish keys by now that we do not have? So it is while a fetch is in the air, and after one that
    /// failed. A token that misses a key is then no bad token: nobody can know.
    pub(super) fn may_miss_keys(&self, now: Tick) -> bool {
        let state = lock(&self.state);
        state.failures > 0 || state.flight_left(now).is_some()
    }

    /// Under the lock of whoever calls, so that of two landings the later one stays.
    fn replace(&self, held: Held) -> Landing {
        let before = self.held.swap(Some(Arc::new(held)));
        let same = |before: &Arc<Held>| {
            self.held.load().as_ref().is_some_and(|held| held.keys.same_as(&before.keys))
        };
        if before.as_ref().is_some_and(same) { Landing::Renewed } else { Landing::Replaced }
    }
}

impl Held {
    pub(super) fn believed(&self, now: Tick) -> bool {
        self.believed_until.is_none_or(|until| now < until)
    }
}

impl State {
    fn flight_left(&self, now: Tick) -> Option<Duration> {
        let (_, since) = self.in_air?;
        FLIGHT_MAX.checked_sub(now.since(since)).filter(|left| !left.is_zero())
    }

    fn succeeded(&mut self, due: Tick) {
        self.due = due;
        self.failures = 0;
        self.last_failure = None;
    }

    fn failed(&mut self, failure: FetchFailed) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(match failure {
            FetchFailed::Transport(words) => {
                FetchFailed::Transport(words.chars().take(FAILURE_CHARS_MAX).collect())
            }
            keys @ FetchFailed::Keys(_) => keys,
        });
    }
}

impl KeyringSettings {
    fn refresh_after(&self, max_age: Option<Duration>, roll: u64) -> Duration {
        let whole = max_age.unwrap_or(self.refresh_unsaid).min(self.refresh_max).max(self.refresh_min);
        let eighth = whole / 8;
        whole - eighth - part_of(eighth, roll)
    }

    fn retry_after(&self, failures: u32, roll: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let half = self.retry_first.saturating_mul(1 << doublings).min(self.retry_max) / 2;
        half + part_of(half, roll)
    }
}

/// Between nothing and all of a duration, as the roll falls.
fn part_of(whole: Duration, roll: u64) -> Duration {
    Duration::from_nanos(roll % nanos(whole).saturating_add(1))
}

/// What a `Cache-Control` field (RFC 9111 section 5.2.2) says about how long an answer may be kept: `max-age`, or
/// nothing at all under `no-store` and `no-cache`. `None` if it does not say.
pub fn max_age(cache_control: &str) -> Option<Duration> {
    let mut said = None;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" | "no-store" => return Some(Duration::ZERO),
            "max-age" if said.is_none() => {
                said = value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
            }
            _ => {}
        }
    }
    said
}
