//! Charges once, however often it is asked. The pattern is the *idempotency key*: the caller names what it wants, the name
//! is written down before the provider is asked, and whoever asks again under the same name gets what came of the
//! first time. `charging.rs` is the heart of it.
//!
//! Settings: `PROVIDER_DELAY_MS`, `PROVIDER_FAILURE_RATE`, `PROVIDER_LOST_RATE`, `PROVIDER_DECLINE_RATE` (how the simulated
//! provider behaves at first), `REFUND_RETRY_MS` (after which it is asked again for a refund).

use std::sync::Arc;

use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

mod api;
mod charging;
mod provider;
mod records;
mod refunding;
mod simulator;

use charging::Payments;
use provider::Provider;

/// The tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Puts the service together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let provider = Arc::new(Provider::new(chassis.database.clone(), &chassis.settings)?);
    let payments = Payments {
        chassis: chassis.clone(),
        database: chassis.database.clone(),
        provider: provider.clone(),
        refund_retry_ms: chassis.settings.parsed("REFUND_RETRY_MS", 5_000)?,
    };
    chassis.spawn(payments.clone().give_back_what_is_due());
    let public = OpenApiRouter::new()
        .routes(routes!(api::charge, api::of_order))
        .routes(routes!(api::void))
        .routes(routes!(api::one))
        .routes(routes!(api::refund))
        .with_state(payments);
    let operators = OpenApiRouter::new()
        .routes(routes!(simulator::shown, simulator::set))
        .routes(routes!(simulator::books))
        .with_state(provider);
    Ok(App::new(public.merge(operators)))
}
