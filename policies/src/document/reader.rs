//! From the tree to typed values, by serde, but without stopping at the first problem.
//!
//! serde gives up at the first error. This reader notes the error, cuts the offending node out of what it sees and
//! reads again, until nothing is wrong with what is left. `Each` and `Named` keep the reading again to one
//! route or one target. So one type, with its doc comments, is the language, its schema and its manual, and an
//! author still sees every problem in one run.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Unexpected, Visitor, value::StrDeserializer};

use super::many::{EACH, ONE_OR_MANY};
use super::problem::{At, Problems, did_you_mean};
use super::tree::{Entry, Node, Style, Value};

/// Reads a value, noting every problem. `None` if the whole of it had to be cut.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(root: &Node, cuts: &Cuts) -> Option<T> {
    while !cuts.has(root) {
        match T::deserialize(Reader { node: root, cuts }) {
            Ok(value) => return Some(value),
            Err(error) => cuts.note(&error, root),
        }
    }
    None
}

/// What was found so far: the problems, and the nodes that are no longer looked at.
#[derive(Debug)]
pub(crate) struct Cuts {
    nodes: RefCell<HashSet<u32>>,
    /// Could every source be read? If not, what seems to be missing may stand in the one that could not.
    pub(crate) reading: Reading,
    pub(crate) problems: RefCell<Problems>,
}

/// Was the whole text understood?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    Partial,
    Whole,
}

impl Cuts {
    /// Nothing is cut yet; `problems` are those of the text itself.
    pub(crate) fn new(problems: Problems) -> Self {
        let reading = if problems.is_empty() { Reading::Whole } else { Reading::Partial };
        Self { nodes: RefCell::default(), reading, problems: RefCell::new(problems) }
    }

    pub(crate) fn has(&self, node: &Node) -> bool {
        self.nodes.borrow().contains(&node.id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.borrow().is_empty()
    }

    fn cut(&self, node: &Node) {
        self.nodes.borrow_mut().insert(node.id);
    }

    /// Notes an error and cuts the node it is about. If that is cut already, or nobody reads further problems,
    /// the whole of what is being read goes, so that reading always ends.
    fn note(&self, error: &ReadError, whole: &Node) {
        if !error.follow_up {
            self.problems.borrow_mut().add(error.at, &*error.message, error.hint.clone());
        }
        if !self.nodes.borrow_mut().insert(error.node) || self.problems.borrow().is_full() {
            self.cut(whole);
        }
    }
}

/// One problem on its way out of serde.
#[derive(Debug)]
struct ReadError {
    /// The innermost node it happened in; 0 (the root's id, and nobody else's) until that is known.
    node: u32,
    at: At,
    message: String,
    hint: Option<String>,
    missing: Option<&'static str>,
    /// It only follows from another problem that has been noted.
    follow_up: bool,
}

impl ReadError {
    fn new(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { node: 0, at: At::default(), message: message.into(), hint, missing: None, follow_up: false }
    }

    fn at(mut self, node: &Node) -> Self {
        if self.at == At::default() {
            self.node = node.id;
            self.at = node.at;
        }
        self
    }
}

impl std::error::Error for ReadError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"), None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing"), None) }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = did_you_mean(variant, expected.iter().copied());
        Self::new(format!("`{variant}` is not known here"), Some(hint))
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    cuts: &'a Cuts,
}

impl<'a> Reader<'a> {
    fn expected(&self, what: impl fmt::Display) -> ReadError {
        ReadError::new(format!("expected {what}, found {}", self.node.kind()), None).at(self.node)
    }

    fn scalar(&self, what: impl fmt::Display) -> Result<&'a str, ReadError> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Ok(text),
            _ => Err(self.expected(what)),
        }
    }

    fn number<N: std::str::FromStr>(&self, what: &str) -> Result<N, ReadError> {
        let text = self.scalar(what)?;
        text.parse().map_err(|_| {
            let text: String = text.chars().take(60).collect();
            ReadError::new(format!("expected {what}, found `{text}`"), None).at(self.node)
        })
    }

    fn map<V: Visitor<'a>>(
        &self,
        entries: &'a [Entry],
        mending: Mending,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let entries = Entries { rest: entries, mending, cuts: self.cuts };
        visitor.visit_map(entries).map_err(|error| {
            let follow_up = error.missing.is_some_and(|field| self.node.entry(field).is_some());
            let error = error.at(self.node);
            ReadError { follow_up: error.follow_up || follow_up, ..error }
        })
    }

    fn list<V: Visitor<'a>>(
        &self,
        items: &'a [Node],
        mending: Mending,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let items = Items { rest: items, mending, cuts: self.cuts };
        visitor.visit_seq(items).map_err(|error| error.at(self.node))
    }

    /// Notes and cuts every key that is not a field.
    fn cut_unknown(&self, entries: &[Entry], fields: &'static [&'static str]) {
        for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
            self.cuts.cut(&entry.node);
            let hint = did_you_mean(&entry.key, fields.iter().copied());
            let key: String = entry.key.chars().take(60).collect();
            self.cuts.problems.borrow_mut().add(
                entry.key_at,
                format!("`{key}` is not a key here"),
                Some(hint),
            );
        }
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident $number:ty, $what:literal;)+) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let number = self.number::<$number>($what)?;
            visitor.$visit(number).map_err(|error: ReadError| error.at(self.node))
        }
    )+};
}

impl<'a> de::Deserializer<'a> for Reader<'a> {
    type Error = ReadError;

    numbers! {
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number";
        deserialize_u64 visit_u64 u64, "a whole number";
        deserialize_i64 visit_i64 i64, "a whole number";
        deserialize_f64 visit_f64 f64, "a number";
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.scalar("true or false")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(ReadError::new("expected true or false", None).at(self.node)),
        }
    }

    /// What YAML makes of it by itself: used where a type takes several forms.
    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let (text, style) = match &self.node.value {
            Value::List(items) => return self.list(items, Mending::Above, visitor),
            Value::Map(entries) => return self.map(entries, Mending::Above, visitor),
            Value::Scalar { text, style } => (text.as_str(), *style),
        };
        let result = match text {
            _ if style == Style::Quoted => visitor.visit_str(text),
            _ if self.node.is_null() => visitor.visit_unit(),
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => visitor.visit_i64(whole),
                (_, Ok(number)) if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                    visitor.visit_f64(number)
                }
                _ => visitor.visit_str(text),
            },
        };
        result.map_err(|error: ReadError| error.at(self.node))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.scalar(&visitor as &dyn de::Expected)?;
        visitor.visit_str(text).map_err(|error: ReadError| error.at(self.node))
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match (&self.node.value, name) {
            (Value::List(items), ONE_OR_MANY) => self.list(items, Mending::Above, visitor),
            (_, ONE_OR_MANY) => self.list(std::slice::from_ref(self.node), Mending::Above, visitor),
            (Value::List(items), EACH) => self.list(items, Mending::Here, visitor),
            (Value::Map(entries), EACH) => self.map(entries, Mending::Here, visitor),
            (_, EACH) => Err(self.expected(&visitor as &dyn de::Expected)),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::List(items) => self.list(items, Mending::Above, visitor),
            _ => Err(self.expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Map(entries) => self.map(entries, Mending::Above, visitor),
            _ => Err(self.expected("a block of keys")),
        }
    }

    /// A struct is a block of keys. A type that also has a short form gets the text.
    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::Map(entries) => {
                self.cut_unknown(entries, fields);
                self.map(entries, Mending::Above, visitor)
            }
            Value::Scalar { text, .. } if !self.node.is_null() => {
                visitor.visit_str(text).map_err(|error: ReadError| {
                    let hint = Some(format!("a block with: {}", fields.join(", ")));
                    ReadError { hint: error.hint.clone().or(hint), ..error }.at(self.node)
                })
            }
            _ => Err(self.expected(format_args!("a block with {}", fields.join(", ")))),
        }
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let text = self.scalar(format_args!("one of {}", variants.join(", ")))?;
        visitor.visit_enum(text.into_deserializer()).map_err(|error: ReadError| error.at(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// Who notes a problem and reads again: the list or map itself, or whoever reads the whole.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Mending {
    Above,
    Here,
}

/// The entries of a map that are not cut.
struct Entries<'a> {
    rest: &'a [Entry],
    mending: Mending,
    cuts: &'a Cuts,
}

impl<'a> Entries<'a> {
    /// Goes to the next entry that is not cut, which may be the one that was just mended.
    fn next(&mut self) -> Option<&'a Entry> {
        while let Some((entry, rest)) = self.rest.split_first() {
            if !self.cuts.has(&entry.node) {
                return Some(entry);
            }
            self.rest = rest;
        }
        None
    }

    fn passed_on(&self, error: ReadError, entry: &Entry) -> ReadError {
        if self.mending == Mending::Here {
            self.cuts.note(&error, &entry.node);
        }
        error
    }
}

impl<'a> de::MapAccess<'a> for Entries<'a> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some(entry) = self.next() else { return Ok(None) };
        let key: StrDeserializer<'_, ReadError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| {
            self.passed_on(ReadError { node: entry.node.id, at: entry.key_at, ..error }, entry)
        })
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some(entry) = self.next() else { return Err(ReadError::new("a value without a key", None)) };
        let value = seed
            .deserialize(Reader { node: &entry.node, cuts: self.cuts })
            .map_err(|error| self.passed_on(error, entry))?;
        self.rest = self.rest.split_first().map_or(&[], |(_, rest)| rest);
        Ok(value)
    }
}

/// The items of a list that are not cut.
struct Items<'a> {
    rest: &'a [Node],
    mending: Mending,
    cuts: &'a Cuts,
}

impl<'a> de::SeqAccess<'a> for Items<'a> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        while let Some((item, rest)) = self.rest.split_first() {
            if self.cuts.has(item) {
                self.rest = rest;
                continue;
            }
            let value = seed.deserialize(Reader { node: item, cuts: self.cuts }).inspect_err(|error| {
                if self.mending == Mending::Here {
                    self.cuts.note(error, item);
                }
            })?;
            self.rest = rest;
            return Ok(Some(value));
        }
        Ok(None)
    }
}
