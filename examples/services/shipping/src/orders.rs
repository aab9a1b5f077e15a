//! What follows from what happens to orders. Events come in any order and more than once, so each is done such that the
//! order does not matter: there is one row an order, whoever comes first makes it, and a cancelled one stays cancelled.

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::{Failure, Write};
use serde::Deserialize;

use crate::shipments::Shipments;
use crate::state::State;

/// Hears of orders.
pub(crate) struct Orders {
    pub(crate) shipments: Shipments,
}

/// What is read of an event about an order; there is more in it.
#[derive(Deserialize)]
struct Order {
    order_id: String,
    user_id: String,
}

#[async_trait]
impl Consumer for Orders {
    fn wants(&self) -> &'static [&'static str] {
        &["order.completed", "order.cancelled"]
    }

    #[tracing::instrument(skip_all, fields(otel.name = format!("hear {}", event.kind), event.subject))]
    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure> {
        let order: Order = event.read()?;
        let shipments = &self.shipments;
        if event.kind == "order.completed" {
            if !shipments.make(write, &order.order_id, &order.user_id, State::Created).await? {
                tracing::info!(order.order_id, "has a shipment, or was cancelled");
            }
            return Ok(());
        }
        // Making it comes first: whoever makes the row has it, so that an order which is completed and cancelled at
        // the same moment on two instances is not sent.
        let is_new = shipments.make(write, &order.order_id, &order.user_id, State::Cancelled).await?;
        if !is_new && !shipments.cancel(write, &order.order_id).await? {
            tracing::info!(order.order_id, "is on its way, or was cancelled before");
        }
        Ok(())
    }
}
