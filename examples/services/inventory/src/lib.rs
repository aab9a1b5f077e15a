//! What is in stock. It shows *reservations that never oversell*: the condition stands in the statement that writes
//! (`UPDATE ... WHERE on_hand - reserved >= n`), so however many ask at once, nobody is promised what is not there.
//!
//! With `REDIS_URL` it also shows a cache in front of the database that may be wrong and still does no harm, and a lock with
//! a fencing token (`cache/`).
//!
//! Read `ledger/` first, where that is kept; then `inventory.rs`, what is decided; the doors are `rest.rs` and `grpc.rs`.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

pub mod grpc;
mod rest;

mod inventory;

mod cache;
mod ledger;

mod items;
mod refusal;
mod reservation;

use cache::Cache;
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
    let cache = Cache::start(chassis, &ledger)?;
    let inventory = Inventory { ledger, cache: cache.clone() };
    chassis.spawn(inventory.clone().sweep(chassis.clone()));
    let app = App::new(rest::routes(inventory.clone())).also(grpc::routes(inventory));
    if cache.health().is_none() {
        return Ok(app);
    }
    Ok(app.health(|health| {
        health.convenient("cache", move || {
            let said = cache.health().unwrap_or(Ok(()));
            async { said }
        });
    }))
}
