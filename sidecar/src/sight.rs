//! What there is to see of a sidecar beyond what every proxy shows.

use std::sync::Arc;

use policies::observe::{self, Metric};
use shell::mesh::Identity;
use shell::telemetry::Gauges;

/// Our own identity.
pub struct OwnIdentity(pub Arc<Identity>);

impl Gauges for OwnIdentity {
    fn collect(&self, out: &mut dyn FnMut(&'static Metric, &[&str], f64)) {
        out(&observe::CERTIFICATE_EXPIRY, &[self.0.id().as_str()], self.0.expires() as f64);
    }
}
