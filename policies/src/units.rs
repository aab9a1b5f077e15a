//! Quantities as people write them: `3s`, `100/s`, `5%`, `64KiB`, `50% of 20 in 10s`.
//!
//! Every number in a document carries its unit; a bare number is an error that says which units there are.
//! [`Unit`] is the one way in: text to value, value to text, and the pattern an editor checks with.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a float is cast to an integer only after its range was checked; casts saturate"
)]

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use schemars::{Schema, json_schema};
use serde::de::{self, Deserializer, Visitor};

#[cfg(test)]
mod tests;

/// What is wrong with a quantity: what was found, and what would have been right.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct UnitError(pub String);

/// A value with a textual form.
pub trait Unit: FromStr<Err = UnitError> {
    /// Its name in the JSON Schema.
    const NAME: &'static str;
    /// What an author should have written, with an example.
    const EXPECTED: &'static str;
    /// The regular expression editors check with.
    const PATTERN: &'static str;
    /// May it also be written as a bare number? Only words that include HTTP statuses may.
    const ALSO_NUMBER: bool = false;
}

/// Implements reading from a document, and the schema, for a [`Unit`].
macro_rules! readable {
    ($($unit:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $unit {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::units::read(deserializer)
            }
        }

        impl serde::Serialize for $unit {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $unit {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$unit as $crate::units::Unit>::NAME.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::units::schema::<$unit>()
            }
        }
    )+};
}
pub(crate) use readable;

readable!(Bytes, OpenAt, Rate, Share, Wait);

/// Reads a [`Unit`] from a document; a bare number gets an answer that names the units.
pub fn read<'de, D: Deserializer<'de>, U: Unit>(deserializer: D) -> Result<U, D::Error> {
    struct Text<U>(PhantomData<U>);

    impl<U: Unit> Visitor<'_> for Text<U> {
        type Value = U;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(U::EXPECTED)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<U, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: de::Error>(self, bare: u64) -> Result<U, E> {
            self.visit_str(&bare.to_string())
        }

        fn visit_i64<E: de::Error>(self, bare: i64) -> Result<U, E> {
            self.visit_str(&bare.to_string())
        }

        fn visit_f64<E: de::Error>(self, bare: f64) -> Result<U, E> {
            self.visit_str(&bare.to_string())
        }
    }

    deserializer.deserialize_str(Text(PhantomData))
}

/// What an editor checks a [`Unit`] with.
pub fn schema<U: Unit>() -> Schema {
    let text = json_schema!({ "type": "string", "format": U::NAME, "pattern": U::PATTERN });
    if U::ALSO_NUMBER { json_schema!({ "anyOf": [text, { "type": "integer" }] }) } else { text }
}

fn wrong<U: Unit>(text: &str) -> UnitError {
    let text: String = text.chars().take(60).collect();
    if text.parse::<f64>().is_ok() {
        return UnitError(format!("`{text}` has no unit: expected {}", U::EXPECTED));
    }
    UnitError(format!("`{text}` is not {}", U::EXPECTED))
}

/// Splits `12.5ms` into its number and its unit.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number = text.get(..end)?.parse().ok()?;
    Some((number, text.get(end..)?.trim_start()))
}

/// A length of time: `200ms`, `3s`, `10m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Wait(pub Duration);

/// The time units, longest first so that writing a duration finds the largest that fits.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

/// A hundred years: longer than anybody waits, short enough that no arithmetic overflows.
const LONGEST_NANOS: f64 = 100.0 * 365.0 * 86_400.0 * 1e9;

impl Unit for Wait {
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str = "a duration such as 200ms, 3s, 10m or 1h";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? ?(us|ms|s|m|h|d)$";
}

impl FromStr for Wait {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text).ok_or_else(|| wrong::<Self>(text))?;
        let (_, size) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(|| wrong::<Self>(text))?;
        let nanos = number * *size as f64;
        if nanos > LONGEST_NANOS {
            return Err(UnitError(format!("`{text}` is longer than a hundred years")));
        }
        Ok(Self(Duration::from_nanos(nanos.round() as u64)))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = crate::time::nanos(self.0);
        match TIMES.iter().find(|(_, size)| nanos >= *size && nanos.is_multiple_of(*size)) {
            Some((name, size)) => write!(f, "{}{name}", nanos / size),
            None if nanos == 0 => f.write_str("0s"),
            None => write!(f, "{}us", nanos as f64 / 1e3),
        }
    }
}

/// So many in a time: `100/s`, `5/m`, `1000/h`, `20/10s`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

impl Unit for Rate {
    const NAME: &'static str = "rate";
    const EXPECTED: &'static str = "a rate such as 100/s, 5/m or 20/10s";
    const PATTERN: &'static str = r"^[0-9]+ ?/ ?[0-9]*(ms|s|m|h|d)$";
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (count, per) = text.split_once('/').ok_or_else(|| wrong::<Self>(text))?;
        let count: u32 = count.trim().parse().map_err(|_| wrong::<Self>(text))?;
        let per = per.trim();
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.into() } else { format!("1{per}") };
        let Wait(per) = per.parse().map_err(|_| wrong::<Self>(text))?;
        if count == 0 || per.is_zero() {
            return Err(UnitError(format!(
                "`{text}` lets nothing through: to close a route, give it an answer instead"
            )));
        }
        Ok(Self { count, per })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = Wait(self.per).to_string();
        let unit = per.strip_prefix('1').filter(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&per))
    }
}

/// A part of the whole: `5%`, `0.1%`. Kept in millionths, so that two equal shares are equal.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Share(u32);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1_000_000);
    /// None of it.
    pub const NONE: Self = Self(0);

    /// So many in a million, at most all.
    pub const fn from_millionths(millionths: u32) -> Self {
        Self(if millionths > 1_000_000 { 1_000_000 } else { millionths })
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// As a number from 0 to 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Is this roll of 64 random bits within the share? True for `ratio()` of all rolls, and nested: what is
    /// within 5 % is within 25 %.
    pub const fn holds(self, roll: u64) -> bool {
        ((roll as u128 * 1_000_000) >> 64) < self.0 as u128
    }
}

impl Unit for Share {
    const NAME: &'static str = "share";
    const EXPECTED: &'static str = "a share such as 5% or 0.1%, from 0% to 100%";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? ?%$";
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let number = text.strip_suffix('%').ok_or_else(|| wrong::<Self>(text))?.trim_end();
        let percent: f64 = number.parse().map_err(|_| wrong::<Self>(text))?;
        if !(0.0..=100.0).contains(&percent) || number.starts_with(['+', '-']) {
            return Err(wrong::<Self>(text));
        }
        Ok(Self((percent * 1e4).round() as u32))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

/// A size: `500B`, `64KiB`, `10MiB`, `1GiB` (and kB, MB, GB by thousands).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Bytes(pub u64);

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl Unit for Bytes {
    const NAME: &'static str = "size";
    const EXPECTED: &'static str = "a size such as 500B, 64KiB or 10MiB";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? ?(B|kB|KiB|MB|MiB|GB|GiB)$";
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text).ok_or_else(|| wrong::<Self>(text))?;
        let (_, size) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(|| wrong::<Self>(text))?;
        Ok(Self((number * *size as f64).round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = SIZES
            .iter()
            .find(|(_, size)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

/// When a breaker opens: `50% of 20 in 10s` is half of at least twenty calls within ten seconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OpenAt {
    /// The share of failed calls.
    pub share: Share,
    /// Fewer calls than this prove nothing.
    pub volume: u32,
    /// The window they are counted in.
    pub window: Duration,
}

impl Unit for OpenAt {
    const NAME: &'static str = "breaker-threshold";
    const EXPECTED: &'static str =
        "a threshold such as `50% of 20 in 10s` (share of failures, least number of calls, window)";
    const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? ?% of [0-9]+ in [0-9]+(\.[0-9]+)? ?(us|ms|s|m|h|d)$";
}

impl FromStr for OpenAt {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let parts = || {
            let (share, rest) = text.split_once(" of ")?;
            let (volume, window) = rest.split_once(" in ")?;
            let share = share.trim().parse().ok().filter(|share| *share > Share::NONE)?;
            let volume = volume.trim().parse().ok().filter(|volume| *volume > 0)?;
            let Wait(window) = window.trim().parse().ok().filter(|Wait(window)| !window.is_zero())?;
            Some(Self { share, volume, window })
        };
        parts().ok_or_else(|| UnitError(format!("`{text}` is not {}", Self::EXPECTED)))
    }
}

impl fmt::Display for OpenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} in {}", self.share, self.volume, Wait(self.window))
    }
}
