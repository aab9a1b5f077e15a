//! From the mesh to the app. Who may connect is decided by `policies`, for HTTP with each request, so that the answer says why.

use std::sync::Arc;

use policies::plan::Target;
use policies::why::Silent;
use shell::listen::Conn;

use crate::connection::{Serving, serve};
use crate::counts::Went;
use crate::opaque::Opaque;

/// What the inbound door needs.
pub struct Inbound {
    /// For HTTP.
    pub serving: Arc<Serving>,
    /// For everything else.
    pub opaque: Opaque,
}

impl Inbound {
    /// One connection.
    pub async fn connected(self: Arc<Self>, conn: Conn) {
        let plan = self.opaque.core.plans.load().plan.clone();
        let app: Option<&Arc<Target>> = plan.app.as_ref().filter(|_| !plan.app_speaks_http());
        let Some(app) = app else { return serve(self.serving.clone(), conn, None).await };
        let Some(facts) = conn.facts().cloned() else { return };
        match plan.mesh.admits(&facts.peer, &mut Silent) {
            Ok(()) => self.opaque.to(conn, app).await,
            Err(denial) => {
                log::warn!(target: "banyan", "a connection from {} is refused: {}", facts.peer.address, denial.slug());
                self.opaque.counts.connection(&app.name, Went::Denied);
            }
        }
    }
}
