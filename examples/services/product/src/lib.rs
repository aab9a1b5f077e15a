//! The catalogue and its search. It shows two patterns: *optimistic concurrency*, where whoever changes a product says
//! which version they have seen and is refused if it is not the last (`versions.rs`, also what lets the edge keep
//! answers), and an *inverted index* in plain SQL, written in the transaction of the product, so that a search never
//! finds what is not there (`search/`).
//!
//! Read `catalogue.rs` first: what is written together. `pages.rs` is what the world asks. `SEED=none` leaves a new
//! database empty; else it is given the shop's 52 products.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod catalogue;
mod draft;
mod pages;
mod product;
mod search;
mod seed;
mod versions;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let catalogue = catalogue::Catalogue { database: chassis.database.clone() };
    seed::sow(&chassis.settings, &catalogue).await?;
    Ok(App::new(pages::routes(catalogue)))
}
