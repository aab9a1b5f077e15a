//! `routes` and `profiles`: which requests, and what happens to them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::many::OneOrMany;
use super::migrate::Migrate;
use super::policy::{Answer, with_policies};
use super::words::{Field, Host, MethodWord, Name, Path, Regex};
use crate::route::{self, BadPattern, Expression, HeaderMatch, HeaderTest, Pattern, QueryMatch, QueryTest};

with_policies! {
    /// Which requests, and what happens to them. The most specific route wins, whatever the order.
    /// A route does exactly one thing: `to`, `migrate`, `redirect` or `answer`.
    pub struct Route {
        /// Its name in logs, metrics and messages; unique.
        pub name: Option<Name>,
        /// Hosts: `shop.example`, or `*.shop.example` for everything below. Default: every host.
        pub host: OneOrMany<Host>,
        /// Paths: `/orders` exactly, `/orders/**` and all below, `/orders/{id}` with a parameter, `/files/*/raw` with any one segment. Default: every path.
        pub path: OneOrMany<Path>,
        /// A regular expression (linear time) that the whole path must match, instead of `path`.
        pub path_regex: Option<Regex>,
        /// Methods. A GET route also answers HEAD. Default: every method.
        pub method: OneOrMany<MethodWord>,
        /// Header fields and query parameters that must match too.
        #[serde(rename = "match")]
        pub matching: Option<Matching>,
        /// The target.
        pub to: Option<Name>,
        /// Two targets, and the way from one to the other.
        pub migrate: Option<Migrate>,
        /// Send the client elsewhere.
        pub redirect: Option<Redirect>,
        /// A fixed answer.
        pub answer: Option<Answer>,
        /// The route carries gRPC: its target must speak HTTP/2, and refusals are gRPC statuses. Default: `false`; seen by content type.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub grpc: bool,
    }
}

with_policies! {
    /// Policies under a name, for routes to `use`. A profile uses no other profile.
    pub struct Profile {}
}

/// Conditions beyond host, path and method.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// By header field: a value it must have, `{ regex: ... }`, or `{ present: true }`.
    pub headers: BTreeMap<Field, Match>,
    /// By query parameter, likewise.
    pub query: BTreeMap<String, Match>,
}

/// What a header field or query parameter must be. A text alone is the exact value.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Match {
    /// Exactly this.
    Exact(String),
    /// There, or not there.
    Present(bool),
    /// The whole value matches.
    Regex(Regex),
}

impl Serialize for Match {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact(text) => serializer.serialize_str(text),
            Self::Present(there) => serializer.collect_map([("present", there)]),
            Self::Regex(regex) => serializer.collect_map([("regex", regex)]),
        }
    }
}

impl<'de> Deserialize<'de> for Match {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBlock;

        impl<'de> Visitor<'de> for TextOrBlock {
            type Value = Match;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the exact value, or { regex: ... }, or { present: true }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Match, E> {
                Ok(Match::Exact(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Match, A::Error> {
                let found = match map.next_key::<String>()?.as_deref() {
                    Some("regex") => Match::Regex(map.next_value()?),
                    Some("present") => Match::Present(map.next_value()?),
                    _ => {
                        return Err(de::Error::custom(format_args!(
                            "expected {}",
                            &self as &dyn de::Expected
                        )));
                    }
                };
                match map.next_key::<String>()? {
                    None => Ok(found),
                    Some(_) => Err(de::Error::custom("either `regex` or `present`, not both")),
                }
            }
        }

        deserializer.deserialize_struct("Match", &["regex", "present"], TextOrBlock)
    }
}

impl JsonSchema for Match {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Match".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let regex = generator.subschema_for::<Regex>();
        schemars::json_schema!({
            "description": "What a header field or query parameter must be. A text alone is the exact value.",
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                { "type": "object", "required": ["regex"], "additionalProperties": false, "properties": { "regex": regex } },
                { "type": "object", "required": ["present"], "additionalProperties": false, "properties": { "present": { "type": "boolean" } } },
            ]
        })
    }
}

/// Sends the client elsewhere.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308. Default: 308, which keeps the method.
    pub status: Option<u16>,
    /// `https`, to leave plain text behind.
    pub scheme: Option<String>,
    /// Another host.
    pub host: Option<String>,
    /// Another path; `{name}` stands for a parameter of the route's path. The query is kept.
    pub path: Option<String>,
}

impl Route {
    /// Which requests it speaks for, as the router reads it.
    pub fn pattern(&self) -> Result<Pattern, BadPattern> {
        let paths = match &self.path_regex {
            Some(regex) => vec![route::Path::regex(regex.as_str())?],
            None => {
                self.path.0.iter().map(|path| route::Path::parse(path.as_str())).collect::<Result<_, _>>()?
            }
        };
        let matching = self.matching.clone().unwrap_or_default();
        let headers = matching.headers.iter().map(|(field, test)| {
            let test = match test {
                Match::Exact(text) => HeaderTest::Exact(text.clone()),
                Match::Present(true) => HeaderTest::Present,
                Match::Present(false) => HeaderTest::Absent,
                Match::Regex(regex) => HeaderTest::Regex(Expression::parse(regex.as_str())?),
            };
            Ok(HeaderMatch { name: field.0.clone(), test })
        });
        let query = matching.query.iter().map(|(name, test)| {
            let test = match test {
                Match::Exact(text) => QueryTest::Exact(text.clone()),
                Match::Present(true) => QueryTest::Present,
                Match::Present(false) => QueryTest::Absent,
                Match::Regex(regex) => QueryTest::Regex(Expression::parse(regex.as_str())?),
            };
            Ok(QueryMatch { name: name.clone(), test })
        });
        Ok(Pattern {
            name: self.name.as_ref().map_or_else(String::new, |name| name.0.clone()),
            hosts: self
                .host
                .0
                .iter()
                .map(|host| route::Host::parse(host.as_str()))
                .collect::<Result<_, _>>()?,
            paths,
            methods: self.method.0.iter().map(|method| method.0.clone()).collect(),
            headers: headers.collect::<Result<_, _>>()?,
            query: query.collect::<Result<_, _>>()?,
        })
    }
}
