//! References to secrets: never in the document itself, only by file or environment.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Where a secret is: `{ file: PATH }` or `{ env: NAME }`. The document never holds one.
#[derive(Clone, Debug, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Secret {
    /// The content of this file, without the line end at its end. Read again when it changes.
    File(String),
    /// The value of this environment variable, read at each load.
    Env(String),
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

const EXPECTED: &str = "a reference, `{ file: PATH }` or `{ env: NAME }`: secrets do not stand in documents";

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reference;

        impl<'de> Visitor<'de> for Reference {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let mut found = None;
                while let Some((kind, name)) = map.next_entry::<String, String>()? {
                    let secret = if kind == "file" { Secret::File(name) } else { Secret::Env(name) };
                    if found.replace(secret).is_some() {
                        return Err(de::Error::custom("either `file` or `env`, not both"));
                    }
                }
                found.ok_or_else(|| de::Error::custom(format!("expected {EXPECTED}")))
            }
        }

        deserializer.deserialize_struct("Secret", &["file", "env"], Reference)
    }
}
