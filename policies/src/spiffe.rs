//! SPIFFE identities: `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`.

/// A verified workload identity.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SpiffeId(std::sync::Arc<str>);
