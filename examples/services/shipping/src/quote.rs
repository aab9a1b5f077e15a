//! What sending costs.

use chassis::{Database, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

/// What is asked.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parcel {
    /// Two letters: `DE`.
    country: String,
    /// How many items are in it: 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    items: i64,
}

/// What it costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Quote {
    country: String,
    items: i64,
    price_cents: i64,
    currency: String,
    /// Days until it is there.
    days: i64,
}

/// What sending this parcel costs. 404 if nothing is sent there.
pub(crate) async fn quote(database: &Database, parcel: &Parcel) -> Result<Quote, Failure> {
    let country = parcel.country.to_uppercase();
    if country.len() != 2 || !country.bytes().all(|letter| letter.is_ascii_alphabetic()) {
        let wrong = json!({ "country": "is two letters" });
        return Err(Failure::invalid("no country is written like this").with(wrong));
    }
    if !(1..=100).contains(&parcel.items) {
        let wrong = json!({ "items": "is 1 to 100" });
        return Err(Failure::invalid("no parcel holds that many").with(wrong));
    }
    let rate: Option<(i64, i64, String, i64)> =
        sqlx::query_as("SELECT base_cents, item_cents, currency, days FROM rate WHERE country = $1")
            .bind(&country)
            .fetch_optional(database.pool())
            .await?;
    let (base, item, currency, days) = rate.ok_or_else(|| Failure::not_found("destination"))?;
    Ok(Quote { country, items: parcel.items, price_cents: base + item * parcel.items, currency, days })
}
