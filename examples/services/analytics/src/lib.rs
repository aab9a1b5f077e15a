//! Figures about the shop, in a reporting database that the others' events feed. It shows *figures that are kept and not
//! counted* although events come late, twice and in any order: every fact is noted once, an order stands where its
//! latest stage puts it, and each change of that is added to the figures, or taken back from them, in one transaction.
//!
//! Read `hear.rs` first, then `sales.rs`. The pages read the figures as they stand, and cost next to nothing.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod pages;
mod figures;
mod hear;
mod sales;
mod retention;
mod status;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together. `KEEP_DAYS`: so long a fact is kept, to know it when it comes again; 400 unless told. The figures
/// are kept for ever.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let database = chassis.database.clone();
    let keep_days = chassis.settings.parsed("KEEP_DAYS", 400)?;
    let retention =
        retention::Retention { database: database.clone(), keep_days, stop: chassis.stop.clone() };
    chassis.spawn(retention.run());
    Ok(App::new(pages::routes(database)).hears(hear::Reporter))
}
