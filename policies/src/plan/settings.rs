//! What holds for the whole proxy, compiled.

use super::{Kind, Notion};
use crate::document::Document;
use crate::document::settings::TraceFormat;
use crate::document::settings::{DoubleSlashes, EncodedSlashes, Underscores as Written, UntrustedTrace};
use crate::guard::{FieldLimits, PathRules, Rules, Separators, Slashes, Underscores};
use crate::headers::{IdentityNames, Trust};
use crate::trace::{Echo, Format, Propagation, Sampler, Strangers};
use crate::units::Share;

/// Traces: which are sampled, and in which words their context is read and written.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How context is read and written.
    pub propagation: Propagation,
}

pub(super) fn tracing(document: &Document) -> Tracing {
    let written = document.trace.clone().unwrap_or_default();
    let defaults = Propagation::default();
    let formats = |list: &[TraceFormat]| {
        list.iter()
            .map(|format| match format {
                TraceFormat::B3 => Format::B3Single,
                TraceFormat::B3multi => Format::B3Multi,
                TraceFormat::W3c => Format::TraceContext,
            })
            .collect::<Vec<_>>()
    };
    Tracing {
        sampler: Sampler {
            ratio: written.sample.map_or(Sampler::default().ratio, Share::ratio),
            ..Sampler::default()
        },
        propagation: Propagation {
            write: if written.write.is_empty() { defaults.write } else { formats(&written.write) },
            // Who says what is written means that, and nothing besides.
            echo: if written.write.is_empty() { defaults.echo } else { Echo::Never },
            strangers: match written.untrusted.unwrap_or_default() {
                UntrustedTrace::Keep => Strangers::Keep,
                UntrustedTrace::Restart => Strangers::Restart,
            },
            read: defaults.read,
        },
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
