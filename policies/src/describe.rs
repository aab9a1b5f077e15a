//! A document in words: the value of every setting in effect, where it comes from, and what changes between two documents.
//!
//! Nothing here knows a single setting. It walks a document along its own schema, so a setting that is added to the
//! language is described, compared and given its default from its doc comment without a line in this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::document::{Document, by_name, schema};

#[cfg(test)]
mod tests;

/// One setting in effect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Whose: `route orders`, `target monolith`.
    pub subject: String,
    /// Which: `retry.attempts`.
    pub key: String,
    /// What it is.
    pub value: String,
    /// Where that comes from.
    pub from: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// It is written there.
    Document,
    /// The named profile.
    Profile(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Document => f.write_str("document"),
            Self::Profile(name) => write!(f, "profile {name}"),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} = {}", self.subject, self.key, self.value)?;
        if self.from == Origin::Document { Ok(()) } else { write!(f, "  ({})", self.from) }
    }
}

/// Every setting in effect, subject by subject.
pub fn effective(document: &Document) -> Vec<Setting> {
    let mut walk = Walk::new();
    let document = serde_json::to_value(document).unwrap_or_default();
    let profiles = document["profiles"].clone();
    let root = walk.schema.clone();
    for (singular, plural) in [("target", "targets"), ("identity", "identities"), ("profile", "profiles")] {
        for (name, block) in document[plural].as_object().into_iter().flatten() {
            walk.subject(&format!("{singular} {name}"), &root["properties"][plural], block, &Value::Null);
        }
    }
    walk.routes("route", &root["properties"]["routes"], &document["routes"], &profiles);
    if let Some(inbound) = document.get("inbound").filter(|inbound| !inbound.is_null()) {
        let (own, routes) = split_routes(inbound);
        walk.subject("inbound", &root["properties"]["inbound"], &own, &profiles);
        walk.routes("inbound route", &root["properties"]["routes"], &routes, &profiles);
    }
    for (name, call) in document["calls"].as_object().into_iter().flatten() {
        let (own, routes) = split_routes(call);
        walk.subject(&format!("call {name}"), &root["properties"]["calls"], &own, &profiles);
        walk.routes(&format!("call {name}, route"), &root["properties"]["routes"], &routes, &profiles);
    }
    for whole in ["service", "trust", "guard", "trace"] {
        if let Some(block) = document.get(whole).filter(|block| !block.is_null()) {
            walk.subject(whole, &root["properties"][whole], block, &Value::Null);
        }
    }
    walk.found
}

/// The settings a document uses, as `section.key` of the manual.
pub fn used_settings(document: &Document) -> BTreeSet<String> {
    let walk = Walk::new();
    let mut used = BTreeSet::new();
    walk.uses("document", &walk.schema, &serde_json::to_value(document).unwrap_or_default(), &mut used);
    used
}

/// What changes from one document to the next, a sentence each. Nothing, if they mean the same.
pub fn diff(old: &Document, new: &Document) -> Vec<String> {
    let (old, new) = (effective(old), effective(new));
    let (before, after) = (by_subject(&old), by_subject(&new));
    let gone = before.keys().filter(|subject| !after.contains_key(*subject));
    let mut changes: Vec<String> = gone.map(|subject| format!("{subject} is removed")).collect();
    for (subject, settings) in after.iter().filter(|(subject, _)| !before.contains_key(*subject)) {
        let written = settings.iter().filter(|s| s.from != Origin::Default && s.key != "name");
        let words: Vec<_> = written.map(|setting| format!("{} {}", setting.key, setting.value)).collect();
        changes.push(format!("{subject} is new: {}", words.join(", ")));
    }
    for (subject, new) in &after {
        if let Some(old) = before.get(subject) {
            changes.extend(changed(subject, &by_key(old), &by_key(new)));
        }
    }
    changes
}

fn by_subject(settings: &[Setting]) -> BTreeMap<&str, Vec<&Setting>> {
    let mut subjects = BTreeMap::<_, Vec<_>>::new();
    for setting in settings {
        subjects.entry(setting.subject.as_str()).or_default().push(setting);
    }
    subjects
}

fn by_key<'s>(settings: &[&'s Setting]) -> BTreeMap<&'s str, &'s Setting> {
    settings.iter().map(|setting| (setting.key.as_str(), *setting)).collect()
}

fn changed(subject: &str, old: &BTreeMap<&str, &Setting>, new: &BTreeMap<&str, &Setting>) -> Vec<String> {
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let sentence = |key: &&str| match (old.get(key), new.get(key)) {
        (Some(was), Some(is)) if was.value != is.value => {
            Some(format!("{subject}: {key} changes from {} to {}", said(was), said(is)))
        }
        (Some(was), None) => Some(format!("{subject}: {key} (was {}) is removed", said(was))),
        (None, Some(is)) if is.from != Origin::Default => {
            Some(format!("{subject}: {key} is new: {}", said(is)))
        }
        _ => None,
    };
    keys.into_iter().filter_map(sentence).collect()
}

fn said(setting: &Setting) -> String {
    match setting.from {
        Origin::Document => setting.value.clone(),
        _ => format!("{} ({})", setting.value, setting.from),
    }
}

/// The routes of a block stand by themselves.
fn split_routes(block: &Value) -> (Value, Value) {
    let mut own = block.clone();
    let routes = own.as_object_mut().and_then(|own| own.remove("routes")).unwrap_or_default();
    (own, routes)
}

/// A walk through a document along its schema.
struct Walk {
    schema: Value,
    found: Vec<Setting>,
}

impl Walk {
    fn new() -> Self {
        Self { schema: serde_json::from_str(&schema()).unwrap_or_default(), found: Vec::new() }
    }

    fn routes(&mut self, kind: &str, list: &Value, routes: &Value, profiles: &Value) {
        let item = list["items"].clone();
        for route in routes.as_array().into_iter().flatten() {
            let name = route["name"].as_str().unwrap_or_default();
            self.subject(&format!("{kind} {name}"), &item, route, profiles);
        }
    }

    /// One subject: what it says itself, then what its profiles say where it says nothing, then the defaults.
    fn subject(&mut self, subject: &str, schema: &Value, block: &Value, profiles: &Value) {
        let schema = self.definition(schema);
        let mut whole = block.clone();
        let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
        for name in block["use"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for (key, value) in
                profiles[name].as_object().into_iter().flatten().filter(|(_, value)| is_said(value))
            {
                if !is_said(&whole[key]) {
                    whole[key] = value.clone();
                    origins.insert(key.clone(), Origin::Profile(name.into()));
                }
            }
        }
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for (key, property) in &properties {
            let from = origins.get(key).cloned().unwrap_or(Origin::Document);
            self.setting(subject, key, property, &whole[key], &from);
        }
    }

    fn setting(&mut self, subject: &str, key: &str, property: &Value, value: &Value, from: &Origin) {
        if !is_said(value) {
            if let Some(default) = default_of(property) {
                self.put(subject, key, default, Origin::Default);
            }
            return;
        }
        let definition = self.definition(property);
        match value {
            Value::Object(map) => match definition["properties"].as_object() {
                Some(properties) => {
                    for (inner, property) in properties {
                        self.setting(subject, &format!("{key}.{inner}"), property, &value[inner], from);
                    }
                }
                None => map.iter().for_each(|(name, inner)| {
                    let property = by_name(&definition).cloned().unwrap_or_default();
                    self.setting(subject, &format!("{key}.{name}"), &property, inner, from);
                }),
            },
            Value::Array(items) if items.iter().any(Value::is_object) => {
                let property = definition["items"].clone();
                for (n, item) in items.iter().enumerate() {
                    let place = if items.len() == 1 { key.into() } else { format!("{key}[{n}]") };
                    self.setting(subject, &place, &property, item, from);
                }
            }
            Value::Array(items) => {
                let words: Vec<_> = items.iter().map(plain).collect();
                self.put(subject, key, words.join(", "), from.clone());
            }
            scalar => self.put(subject, key, plain(scalar), from.clone()),
        }
    }

    fn put(&mut self, subject: &str, key: &str, value: String, from: Origin) {
        self.found.push(Setting { subject: subject.into(), key: key.into(), value, from });
    }

    fn uses(&self, section: &str, schema: &Value, value: &Value, used: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => {
                for item in items {
                    let inner = if schema["items"].is_object() { &schema["items"] } else { schema };
                    self.uses_of(section, inner, item, used);
                }
            }
            Value::Object(map) => {
                for (key, inner) in map.iter().filter(|(_, inner)| is_said(inner) || inner.is_object()) {
                    match (&schema["properties"][key], by_name(schema)) {
                        (Value::Null, Some(named)) => self.uses_of(section, named, inner, used),
                        (Value::Null, None) => {}
                        (property, _) => {
                            used.insert(format!("{section}.{key}"));
                            self.uses_of(section, property, inner, used);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Goes on behind a reference, where another section begins.
    fn uses_of(&self, section: &str, schema: &Value, value: &Value, used: &mut BTreeSet<String>) {
        let wanted = |arm: &&Value| arm["$ref"].is_string() || (arm["type"] == "array" && value.is_array());
        let arm = arms(schema)
            .into_iter()
            .filter(wanted)
            .max_by_key(|arm| arm["type"] == "array")
            .unwrap_or(schema);
        match arm["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => self.uses(&name.to_lowercase(), &self.schema["$defs"][name], value, used),
            None => self.uses(section, arm, value, used),
        }
    }

    /// The definition behind references, "or nothing", "one or many" and "each by name".
    fn definition(&self, schema: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.definition(&self.schema["$defs"][name]);
        }
        let arms = arms(schema);
        let arm = arms.into_iter().find(|arm| arm["$ref"].is_string() || arm["type"] == "array");
        if let Some(arm) = arm {
            return self.definition(arm);
        }
        match by_name(schema) {
            Some(inner) if inner["$ref"].is_string() => self.definition(inner),
            _ => schema.clone(),
        }
    }
}

/// The alternatives of a schema, those of its alternatives included.
fn arms(schema: &Value) -> Vec<&Value> {
    let arms = schema["anyOf"].as_array().into_iter().flatten();
    arms.flat_map(|arm| if arm["anyOf"].is_array() { self::arms(arm) } else { vec![arm] }).collect()
}

/// Was anything written? Empty lists and nothing are what stands when nobody writes.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(is_said) || map.is_empty(),
        _ => true,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The default a doc comment states: the value in the backticks after `Default:`, or a bare number.
fn default_of(property: &Value) -> Option<String> {
    let (_, after) = property["description"].as_str()?.split_once("Default: ")?;
    match after.strip_prefix('`') {
        Some(quoted) => quoted.split('`').next().map(str::to_owned),
        None => {
            let number: String = after.chars().take_while(char::is_ascii_digit).collect();
            (!number.is_empty() && after[number.len()..].starts_with(['.', ' '])).then_some(number)
        }
    }
}
