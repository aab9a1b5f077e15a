//! What the world asks of it.

use axum::Json;
use axum::extract::State;
use chassis::{Caller, Database, Failure, FailureBody, Params};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::advise::{Advice, for_anybody, for_product, for_user};

/// What is recommended, the best first.
#[derive(Serialize, ToSchema)]
struct List {
    items: Vec<Advice>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct To {
    /// What goes with this product; without it, what goes with what the caller bought.
    #[param(max_length = 64)]
    product_id: Option<String>,
    /// So many, 50 at most; 10 unless told.
    #[param(minimum = 1, maximum = 50)]
    size: Option<usize>,
}

pub(crate) fn routes(database: Database) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).with_state(database)
}

/// What a shopper may like: with a product, or with what they bought.
///
/// Whoever is not signed in, or new, is told what sells best.
#[utoipa::path(get, path = "/api/recommendations", tag = "recommendations", params(To), responses(
    (status = 200, description = "the best first; none of them are the caller's already", body = List),
    (status = 400, description = "no product is called this", body = FailureBody)))]
#[tracing::instrument(skip_all, fields(product.id = to.product_id))]
async fn list(
    State(database): State<Database>,
    // It is no mistake not to be signed in.
    caller: Result<Caller, Failure>,
    Params(to): Params<To>,
) -> Result<Json<List>, Failure> {
    let size = to.size.unwrap_or(10).clamp(1, 50);
    let items = match (to.product_id, caller) {
        (Some(id), _) if id.is_empty() || id.len() > 64 || id.contains(char::is_control) => {
            return Err(Failure::invalid("no product is called this"));
        }
        (Some(product_id), _) => for_product(&database, &product_id, size).await?,
        (None, Ok(caller)) => for_user(&database, &caller.id, size).await?,
        (None, Err(_)) => for_anybody(&database, size).await?,
    };
    Ok(Json(List { items }))
}
