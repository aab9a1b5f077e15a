//! What holds for the whole proxy: `trust`, `guard`, `trace`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words::{MethodWord, Network};
use crate::units::{Bytes, Share};

/// Whose headers are believed. Everyone else's copies of `X-Forwarded-*`, `traceparent` sampling and `x-banyan-*` are removed.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// Networks of proxies in front of us. Default: none.
    pub networks: Vec<Network>,
    /// Our SPIFFE trust domain: callers that prove an identity in it are believed. Default: none.
    pub domain: Option<String>,
}

/// What is refused before any policy looks. The defaults refuse everything that two servers could read in two ways.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// Methods taken besides GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. Default: none.
    pub methods: Vec<MethodWord>,
    /// Header names with an underscore: `refuse`, `drop` or `keep`. Default: `refuse`.
    pub underscores: Option<Underscores>,
    /// `%2f` and `%5c` in a path: `refuse` or `keep`. Default: `refuse`.
    pub encoded_slashes: Option<EncodedSlashes>,
    /// `//` in a path: `merge`, `refuse` or `keep`. Default: `merge`.
    pub double_slashes: Option<DoubleSlashes>,
    /// How many header fields a request may have, at most 1024. Default: 100.
    pub header_count: Option<u16>,
    /// How large the header may be in all. Default: `64KiB`.
    pub header_bytes: Option<Bytes>,
    /// How long the target may be. Default: `8KiB`.
    pub target_bytes: Option<Bytes>,
}

/// What happens to header names with an underscore.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Underscores {
    /// The field is removed.
    Drop,
    /// The field is kept.
    Keep,
    /// The request is refused.
    #[default]
    Refuse,
}

/// What happens to `%2f` and `%5c` in a path.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EncodedSlashes {
    /// They stay as they are, and separate nothing.
    Keep,
    /// The request is refused.
    #[default]
    Refuse,
}

/// What happens to `//` in a path.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DoubleSlashes {
    /// They stay.
    Keep,
    /// They become one.
    #[default]
    Merge,
    /// The request is refused.
    Refuse,
}

/// Traces: which requests are sampled at the edge, and in which words their context is written.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trace {
    /// The share of requests traced when the caller's wish is not believed. Default: `1%`.
    pub sample: Option<Share>,
    /// The trace id of an untrusted caller: `keep` or `restart`. Default: `keep`.
    pub untrusted: Option<UntrustedTrace>,
    /// How context is written to the target. Default: W3C, and B3 where B3 came in.
    pub write: Vec<TraceFormat>,
}

/// What happens to an untrusted caller's trace id.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UntrustedTrace {
    /// Kept, without its sampling flag.
    #[default]
    Keep,
    /// A new trace begins.
    Restart,
}

/// A way of writing trace context.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceFormat {
    /// One `b3` header.
    B3,
    /// `x-b3-*` headers.
    B3multi,
    /// `traceparent` and `tracestate`.
    W3c,
}
