//! What shoppers say of products. It shows a *summary that is kept and not counted*: the number of stars changes in the
//! transaction of the review it comes from, so a product with a million reviews is summed up by reading five rows, and
//! the sum is never wrong.
//!
//! Read `reviews.rs` first: what is written together. `pages.rs` is what the world asks.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod pages;
mod reviews;
mod summary;
mod words;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let reviews = reviews::Reviews { database: chassis.database.clone(), outbox: chassis.outbox.clone() };
    Ok(App::new(pages::routes(reviews)))
}
