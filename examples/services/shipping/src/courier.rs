//! A courier for a shop that is only shown: shipments leave and arrive by themselves. Without it staff says so.

use std::time::Duration;

use chassis::now_ms;
use tokio_util::sync::CancellationToken;

use crate::shipments::Shipments;
use crate::state::Move;

/// So many are moved at once.
const SOME: i64 = 50;

/// Moves on what has stood still for a while.
pub(crate) struct Courier {
    pub(crate) shipments: Shipments,
    pub(crate) every: Duration,
    pub(crate) stop: CancellationToken,
}

impl Courier {
    pub(crate) async fn run(self) {
        while !self.stop.is_cancelled() {
            let before = now_ms() - i64::try_from(self.every.as_millis()).unwrap_or(i64::MAX);
            for step in [Move::Deliver, Move::Dispatch] {
                match self.shipments.advance_some(step, before, SOME).await {
                    Ok(0) => {}
                    Ok(moved) => tracing::info!(moved, to = step.to().word(), "the courier was there"),
                    Err(error) => tracing::warn!(%error, "the courier comes again"),
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }
}
