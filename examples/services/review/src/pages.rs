//! What the world asks of it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::{Body, Caller, Failure, FailureBody, Page, Params, Part};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::reviews::{Review, Reviews};
use crate::summary::Summary;
use crate::words::{NewReview, is_product};

/// Some of the reviews.
#[derive(Serialize, ToSchema)]
struct List {
    items: Vec<Review>,
    page: i64,
    size: i64,
    total: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Of {
    /// Of which product.
    product_id: String,
}

pub(crate) fn routes(reviews: Reviews) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, post))
        .routes(routes!(summary))
        .routes(routes!(remove))
        .with_state(reviews)
}

/// Says something of a product, once.
#[utoipa::path(post, path = "/api/reviews", tag = "reviews", request_body = NewReview, responses(
    (status = 201, description = "it is kept", body = Review),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 409, description = "`already_reviewed`", body = FailureBody)))]
async fn post(
    State(reviews): State<Reviews>,
    caller: Caller,
    Body(new): Body<NewReview>,
) -> Result<(StatusCode, Json<Review>), Failure> {
    let review = reviews.post(&caller, new.checked()?).await?;
    Ok((StatusCode::CREATED, Json(review)))
}

/// What is said of a product, newest first.
#[utoipa::path(get, path = "/api/reviews", tag = "reviews", params(Of, Page), responses(
    (status = 200, description = "a page of them", body = List),
    (status = 400, description = "it is not said of which product", body = FailureBody)))]
async fn list(
    State(reviews): State<Reviews>,
    Params(of): Params<Of>,
    Params(page): Params<Page>,
) -> Result<Json<List>, Failure> {
    let product_id = product(of.product_id)?;
    let total = reviews.summary(&product_id).await?.count;
    let items = reviews.of_product(&product_id, page).await?;
    Ok(Json(List { items, page: page.number(), size: page.size(), total }))
}

/// What is said of a product, in figures.
#[utoipa::path(get, path = "/api/reviews/summary/{product}", tag = "reviews", params(("product" = String, Path)),
    responses(
        (status = 200, description = "count, average and histogram; of a product nobody knows they are 0", body = Summary),
        (status = 400, description = "no product is called this", body = FailureBody)))]
async fn summary(
    State(reviews): State<Reviews>,
    Part(product_id): Part<String>,
) -> Result<Json<Summary>, Failure> {
    Ok(Json(reviews.summary(&product(product_id)?).await?))
}

/// Takes back what one said. Staff may do it for others.
#[utoipa::path(delete, path = "/api/reviews/{id}", tag = "reviews", params(("id" = String, Path)), responses(
    (status = 204, description = "it is gone"),
    (status = 400, description = "no review is called this", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "it is somebody else's", body = FailureBody),
    (status = 404, description = "there is no such review", body = FailureBody)))]
async fn remove(
    State(reviews): State<Reviews>,
    caller: Caller,
    Part(id): Part<Uuid>,
) -> Result<StatusCode, Failure> {
    reviews.remove(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn product(id: String) -> Result<String, Failure> {
    if is_product(&id) { Ok(id) } else { Err(Failure::invalid("no product is called this")) }
}
