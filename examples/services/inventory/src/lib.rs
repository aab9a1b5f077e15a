//! What is in stock. It shows *reservations that never oversell*: the condition stands in the statement that writes
//! (`UPDATE ... WHERE on_hand - reserved >= n`), so however many ask at once, nobody is promised what is not there.
//!
//! Read `ledger/` first, where that is kept; then `inventory.rs`, what is decided; the doors are `rest.rs` and `grpc.rs`.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

pub mod grpc;
mod rest;

mod inventory;
mod ledger;

mod items;
mod refusal;
mod reservation;

use inventory::Inventory;
use ledger::Ledger;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together. `SEED=none` opens with an empty shelf.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let ledger = Ledger { database: chassis.database.clone() };
    if chassis.settings.text("SEED") != Some("none") {
        ledger
            .open()
            .await
            .map_err(|refusal| StartError::Other(format!("the shelf stays empty: {refusal}")))?;
    }
    let inventory = Inventory { ledger };
    chassis.spawn(inventory.clone().sweep(chassis.clone()));
    Ok(App::new(rest::routes(inventory.clone())).also(grpc::routes(inventory)))
}
