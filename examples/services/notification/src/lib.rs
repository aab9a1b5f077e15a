//! Tells shoppers by mail, SMS and push what becomes of their orders. It shows how to *act on events without acting
//! twice*: a message is written down in the transaction in which its event is heard, under a key of event and channel,
//! and leaves when that is committed. And it shows *stages*: an order that is completed is never said to be placed
//! afterwards, in whatever order the events come.
//!
//! Read `hear.rs` first; then `sender.rs`. `words.rs` is the template language, all of it: `{{name}}`.

use std::sync::Arc;

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;

mod pages;
mod hear;
mod sender;
mod messages;
mod template;
mod addressee;
mod stage;
mod words;

/// Its tables, and what it says until somebody finds better words.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts it together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let (database, bell) = (chassis.database.clone(), Arc::new(Notify::new()));
    let sender =
        sender::Sender { database: database.clone(), bell: bell.clone(), stop: chassis.stop.clone() };
    chassis.spawn(sender.run());
    Ok(App::new(pages::routes(database)).hears(hear::Listener { bell }))
}
