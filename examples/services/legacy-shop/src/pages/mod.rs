//! The pages: HTML made here, forms that work without a script. The API's modules do the work; a page shows it.
//!
//! `visitor.rs` knows who looks and refuses forged forms; `shelf.rs`, `account.rs` and `cart.rs` are the pages.

use askama::Template;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use chassis::{Failure, now_ms};

use crate::Shop;
use crate::told::local;

mod account;
mod cart;
mod shelf;
mod visitor;

use visitor::Visitor;

/// Nothing from elsewhere, no script, in nobody's frame; forms go nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// What is around every page.
struct Frame {
    user: Option<String>,
    cart: i64,
    csrf: String,
    made: String,
}

/// A page that tells what went wrong.
#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage {
    frame: Frame,
    title: String,
    message: String,
}

/// What a page cannot do. It is shown without a visitor: finding out who looks may be what failed.
struct Trouble(Failure);

impl<F: Into<Failure>> From<F> for Trouble {
    fn from(failure: F) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let title = status.canonical_reason().unwrap_or("This did not work").to_owned();
        let frame = Frame { user: None, cart: 0, csrf: String::new(), made: local(now_ms()) };
        (status, rendered(&TroublePage { frame, title, message: self.0.body().message.clone() }))
            .into_response()
    }
}

/// All of them.
pub(crate) fn routes() -> Router<Shop> {
    Router::new()
        .route("/", get(shelf::front))
        .route("/search", get(shelf::search))
        .route("/products/{id}", get(shelf::product))
        .route("/login", get(account::login).post(account::sign_in))
        .route("/register", get(account::register).post(account::open))
        .route("/logout", post(account::sign_out))
        .route("/cart", get(cart::show).post(cart::add))
        .route("/cart/change", post(cart::change))
        .route("/checkout", post(cart::checkout))
        .route("/orders", get(cart::orders))
        .fallback(nowhere)
        .layer(map_response(guard))
}

async fn nowhere(uri: Uri) -> Response {
    let failure = Failure::not_found("page");
    if uri.path().starts_with("/api/") { failure.into_response() } else { Trouble(failure).into_response() }
}

/// Pages hold the visitor's own things: no cache keeps them, no other site shows them.
async fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn rendered(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `14.50 €`.
pub(crate) fn money(cents: i64) -> String {
    format!("{}.{:02} €", cents / 100, cents % 100)
}
