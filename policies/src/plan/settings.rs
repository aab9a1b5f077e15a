//! What holds for the whole proxy, compiled.

use super::{Kind, Notion};
use crate::document::Document;
use crate::document::settings::TraceFormat;
use crate::document::settings::{DoubleSlashes, EncodedSlashes, Underscores as Written, UntrustedTrace};
use crate::guard::{FieldLimits, PathRules, Rules, Separators, Slashes, Underscores};
use crate::headers::{IdentityNames, Trust};
use crate::units::Share;

/// Traces: which are sampled, and in which words their context is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tracing {
    /// The share of requests traced where the caller's wish is not believed.
    pub sample: Share,
    /// What happens to an untrusted caller's trace id.
    pub untrusted: UntrustedTrace,
    /// The formats written; none listed means W3C, and B3 where B3 came in.
    pub write: Vec<TraceFormat>,
}

pub(super) fn tracing(document: &Document) -> Tracing {
    let written = document.trace.clone().unwrap_or_default();
    Tracing {
        sample: written.sample.unwrap_or(Share::from_millionths(10_000)),
        untrusted: written.untrusted.unwrap_or_default(),
        write: written.write,
    }
}

pub(super) fn trust(document: &Document) -> Trust {
    let written = document.trust.clone().unwrap_or_default();
    Trust { domain: written.domain, networks: written.networks.iter().map(|network| network.0).collect() }
}

pub(super) fn guard(document: &Document) -> Rules {
    let written = document.guard.clone().unwrap_or_default();
    let defaults = Rules::default();
    let size = |bytes: crate::units::Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
    Rules {
        extra_methods: written.methods.iter().map(|method| method.0.clone()).collect(),
        fields: FieldLimits {
            bytes_max: written.header_bytes.map_or(defaults.fields.bytes_max, size),
            count_max: written.header_count.map_or(defaults.fields.count_max, usize::from),
        },
        path: PathRules {
            separators: match written.encoded_slashes.unwrap_or_default() {
                EncodedSlashes::Keep => Separators::Keep,
                EncodedSlashes::Refuse => Separators::Refuse,
            },
            slashes: match written.double_slashes.unwrap_or_default() {
                DoubleSlashes::Keep => Slashes::Keep,
                DoubleSlashes::Merge => Slashes::Merge,
                DoubleSlashes::Refuse => Slashes::Refuse,
            },
            ..defaults.path
        },
        target_bytes_max: written.target_bytes.map_or(defaults.target_bytes_max, size),
        underscores: match written.underscores.unwrap_or_default() {
            Written::Drop => Underscores::Drop,
            Written::Keep => Underscores::Keep,
            Written::Refuse => Underscores::Refuse,
        },
        ..defaults
    }
}

/// The headers that carry identity to the targets, of all issuers together: whoever forwards none removes them all the same.
pub(super) fn identity_headers(notion: &mut Notion<'_>) -> Option<IdentityNames> {
    let tokens = notion.identities.iter().filter_map(|identity| match &identity.kind {
        Kind::Tokens(tokens) => Some(tokens.clone()),
        Kind::ApiKeys(_) => None,
    });
    let names: Vec<_> = tokens
        .flat_map(|tokens| tokens.forwards.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>())
        .collect();
    notion.good("claims_to_headers", IdentityNames::new(names))
}
