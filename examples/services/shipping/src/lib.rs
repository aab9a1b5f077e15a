//! Sends what was ordered. It shows a *state machine in the database*: a shipment moves on by one statement that names
//! the state it leaves, so of two who want to move it one does, on any number of instances; what it tells others is
//! written with the move. And it shows how to *follow events that come in any order*: see `orders.rs`.
//!
//! Read `state.rs` first, then `shipments.rs`. `courier.rs` moves shipments by itself where no staff does.

use std::time::Duration;

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod pages;
mod courier;
mod orders;
mod quote;
mod shipments;
mod state;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together. `COURIER_EVERY`, in seconds, lets shipments move on by themselves; without it they wait for staff.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let shipments =
        shipments::Shipments { database: chassis.database.clone(), outbox: chassis.outbox.clone() };
    let every: f64 = chassis.settings.parsed("COURIER_EVERY", 0.0)?;
    if every != 0.0 {
        let every = Duration::try_from_secs_f64(every)
            .map_err(|error| StartError::Other(format!("COURIER_EVERY={every}: {error}")))?;
        let courier = courier::Courier { shipments: shipments.clone(), every, stop: chassis.stop.clone() };
        chassis.spawn(courier.run());
    }
    Ok(App::new(pages::routes(shipments.clone())).hears(orders::Orders { shipments }))
}
