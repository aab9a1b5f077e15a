//! The monolith the shop grew up as. The pattern is the *modular monolith that was not kept modular*: one process, one
//! database, modules that read and write each other's tables. It works, it is safe, and its one great strength is in
//! `checkout.rs`: an order is a single transaction.
//!
//! It also has the rough edges that such a shop has, kept on purpose; whoever moves its routes to services meets them:
//!
//! - `generated_at` and `request_id` in every list and every product: no two answers are the same (`told.rs`);
//! - tags and categories come in no order, the fields of a product in another order each time (`products.rs`);
//! - categories have ids made anew for each answer;
//! - `price` is a float beside `price_cents`, and `/api/legacy/prices` knows floats only (`prices.rs`);
//! - `placed_on` and `last_change` are local times that do not say where (`told.rs`);
//! - a `server` header that tells everybody what runs here;
//! - the front page asks the database for each product anew: N+1 (`pages/shelf.rs`);
//! - the search reads the whole catalogue and knows no accents, recommendations and analytics read the orders.
//!
//! Some paths of the map it never needed, and answers them with 404: reservations and single charges (both are part of an
//! order here), public keys (a session is no token), templates and preferences of messages.
//!
//! Settings beside those of the chassis: `SEED=none` begins empty (`seed.rs`), `TRUST_GATEWAY=yes|no` (`identity.rs`), and
//! `SECURE_COOKIES=yes|no`: cookies over TLS only, which is so unless the shop listens on loopback.
//!
//! A caller is a session (a cookie, or its id as a bearer token) or who the gateway says it is: see `identity.rs`, which also
//! says what that trust rests on.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use chassis::{App, Chassis, Database, StartError};
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;

mod identity;
mod passwords;
mod seed;
mod session;
mod tidy;
mod told;

mod accounts;
mod users;

mod catalogue;
mod prices;
mod products;
mod search;
mod stock;

mod basket;
mod checkout;
mod notifications;
mod orders;
mod payments;
mod refusal;
mod shipments;

mod analytics;
mod recommendations;
mod reviews;

mod pages;

use passwords::Passwords;

/// The tables.
pub static MIGRATIONS: Migrator = sqlx::migrate!();
/// The largest body is an order of fifty products.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What every module of the shop can reach, which is everything.
#[derive(Clone)]
pub(crate) struct Shop {
    database: Database,
    passwords: Arc<Passwords>,
    trusts_gateway: bool,
    secure_cookies: bool,
}

/// Puts the shop together.
pub async fn assemble(chassis: &Chassis) -> Result<App, StartError> {
    let settings = &chassis.settings;
    // On loopback the gateway is the only one that comes by, and browsers of this machine by plain HTTP.
    let is_local = settings.listen()?.ip().is_loopback();
    let yes = |name| settings.text(name).map(|value| value == "yes");
    let failed = |failure| StartError::Other(format!("passwords: {failure}"));
    let shop = Shop {
        database: chassis.database.clone(),
        passwords: Arc::new(Passwords::new().map_err(failed)?),
        trusts_gateway: yes("TRUST_GATEWAY").unwrap_or(is_local),
        secure_cookies: yes("SECURE_COOKIES").unwrap_or(!is_local),
    };
    seed::fill(chassis, &shop).await?;
    chassis.spawn(tidy::keep(chassis.clone()));
    let api = OpenApiRouter::new()
        .merge(users::routes())
        .merge(products::routes())
        .merge(search::routes())
        .merge(stock::routes())
        .merge(prices::routes())
        .merge(orders::routes())
        .merge(payments::routes())
        .merge(shipments::routes())
        .merge(notifications::routes())
        .merge(reviews::routes())
        .merge(recommendations::routes())
        .merge(analytics::routes())
        .layer(from_fn_with_state(shop.clone(), identity::identify))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(sign))
        .with_state(shop.clone());
    let pages = pages::routes().layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).layer(map_response(sign));
    Ok(App::new(api).also(pages.with_state(shop)))
}

/// Says who answers.
async fn sign(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-served-by", HeaderValue::from_static("legacy-shop"));
    headers.insert(header::SERVER, HeaderValue::from_static("legacy-shop/3.7.1"));
    response
}
