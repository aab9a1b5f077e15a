//! What shoppers may like, from what is bought together. It shows a *read model made of events*: everything here was told
//! by others and could be told again. And it shows *counts that stay small*: of each product the pairs that come up often
//! are kept, of each user what they bought last.
//!
//! Read `learn.rs` first: what an order and a review teach. `advise.rs` finds what fits, `score.rs` says how well.
//! It is the first thing a busy shop can do without: the gateway gives an empty list where it does not answer.

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;

mod pages;
mod learn;
mod advise;
mod score;

/// Its tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    Ok(App::new(pages::routes(chassis.database.clone())).hears(learn::Learner))
}
