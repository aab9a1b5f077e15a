//! JSON as a signed token may hold it: no name twice, not too many values.
//!
//! `serde_json` keeps the last of two members with one name and says nothing; another reader of the same token keeps
//! the first, and the two believe different things. RFC 7519 section 4: "The Claim Names within a JWT Claims Set MUST
//! be unique". We refuse, at every depth. (Depth itself is bounded by `serde_json`, at 128.)

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Values in one token, nested ones included. A token is 16 KiB at most and real ones hold some dozens; the bound is
/// there because `[0,0,0...` costs sixteen times in memory what it costs in bytes.
const VALUES_MAX: usize = 1024;

/// The object these bytes spell; nothing if they spell anything else, say something twice or say too much.
pub(super) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let mut left = VALUES_MAX;
    let value = Strict { left: &mut left }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

struct Strict<'l> {
    left: &'l mut usize,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated names")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(Strict { left: self.left })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Strict { left: self.left })?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// Roughly how much memory a value takes, for the budget of the cache that keeps it.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Array(values) => size_of::<Value>() + values.iter().map(weight).sum::<usize>(),
        Value::Object(members) => size_of::<Value>() + weight_of_members(members),
        Value::String(text) => size_of::<Value>() + text.len(),
        Value::Bool(_) | Value::Null | Value::Number(_) => size_of::<Value>(),
    }
}

/// As [`weight`], for an object. A B-tree has room for eleven members in every node and allocates them together.
pub(super) fn weight_of_members(members: &Map<String, Value>) -> usize {
    let nodes = members.len().div_ceil(6) * 11 * (size_of::<String>() + size_of::<Value>());
    nodes + members.iter().map(|(name, value)| name.len() + weight(value)).sum::<usize>()
}
