//! What shoppers have seen: how often, how fast, and what was no answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a shopper wants.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs, reason = "each says it in its name")]
pub enum Kind {
    Browse,
    LogIn,
    Order,
    Page,
    Poll,
    Product,
    Recommend,
    Register,
    Reviews,
    Search,
}

/// What became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// What the shopper wanted, or an honest no: sold out, declined.
    Fine(String),
    /// Not now: a limit, a breaker, too much to do. The slug.
    Refused(String),
    /// No answer, or none that can be understood: its slug, or its status.
    Wrong(String),
}

/// Different words per kind; a shop that invents more is counted under one.
const WORDS_MAX: usize = 60;
/// Times are counted in steps of 5 %, from a tenth of a millisecond to five minutes.
const STEP: f64 = 1.05;
const SHORTEST_MS: f64 = 0.1;
const STEPS: usize = 306;

/// How long answers took.
#[derive(Clone, Debug)]
pub struct Times {
    steps: Vec<u64>,
}

/// What became of requests of one kind.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers, by what they said.
    pub fine: BTreeMap<String, u64>,
    /// Refusals, by slug.
    pub refused: BTreeMap<String, u64>,
    /// What was no answer, by slug.
    pub wrong: BTreeMap<String, u64>,
    /// How long all of them took.
    pub times: Times,
}

/// The figures of all kinds.
#[derive(Debug, Default)]
pub struct Figures(Mutex<BTreeMap<Kind, Tally>>);

impl Figures {
    /// Counts one.
    pub fn count(&self, kind: Kind, outcome: Outcome, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = all.entry(kind).or_default();
        let (words, word) = match outcome {
            Outcome::Fine(word) => (&mut tally.fine, word),
            Outcome::Refused(word) => (&mut tally.refused, word),
            Outcome::Wrong(word) => (&mut tally.wrong, word),
        };
        let room = words.len() < WORDS_MAX || words.contains_key(&word);
        *words.entry(if room { word } else { "others".to_owned() }).or_default() += 1;
        tally.times.count(took);
    }

    /// All of them, as they stand.
    pub fn now(&self) -> BTreeMap<Kind, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Tally {
    /// How many were asked.
    pub fn asked(&self) -> u64 {
        [&self.fine, &self.refused, &self.wrong].into_iter().flat_map(|words| words.values()).sum()
    }

    /// How many were no answer.
    pub fn failed(&self) -> u64 {
        self.wrong.values().sum()
    }

    /// What has come since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let each = now.iter().map(|(word, many)| (word.clone(), many - before.get(word).unwrap_or(&0)));
            each.filter(|(_, many)| *many > 0).collect()
        };
        Self {
            fine: less(&self.fine, &before.fine),
            refused: less(&self.refused, &before.refused),
            wrong: less(&self.wrong, &before.wrong),
            times: self.times.since(&before.times),
        }
    }
}

/// What has come since `before`, of every kind.
pub fn since(now: &BTreeMap<Kind, Tally>, before: &BTreeMap<Kind, Tally>) -> BTreeMap<Kind, Tally> {
    let none = Tally::default();
    now.iter().map(|(kind, tally)| (*kind, tally.since(before.get(kind).unwrap_or(&none)))).collect()
}

impl Default for Times {
    fn default() -> Self {
        Self { steps: vec![0; STEPS] }
    }
}

impl Times {
    fn count(&mut self, took: Duration) {
        let ms = took.as_secs_f64() * 1e3;
        let upper = |step: &usize| SHORTEST_MS * STEP.powi(i32::try_from(*step).unwrap_or(i32::MAX)) >= ms;
        let step = (0..STEPS).find(upper).unwrap_or(STEPS - 1);
        if let Some(count) = self.steps.get_mut(step) {
            *count += 1;
        }
    }

    /// The time in which this share of the answers came, in milliseconds; none if none came.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.steps.iter().sum();
        let wanted = (all as f64 * share).ceil();
        let mut seen = 0;
        let step = self.steps.iter().position(|count| {
            seen += count;
            seen > 0 && seen as f64 >= wanted
        })?;
        Some(SHORTEST_MS * STEP.powi(i32::try_from(step).ok()?))
    }

    fn since(&self, before: &Self) -> Self {
        Self { steps: self.steps.iter().zip(&before.steps).map(|(now, before)| now - before).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[test]
    fn quantiles_are_right_within_a_step() {
        let figures = Figures::default();
        for ms in 1..=1000 {
            figures.count(Kind::Browse, Outcome::Fine("ok".into()), Duration::from_millis(ms));
        }
        let before = figures.now();
        let times = &before[&Kind::Browse].times;
        for (share, wanted) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = times.quantile(share).unwrap();
            assert!(found >= wanted && found <= wanted * STEP, "{share}: {found}");
        }
        figures.count(Kind::Browse, Outcome::Wrong("500".into()), Duration::from_secs(3600));
        let since = since(&figures.now(), &before);
        let one = &since[&Kind::Browse];
        assert_eq!((one.asked(), one.failed()), (1, 1));
        assert!(one.times.quantile(0.5).unwrap() > 250_000.0);
        assert_eq!(Times::default().quantile(0.5), None);
    }
}
