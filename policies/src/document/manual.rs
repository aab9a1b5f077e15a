//! The JSON Schema for editors and the reference manual, both made from the types and their doc comments.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Document;

/// The JSON Schema of the language, as `schema.json` is checked in.
pub fn schema() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>();
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The reference manual in Markdown, as `docs/configuration.md` is checked in. `golden` names an example for a
/// setting (`target.bulkhead.queue`), if there is one.
pub fn manual(golden: impl Fn(&str) -> Option<String>) -> String {
    let schema: Value = serde_json::from_str(&schema()).unwrap_or_default();
    let mut out = String::from(INTRODUCTION);
    let mut waiting = VecDeque::from([("document".to_owned(), &schema)]);
    let mut told = BTreeSet::from(["document".to_owned()]);
    while let Some((name, block)) = waiting.pop_front() {
        let _ = write!(out, "\n## {name}\n\n{}\n", paragraphs(block));
        table(&mut out, &name, block, &golden);
        for used in references(block) {
            let section = used.to_lowercase();
            if let Some(definition) = schema["$defs"].get(used)
                && is_section(definition)
                && told.insert(section.clone())
            {
                waiting.push_back((section, definition));
            }
        }
    }
    out
}

const INTRODUCTION: &str = "# Configuration

Made from the doc comments of `policies/src/document/`; do not edit. `banyan-gateway check PATH` says what is wrong with a document,
`settings` what it means, `routes` in which order its routes are tried, `diff` what changes from another one, and `schema` prints the
JSON Schema for editors.

Quantities carry their unit: durations `200ms` `3s` `10m` `1h`, rates `100/s` `20/10s`, shares `5%`, sizes `64KiB`.
Secrets are references, `{ file: PATH }` or `{ env: NAME }`. Unknown keys are errors.
";

/// Every setting of the language: `route.limit` style paths of section and key.
pub fn settings() -> Vec<String> {
    let schema: Value = serde_json::from_str(&schema()).unwrap_or_default();
    let keys = |name: &str, block: &Value| {
        let section = name.to_lowercase();
        properties(block).map(|(key, _)| format!("{section}.{key}")).collect::<Vec<_>>()
    };
    let mut all = keys("document", &schema);
    for (name, block) in schema["$defs"].as_object().into_iter().flatten() {
        all.extend(keys(name, block));
    }
    all
}

/// A definition gets a section of its own if it has keys, or words worth explaining one by one.
fn is_section(definition: &Value) -> bool {
    definition.get("properties").is_some() || definition.get("oneOf").is_some()
}

fn properties(block: &Value) -> impl Iterator<Item = (&String, &Value)> {
    block["properties"].as_object().into_iter().flatten()
}

fn table(out: &mut String, section: &str, block: &Value, golden: &impl Fn(&str) -> Option<String>) {
    if properties(block).next().is_some() {
        out.push_str("\n| key | value | meaning |\n|---|---|---|\n");
    }
    let required: Vec<_> =
        block["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in properties(block) {
        let need = if required.contains(&key.as_str()) { " **Required.**" } else { "" };
        let example =
            golden(&format!("{section}.{key}")).map(|file| format!(" [Example]({file})")).unwrap_or_default();
        let meaning = text(value, "description").replace('\n', " ").replace('|', "\\|");
        let _ = writeln!(out, "| `{key}` | {} | {meaning}{need}{example} |", kind(value));
    }
    let words = block["oneOf"].as_array().into_iter().flatten();
    let words: Vec<_> = words.filter(|word| word.get("const").is_some()).collect();
    if !words.is_empty() {
        out.push('\n');
    }
    for word in words {
        let _ = writeln!(out, "- `{}`: {}", text(word, "const"), text(word, "description"));
    }
}

fn paragraphs(block: &Value) -> &str {
    text(block, "description")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What stands behind a key, in a few words, with a link where there is a section about it.
fn kind(value: &Value) -> String {
    if let Some(name) = reference(value) {
        let section = name.to_lowercase();
        return format!("[{section}](#{section})");
    }
    let one_of = |key: &str| {
        let arms = value[key].as_array()?;
        let mut kinds: Vec<_> = arms.iter().filter(|arm| text(arm, "type") != "null").map(kind).collect();
        kinds.dedup();
        Some(kinds.join(" or "))
    };
    if let Some(kinds) = one_of("anyOf").or_else(|| one_of("oneOf")) {
        return kinds;
    }
    let types: Vec<_> = match &value["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => vec![],
    };
    match (types.as_slice(), text(value, "format")) {
        (["array"], _) => format!("list of {}", kind(&value["items"])),
        (["object"], _) => match by_name(value) {
            Some(item) => format!("block of names to {}", kind(item)),
            _ => "block".into(),
        },
        (["string"], "") => "text".into(),
        (["string"], format) => format.into(),
        (["integer"], _) => "number".into(),
        (["boolean"], _) => "true or false".into(),
        (names, _) => names.join(" or "),
    }
}

/// What stands behind each name of a block whose keys are the author's own.
pub(crate) fn by_name(schema: &Value) -> Option<&Value> {
    let pattern = schema["patternProperties"].as_object().and_then(|map| map.values().next());
    pattern.or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()))
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"))
}

/// Every definition a block uses, in the order of its keys.
fn references(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    match value {
        Value::Object(map) => {
            found.extend(reference(value));
            for (_, inner) in map.iter().filter(|(key, _)| *key != "$defs") {
                found.extend(references(inner));
            }
        }
        Value::Array(items) => found.extend(items.iter().flat_map(references)),
        _ => {}
    }
    found
}
