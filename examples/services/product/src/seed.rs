//! What a new shop sells.

use chassis::{Failure, Settings, StartError};
use serde::Deserialize;

use crate::catalogue::Catalogue;
use crate::draft::Draft;

/// The shop's products; the inventory service takes its stock from the same file.
const PRODUCTS: &str = include_str!("../../catalogue.json");

#[derive(Deserialize)]
struct Seed {
    id: String,
    #[serde(flatten)]
    draft: Draft,
}

/// Fills an empty catalogue, unless it is to stay so.
pub(crate) async fn sow(settings: &Settings, catalogue: &Catalogue) -> Result<(), StartError> {
    if settings.text("SEED") == Some("none") || !catalogue.is_empty().await? {
        return Ok(());
    }
    let seeds: Vec<Seed> = serde_json::from_str(PRODUCTS)
        .map_err(|error| StartError::Other(format!("catalogue.json: {error}")))?;
    let wrong =
        |failure: Failure| StartError::Other(format!("catalogue.json: {failure} {}", failure.body().details));
    let mut products = Vec::with_capacity(seeds.len());
    for seed in seeds {
        products.push((seed.id, seed.draft.checked().map_err(wrong)?));
    }
    let made = catalogue.fill(&products).await?;
    tracing::info!(made, "a new catalogue");
    Ok(())
}
