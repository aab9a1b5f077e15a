//! `migrate`: moving a route from one target to another, in steps that can be taken back.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Mode;
use super::words::{By, Field, Name, wrong};
use crate::units::{Bytes, Share, Unit, UnitError, Wait, readable};

readable!(Gate, Stage);

/// Moves a route's callers from one target to another.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// The target that answers now.
    pub from: Name,
    /// The target that shall answer.
    pub to: Name,
    /// The stages, in order: `shadow`, then growing shares. Each lasts `hold`, and is left only while no gate is broken. Instead of `share`.
    pub plan: Option<Vec<Stage>>,
    /// A fixed share for the new side, changed by hand. Instead of `plan`.
    pub share: Option<Share>,
    /// How long each stage lasts at least. Default: `10m`.
    pub hold: Option<Wait>,
    /// What keeps a caller on one side. Who moved at 5 % stays moved at 25 %. Default: `user`, and a cookie where nobody is known.
    pub stick_to: Option<By>,
    /// Copies of requests to the new side, whose answers are compared and thrown away.
    pub shadow: Option<Shadow>,
    /// Conditions that take the migration back. Each is about the same requests at the same time.
    #[serde(default)]
    pub roll_back_if: Vec<Gate>,
    /// `observe` decides and counts, but sends everyone to `from`.
    pub mode: Option<Mode>,
}

/// Copies of requests. Nothing about them can change, delay or fail what the caller gets.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shadow {
    /// The share of requests that is copied. Default: `100%`.
    pub sample: Option<Share>,
    /// A larger body is not copied, and counted. Default: `64KiB`.
    pub body_max: Option<Bytes>,
    /// How answers are compared.
    pub compare: Option<Compare>,
}

/// What counts as the same answer.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compare {
    /// Paths in the JSON body that may differ: `$.generated_at`, `$.items[*].id`.
    pub ignore: Vec<String>,
    /// Arrays whose order does not matter.
    pub unordered: Vec<String>,
    /// Header fields that must be the same. Default: `content-type`.
    pub headers: Option<Vec<Field>>,
    /// Numbers may differ by this share. Default: `0%`.
    pub tolerance: Option<Share>,
}

/// One stage of a migration.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// Copies only; everyone is answered by the old side.
    Shadow,
    /// This share of the callers is answered by the new side.
    Share(Share),
}

impl Unit for Stage {
    const NAME: &'static str = "stage";
    const EXPECTED: &'static str = "a stage: `shadow`, or a share such as 5%";
    const PATTERN: &'static str = r"^(shadow|[0-9]+(\.[0-9]+)? ?%)$";
}

impl FromStr for Stage {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == "shadow" {
            return Ok(Self::Shadow);
        }
        text.parse().map(Self::Share).map_err(|_| wrong::<Self>(text))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shadow => f.write_str("shadow"),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// A condition on which a migration is taken back: `errors > monolith + 0.5%`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Gate {
    /// What is measured on the new side.
    pub measure: Measure,
    /// What it must not exceed.
    pub limit: GateLimit,
}

/// What a gate measures.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Measure {
    /// The share of compared answers that differ.
    Diff,
    /// The share of failed requests.
    Errors,
    /// The median latency.
    P50,
    /// The latency that 95 % stay under.
    P95,
    /// The latency that 99 % stay under.
    P99,
}

/// What a measure is held against.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum GateLimit {
    /// A share by itself: `diff > 0.1%`.
    Share(Share),
    /// The old side plus a share: `errors > monolith + 0.5%`.
    OldPlus(Name, Share),
    /// The old side times a factor, in hundredths: `p99 > monolith * 1.2`.
    OldTimes(Name, u32),
    /// A duration: `p99 > 800ms`.
    Within(Wait),
}

const MEASURES: [(&str, Measure); 5] = [
    ("diff", Measure::Diff),
    ("errors", Measure::Errors),
    ("p50", Measure::P50),
    ("p95", Measure::P95),
    ("p99", Measure::P99),
];

impl Unit for Gate {
    const NAME: &'static str = "gate";
    const EXPECTED: &'static str = "a condition such as `diff > 0.1%`, `errors > OLD + 0.5%`, `p99 > OLD * 1.2` or `p99 > 800ms`, where OLD is the target migrated from";
    const PATTERN: &'static str = r"^(diff|errors|p50|p95|p99) ?> ?.+$";
}

impl FromStr for Gate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parts = || {
            let (measure, limit) = text.split_once('>')?;
            let (_, measure) = MEASURES.iter().find(|(name, _)| *name == measure.trim())?;
            let limit = GateLimit::parse(limit.trim())?;
            let latency = matches!(measure, Measure::P50 | Measure::P95 | Measure::P99);
            let fits = match limit {
                GateLimit::Share(_) | GateLimit::OldPlus(..) => !latency,
                GateLimit::OldTimes(..) => *measure != Measure::Diff,
                GateLimit::Within(_) => latency,
            };
            fits.then_some(Self { measure: *measure, limit })
        };
        parts().ok_or_else(|| wrong::<Self>(text))
    }
}

impl GateLimit {
    #[allow(clippy::cast_possible_truncation, reason = "at most 100, by the filter above the cast")]
    fn parse(text: &str) -> Option<Self> {
        if let Some((old, share)) = text.split_once('+') {
            return Some(Self::OldPlus(old.trim().parse().ok()?, share.trim().parse().ok()?));
        }
        if let Some((old, factor)) = text.split_once('*') {
            let factor: f64 = factor.trim().parse().ok().filter(|factor| (1.0..=100.0).contains(factor))?;
            return Some(Self::OldTimes(old.trim().parse().ok()?, (factor * 100.0).round() as u32));
        }
        text.parse().map(Self::Share).or_else(|_| text.parse().map(Self::Within)).ok()
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = MEASURES.iter().find(|(_, measure)| *measure == self.measure).map_or("", |(name, _)| name);
        match &self.limit {
            GateLimit::Share(share) => write!(f, "{name} > {share}"),
            GateLimit::OldPlus(old, share) => write!(f, "{name} > {old} + {share}"),
            GateLimit::OldTimes(old, hundredths) => {
                write!(f, "{name} > {old} * {}", f64::from(*hundredths) / 100.0)
            }
            GateLimit::Within(wait) => write!(f, "{name} > {wait}"),
        }
    }
}
