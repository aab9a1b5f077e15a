//! Takes orders and sees them through, whatever fails on the way. Six patterns, a room for each:
//!
//! - *event sourcing* (`order.rs`, `store.rs`): an order is what happened to it; the events are kept, the state is
//!   worked out from them.
//! - *saga* (`saga/`): an order needs things of four other services. Each step is written down when it is done, so a
//!   crash resumes at the right one; a step that is refused undoes those before it, backwards.
//! - *outbox* (the chassis): others hear of an order if, and only if, it was written down.
//! - *CQRS* (`view.rs`): lists come from a read model that follows the events.
//! - *idempotency key* (`keys.rs`): the same request twice is the same order.
//! - *queue* (`desk.rs`, `queue.rs`): when more orders come than can be worked on, they are taken down and the caller is
//!   told where to look; when something that is needed fails, the order is kept as delayed and finished later.
//!
//! Settings: `ORDERS_AT_ONCE` (hands for shoppers who wait), `WORKERS` (hands for the queue), `QUEUE_MAX` (open orders),
//! `OPEN_ORDERS_MAX` (of one user), `GIVE_UP_AFTER_S`, `SAGA_LEASE_MS`, `KEEP_KEYS_S`, `KEEP_WORK_S`.
//!
//! Read `order.rs` first: `Order::next` is the whole saga in twenty lines, without a database or a network.

use std::sync::Arc;

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod api;
mod desk;
mod keys;
mod order;
mod queue;
mod saga;
mod store;
mod view;

/// The tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts the service together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let store = store::Store::new(chassis);
    let view = view::View::new(chassis, &store);
    let saga = Arc::new(saga::Saga::new(chassis, store.clone())?);
    let keys = keys::Keys::new(&chassis.database, &chassis.settings)?;
    let queue = queue::Queue::new(chassis, saga.clone())?;
    let desk = desk::Desk::new(chassis, store.clone(), saga, keys.clone(), queue.clone())?;
    chassis.spawn(view.clone().follow(chassis.stop.clone()));
    chassis.spawn(queue.clone().work(chassis.stop.clone()));
    chassis.spawn(queue.clone().keep(keys, chassis.stop.clone()));
    let public = OpenApiRouter::new()
        .routes(routes!(api::place, api::list))
        .routes(routes!(api::one))
        .routes(routes!(api::history))
        .routes(routes!(api::cancel))
        .routes(routes!(api::promotion, api::promote))
        .routes(routes!(api::rebuild))
        .with_state(api::Orders { desk, queue, store, view });
    Ok(App::new(public))
}
