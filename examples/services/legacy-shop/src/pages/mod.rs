//! The pages.

use axum::Router;

use crate::Shop;

/// All of them.
pub(crate) fn routes() -> Router<Shop> {
    Router::new()
}
