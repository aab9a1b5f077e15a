//! Is this service well? It answers for its own parts only: what it calls has a health of its own, and a service that
//! is taken out because another one is down makes one failure into two.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, join_all};
use serde::Serialize;

/// A part that does not answer in this time is not well.
const PART_WITHIN: Duration = Duration::from_secs(1);

type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The parts of a service and how each is asked.
#[derive(Clone, Default)]
pub struct Health {
    parts: Vec<(&'static str, Need, Ask)>,
}

/// Can the service serve without the part?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// It serves, but not all of it works: 200, and `degraded`.
    Convenient,
    /// It does not: 503.
    Vital,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    parts: BTreeMap<&'static str, String>,
}

impl Health {
    /// Without this part nothing works.
    pub fn vital<F>(&mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.parts.push((name, Need::Vital, Arc::new(move || Box::pin(ask()))));
    }

    /// Without this part the service still serves.
    pub fn convenient<F>(&mut self, name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.parts.push((name, Need::Convenient, Arc::new(move || Box::pin(ask()))));
    }

    pub(crate) async fn answer(&self) -> Response {
        let asked = self.parts.iter().map(async |(name, need, ask)| {
            let said = tokio::time::timeout(PART_WITHIN, ask()).await;
            (*name, *need, said.unwrap_or_else(|_| Err("does not answer".to_owned())))
        });
        let (mut status, mut word) = (StatusCode::OK, "ok");
        let mut parts = BTreeMap::new();
        for (name, need, said) in join_all(asked).await {
            match (&said, need) {
                (Err(_), Need::Vital) => (status, word) = (StatusCode::SERVICE_UNAVAILABLE, "down"),
                (Err(_), Need::Convenient) if word == "ok" => word = "degraded",
                (Err(_), Need::Convenient) | (Ok(()), _) => {}
            }
            parts.insert(name, said.err().unwrap_or_else(|| "ok".to_owned()));
        }
        (status, Json(Report { status: word, parts })).into_response()
    }
}
