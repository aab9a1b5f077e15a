//! The life of a key, as a pure matter of time.
//!
//! ```text
//! key 1  |-- signs ----------------------|-- still published --|
//! key 2                      |-- grace --|-- signs ----------------------| ...
//! ```
//!
//! A key is *published* for a grace before it signs, so that whoever checks tokens knows it by then: gateways keep keys
//! for minutes. It *signs* until the next one does. It stays published until the last token it signed has expired.

use chassis::{Settings, StartError};

/// The setting that says how long a token holds, and its default.
pub(crate) const TOKEN_SECONDS: (&str, i64) = ("TOKEN_SECONDS", 900);
/// A key stays so much longer than its last token: clocks differ, and gateways allow for that.
const LEEWAY_MS: i64 = 120_000;

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// How long a key signs.
    pub(super) signs_ms: i64,
    /// How long it is published before.
    pub(super) grace_ms: i64,
    /// How long a token holds.
    pub(super) token_ms: i64,
}

/// When what happens to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Dates {
    /// Its number: 1 for the first.
    pub(crate) generation: i64,
    pub(crate) signs_at: i64,
}

impl Life {
    pub(crate) fn of(settings: &Settings) -> Result<Self, StartError> {
        let ms = |name, default: i64| -> Result<i64, StartError> {
            let seconds: u32 = settings.parsed(name, u32::try_from(default).unwrap_or(u32::MAX))?;
            Ok(i64::from(seconds) * 1000)
        };
        let life = Self {
            signs_ms: ms("KEY_SECONDS", 7 * 24 * 60 * 60)?,
            grace_ms: ms("KEY_GRACE_SECONDS", 600)?,
            token_ms: ms(TOKEN_SECONDS.0, TOKEN_SECONDS.1)?,
        };
        if life.token_ms == 0 || life.grace_ms == 0 || life.signs_ms <= life.grace_ms {
            return Err(StartError::Other(
                "TOKEN_SECONDS and KEY_GRACE_SECONDS are more than 0, and KEY_SECONDS is more than the grace"
                    .to_owned(),
            ));
        }
        Ok(life)
    }

    /// How long others may keep the keys: half the grace, so that they have asked again before a new one signs.
    pub(super) fn max_age_seconds(&self) -> i64 {
        (self.grace_ms / 2000).min(300)
    }

    /// What signs now, of keys from the first to the last. Should the clock be set back before all of them: the first.
    pub(super) fn signer(keys: &[Dates], now: i64) -> Option<usize> {
        keys.iter().rposition(|key| key.signs_at <= now).or(if keys.is_empty() { None } else { Some(0) })
    }

    /// The key that is published and does not sign yet.
    pub(super) fn waiting(keys: &[Dates], now: i64) -> Option<usize> {
        keys.iter().rposition(|key| key.signs_at > now).filter(|place| *place > 0)
    }

    /// The next key, if it is time for one. The first signs at once: there is nothing others could know instead.
    pub(super) fn due(&self, keys: &[Dates], now: i64) -> Option<Dates> {
        match keys.last() {
            None => Some(Dates { generation: 1, signs_at: now }),
            Some(last) if now >= last.signs_at + self.signs_ms - self.grace_ms => Some(self.next(last, now)),
            Some(_) => None,
        }
    }

    /// The key after this one, if it is published now.
    pub(super) fn next(&self, last: &Dates, now: i64) -> Dates {
        Dates { generation: last.generation + 1, signs_at: now + self.grace_ms }
    }

    /// The first generation that is still needed: what was before it has signed nothing that still holds.
    pub(super) fn first_needed(&self, keys: &[Dates], now: i64) -> i64 {
        let over = |next: &&Dates| next.signs_at + self.token_ms + LEEWAY_MS <= now;
        keys.iter().rev().find(over).map_or(0, |next| next.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dates, LEEWAY_MS, Life};

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const MINUTE: i64 = 60_000;

    fn life() -> Life {
        Life { signs_ms: 7 * DAY, grace_ms: 10 * MINUTE, token_ms: 15 * MINUTE }
    }

    fn key(generation: i64, signs_at: i64) -> Dates {
        Dates { generation, signs_at }
    }

    #[test]
    fn a_key_is_published_signs_and_goes_in_this_order() {
        let life = life();
        let first = life.due(&[], 0).unwrap();
        assert_eq!(first, key(1, 0));
        assert_eq!(life.due(&[first], 7 * DAY - 10 * MINUTE - 1), None);
        let second = life.due(&[first], 7 * DAY - 10 * MINUTE).unwrap();
        assert_eq!(second, key(2, 7 * DAY), "it waits for its grace");
        let both = [first, second];
        assert_eq!(life.due(&both, 7 * DAY - 1), None, "one waits at a time");
        assert_eq!(Life::waiting(&both, 7 * DAY - 1), Some(1));
        assert_eq!(Life::signer(&both, 7 * DAY - 1), Some(0));
        assert_eq!(Life::signer(&both, 7 * DAY), Some(1));
        assert_eq!(Life::waiting(&both, 7 * DAY), None);
        let last_token_ends = 7 * DAY + 15 * MINUTE;
        assert_eq!(life.first_needed(&both, last_token_ends + LEEWAY_MS - 1), 1, "it is still published");
        assert_eq!(life.first_needed(&both, last_token_ends + LEEWAY_MS), 2);
    }

    #[test]
    fn after_a_long_night_the_old_key_signs_until_others_know_the_new_one() {
        let life = life();
        let old = key(3, 0);
        let next = life.due(&[old], 100 * DAY).unwrap();
        assert_eq!(next, key(4, 100 * DAY + 10 * MINUTE));
        assert_eq!(Life::signer(&[old, next], 100 * DAY), Some(0));
        assert_eq!(life.first_needed(&[old], 100 * DAY), 3, "the last key is never given up");
    }

    #[test]
    fn there_is_a_signer_whatever_the_clock_says() {
        assert_eq!(Life::signer(&[], 0), None);
        assert_eq!(Life::signer(&[key(1, 1000), key(2, 2000)], 0), Some(0));
        assert_eq!(Life::waiting(&[key(1, 1000)], 0), None, "a key that has to sign does not wait");
    }
}
