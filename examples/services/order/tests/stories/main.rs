//! Stories of orders, over HTTP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod contracts;
mod crashes;
mod drivers;
mod neighbours;
mod orders;
mod shopper;
mod traces;
mod world;
