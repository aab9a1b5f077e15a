//! `/api/legacy/prices`: the oldest endpoint. Money is a float here, and VAT is reckoned with it, to as many digits as come
//! of that. A price list at a partner's reads it every night, so it stays as it is.

use axum::Json;
use axum::extract::State;
use chassis::Failure;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::told::{Items, float};

const PRICES_MAX: i64 = 1000;
const VAT: f64 = 0.2;

/// What a product costs, more or less.
#[derive(Debug, Serialize, ToSchema)]
struct Price {
    sku: String,
    price: f64,
    price_with_vat: f64,
    currency: String,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(prices))
}

/// The price list, as floats.
#[utoipa::path(get, path = "/api/legacy/prices", tag = "legacy", responses((status = 200, body = Items<Price>)))]
async fn prices(State(shop): State<Shop>) -> Result<Json<Items<Price>>, Failure> {
    let rows: Vec<(String, i64, String)> =
        sqlx::query_as("SELECT id, price_cents, currency FROM products ORDER BY id LIMIT $1")
            .bind(PRICES_MAX)
            .fetch_all(shop.database.pool())
            .await?;
    let told = rows.into_iter().map(|(sku, cents, currency)| {
        let price = float(cents);
        Price { sku, price, price_with_vat: price * (1.0 + VAT), currency }
    });
    Ok(Json(Items::new(told.collect())))
}
