//! Contracts: the OpenAPI document a service has checked in is what others build on. A change that takes something
//! away from them fails a test; a change that only adds has to be checked in, so that it is seen.
//!
//! `UPDATE_CONTRACTS=1 cargo test -p shop-order` writes the documents anew; then read the diff.

use std::path::Path;

use serde_json::Value;

/// Panics if `served` breaks the document in `file`, or is not the same.
#[allow(clippy::panic, reason = "it is an assertion")]
pub fn keeps(file: &Path, served: &Value) {
    let text = serde_json::to_string_pretty(served).unwrap_or_default() + "\n";
    if std::env::var_os("UPDATE_CONTRACTS").is_some() {
        if let Err(error) = std::fs::write(file, text) {
            panic!("{}: {error}", file.display());
        }
        return;
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let document: Value = serde_json::from_str(&kept).unwrap_or(Value::Null);
    let broken = breaks(&document, served);
    assert!(broken.is_empty(), "{}: this breaks those who call:\n  {}", file.display(), broken.join("\n  "));
    assert!(
        kept == text,
        "{} is not what is served; nobody is broken by the change. UPDATE_CONTRACTS=1 writes it anew",
        file.display()
    );
}

/// What callers that were built for `old` would miss or be refused for by `new`.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, methods) in members(&old["paths"]) {
        for (method, operation) in members(methods) {
            let place = format!("{} {path}", method.to_uppercase());
            let now = &new["paths"][path][method];
            if now.is_null() {
                broken.push(format!("{place} is gone"));
                continue;
            }
            Comparison { old, new, broken: &mut broken }.operation(&place, operation, now);
        }
    }
    broken
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    broken: &'a mut Vec<String>,
}

/// Which way a value goes: what the service reads may ask for less, what it writes may hold more.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Way {
    Read,
    Written,
}

/// Documents refer to themselves (a tree of categories); deeper than this nobody looks.
const DEPTH_MAX: u32 = 12;

impl Comparison<'_> {
    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        for parameter in items(&new["parameters"]) {
            let was = items(&old["parameters"])
                .find(|was| was["name"] == parameter["name"] && was["in"] == parameter["in"]);
            let must_now = parameter["required"] == true && was.is_none_or(|was| was["required"] != true);
            if must_now {
                self.broken.push(format!("{place} now needs {}", parameter["name"]));
            }
            if let Some(was) = was {
                let name = format!("{place} {}", parameter["name"]);
                self.schema(&name, &was["schema"], &parameter["schema"], Way::Read, 0);
            }
        }
        let body =
            |operation: &Value| operation["requestBody"]["content"]["application/json"]["schema"].clone();
        self.schema(&format!("{place} body"), &body(old), &body(new), Way::Read, 0);
        for (status, response) in members(&old["responses"]) {
            let now = &new["responses"][status];
            if now.is_null() {
                self.broken.push(format!("{place} answers no {status} any more"));
                continue;
            }
            let body = |response: &Value| response["content"]["application/json"]["schema"].clone();
            self.schema(&format!("{place} {status}"), &body(response), &body(now), Way::Written, 0);
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, way: Way, depth: u32) {
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        if old.is_null() || depth > DEPTH_MAX {
            return;
        }
        if old["type"] != new["type"] {
            self.broken.push(format!("{place} was {}, is {}", old["type"], new["type"]));
            return;
        }
        self.values(place, &old["enum"], &new["enum"], way);
        self.schema(&format!("{place}[]"), &old["items"], &new["items"], way, depth + 1);
        for (name, property) in members(&old["properties"]) {
            let (place, now) = (format!("{place}.{name}"), &new["properties"][name]);
            if now.is_null() {
                self.broken.push(format!("{place} is gone"));
            } else {
                self.schema(&place, property, now, way, depth + 1);
            }
        }
        let requires = |schema: &Value, name: &Value| items(&schema["required"]).any(|one| one == name);
        let (more, less) = if way == Way::Read { (&new, &old) } else { (&old, &new) };
        for name in items(&more["required"]).filter(|name| !requires(less, name)) {
            let word = if way == Way::Read { "is now needed" } else { "may now be missing" };
            self.broken.push(format!("{place}.{} {word}", name.as_str().unwrap_or_default()));
        }
    }

    fn values(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        // A reader of ours may meet a new value in an answer; a value we took and take no longer breaks a writer.
        if way == Way::Read && !new.is_null() {
            for value in items(old).filter(|value| !items(new).any(|one| one == *value)) {
                self.broken.push(format!("{place} no longer takes {value}"));
            }
        }
        if way == Way::Written && !old.is_null() {
            for value in items(new).filter(|value| !items(old).any(|one| one == *value)) {
                self.broken.push(format!("{place} may now be {value}"));
            }
        }
    }
}

fn resolved(document: &Value, schema: &Value) -> Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema.clone() };
    document.pointer(reference.trim_start_matches('#')).cloned().unwrap_or(Value::Null)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::breaks;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({
            "paths": { "/orders": { "post": {
                "parameters": [{ "name": "dry", "in": "query", "required": false, "schema": { "type": "boolean" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/New" } } } },
                "responses": { "201": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } },
            } } },
            "components": { "schemas": {
                "New": { "type": "object", "required": ["items"], "properties": {
                    "items": { "type": "array", "items": { "type": "string" } }, "note": { "type": "string" } } },
                "Order": { "type": "object", "required": ["id", "status"], "properties": {
                    "id": { "type": "string" }, "status": { "type": "string", "enum": ["new", "paid"] } } },
            } },
        })
    }

    fn changed(pointer: &str, to: Value) -> Vec<String> {
        let mut new = document();
        *new.pointer_mut(pointer).unwrap() = to;
        breaks(&document(), &new)
    }

    #[test]
    fn what_takes_something_from_a_caller_is_told() {
        let schemas = "/components/schemas";
        for (pointer, to, told) in [
            ("/paths/~1orders".to_owned(), json!({}), "POST /orders is gone"),
            (format!("{schemas}/Order/properties/id"), Value::Null, "POST /orders 201.id is gone"),
            (
                format!("{schemas}/Order/properties/id/type"),
                json!("integer"),
                "POST /orders 201.id was \"string\", is \"integer\"",
            ),
            (
                format!("{schemas}/Order/required"),
                json!(["id"]),
                "POST /orders 201.status may now be missing",
            ),
            (
                format!("{schemas}/Order/properties/status/enum"),
                json!(["new", "paid", "lost"]),
                "POST /orders 201.status may now be \"lost\"",
            ),
            (
                format!("{schemas}/New/required"),
                json!(["items", "note"]),
                "POST /orders body.note is now needed",
            ),
            (
                format!("{schemas}/New/properties/items/items/type"),
                json!("object"),
                "POST /orders body.items[] was \"string\", is \"object\"",
            ),
            (
                "/paths/~1orders/post/parameters/0/required".to_owned(),
                json!(true),
                "POST /orders now needs \"dry\"",
            ),
            ("/paths/~1orders/post/responses".to_owned(), json!({}), "POST /orders answers no 201 any more"),
        ] {
            assert_eq!(changed(&pointer, to), [told], "{pointer}");
        }
    }

    #[test]
    fn what_only_adds_breaks_nobody() {
        let order = "/components/schemas/Order";
        let mut wider = document();
        wider.pointer_mut(&format!("{order}/properties")).unwrap()["total"] = json!({ "type": "integer" });
        wider["paths"]["/carts"] = json!({ "get": {} });
        wider.pointer_mut("/components/schemas/New").unwrap()["required"] = json!([]);
        assert_eq!(breaks(&document(), &wider), Vec::<String>::new());
        assert_eq!(breaks(&document(), &document()), Vec::<String>::new());
    }
}
