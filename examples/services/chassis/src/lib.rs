//! What every service of the shop stands on, so that a service holds its own business and nothing else: settings, a
//! database, events that are not lost, calls to others, telemetry, health, an orderly end. It knows no service.
//!
//! A service is `main.rs` with one line, `lib.rs` with an `assemble` that says what it is made of, and a room for each
//! thing it does. Read `run.rs` first: it shows the life of a service; then `events/`, which is where orders get lost in
//! shops that did not take care.

pub mod contract;
pub mod servers;
pub mod testing;

mod run;
pub use run::{App, Chassis, StartError, run};

pub mod events;

mod health;
mod traffic;
pub use health::Health;

mod peer;
pub use peer::{Call, CallFailed, Peer};

mod caller;
mod failure;
mod request;
pub use caller::Caller;
pub use failure::{Failure, FailureBody};
pub use request::{Body, Key, Page, Params, Part};

mod telemetry;

mod database;
pub use database::{Database, Write};

mod settings;
pub use settings::{Settings, SettingsError};

mod clock;
pub use clock::{now_ms, rfc3339};
