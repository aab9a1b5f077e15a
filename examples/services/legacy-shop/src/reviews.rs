//! `/api/reviews`: what shoppers say. The summary is reckoned anew each time.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chassis::{Body, Caller, Database, Failure, FailureBody, Page, Params, Part, now_ms};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::told::{Listing, row_id, time};
use crate::{Shop, catalogue};

/// What somebody says of a product.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct Review {
    id: String,
    product_id: String,
    user_id: String,
    pub(crate) rating: i64,
    pub(crate) title: String,
    pub(crate) text: String,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    created_at: i64,
}

/// What all say of a product.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Summary {
    product_id: String,
    pub(crate) count: i64,
    pub(crate) average: f64,
    /// How many gave one star, two, ... five.
    histogram: [i64; 5],
}

#[derive(Deserialize, ToSchema)]
struct NewReview {
    product_id: String,
    rating: i64,
    title: String,
    text: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfProduct {
    product_id: String,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(list, post)).routes(routes!(summary)).routes(routes!(delete))
}

/// What shoppers say of a product, the latest first.
#[utoipa::path(get, path = "/api/reviews", tag = "reviews", params(OfProduct, Page),
    responses((status = 200, body = Listing<Review>)))]
async fn list(
    State(shop): State<Shop>,
    Params(of): Params<OfProduct>,
    Params(page): Params<Page>,
) -> Result<Json<Listing<Review>>, Failure> {
    Ok(Json(of_product(&shop.database, &of.product_id, page).await?))
}

/// Says something of a product: once for each shopper.
#[utoipa::path(post, path = "/api/reviews", tag = "reviews", request_body = NewReview,
    responses((status = 201, body = Review), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 404, body = FailureBody), (status = 409, body = FailureBody, description = "there is one already")))]
async fn post(
    State(shop): State<Shop>,
    caller: Caller,
    Body(new): Body<NewReview>,
) -> Result<impl IntoResponse, Failure> {
    let mut wrong = serde_json::Map::new();
    if !(1..=5).contains(&new.rating) {
        wrong.insert("rating".to_owned(), "1 to 5".into());
    }
    if new.title.trim().is_empty() || new.title.chars().count() > 120 {
        wrong.insert("title".to_owned(), "1 to 120 letters".into());
    }
    if new.text.chars().count() > 4000 {
        wrong.insert("text".to_owned(), "4000 letters at most".into());
    }
    if !wrong.is_empty() {
        return Err(Failure::invalid("this is no review").with(wrong));
    }
    catalogue::of_id(&shop.database, &new.product_id).await?;
    let (id, user_id, created_at) = (row_id(), caller.id, now_ms());
    let NewReview { product_id, rating, title, text } = new;
    let review = Review { id, product_id, user_id, rating, title, text, created_at };
    let mut write = shop.database.write().await?;
    let said = sqlx::query(
        "INSERT INTO reviews (id, product_id, user_id, rating, title, text, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (product_id, user_id) DO NOTHING",
    )
    .bind(&review.id)
    .bind(&review.product_id)
    .bind(&review.user_id)
    .bind(review.rating)
    .bind(&review.title)
    .bind(&review.text)
    .bind(review.created_at)
    .execute(&mut *write)
    .await?;
    if said.rows_affected() == 0 {
        return Err(Failure::conflict("already_reviewed", "you have said something of it already"));
    }
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(review)))
}

/// What all say of a product, in figures.
#[utoipa::path(get, path = "/api/reviews/summary/{product}", tag = "reviews", params(("product" = String, Path)),
    responses((status = 200, body = Summary)))]
async fn summary(State(shop): State<Shop>, Part(product): Part<String>) -> Result<Json<Summary>, Failure> {
    Ok(Json(in_figures(&shop.database, &product).await?))
}

/// Takes a review away: its author, or staff.
#[utoipa::path(delete, path = "/api/reviews/{id}", tag = "reviews", params(("id" = String, Path)),
    responses((status = 204), (status = 401, body = FailureBody), (status = 403, body = FailureBody),
        (status = 404, body = FailureBody)))]
async fn delete(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<StatusCode, Failure> {
    let mut write = shop.database.write().await?;
    let author: Option<String> = sqlx::query_scalar("SELECT user_id FROM reviews WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *write)
        .await?;
    if author.ok_or_else(|| Failure::not_found("review"))? != caller.id {
        caller.must_be("staff")?;
    }
    sqlx::query("DELETE FROM reviews WHERE id = $1").bind(&id).execute(&mut *write).await?;
    write.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of what is said of a product.
pub(crate) async fn of_product(
    database: &Database,
    product: &str,
    page: Page,
) -> Result<Listing<Review>, sqlx::Error> {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM reviews WHERE product_id = $1";
    let total = sqlx::query_scalar(count).bind(product).fetch_one(database.pool()).await?;
    let rows = "SELECT * FROM reviews WHERE product_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3";
    let rows = sqlx::query_as(rows).bind(product).bind(page.size()).bind(page.offset());
    Ok(Listing::new(rows.fetch_all(database.pool()).await?, page, total))
}

/// The figures.
#[allow(clippy::cast_precision_loss, reason = "sums of stars are small")]
pub(crate) async fn in_figures(database: &Database, product: &str) -> Result<Summary, sqlx::Error> {
    let counts: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT rating, CAST(COUNT(*) AS BIGINT) FROM reviews WHERE product_id = $1 GROUP BY rating",
    )
    .bind(product)
    .fetch_all(database.pool())
    .await?;
    let (mut summary, mut stars) = (Summary { product_id: product.to_owned(), ..Summary::default() }, 0);
    for (rating, count) in counts {
        if let Some(place) =
            usize::try_from(rating - 1).ok().and_then(|place| summary.histogram.get_mut(place))
        {
            *place = count;
        }
        summary.count += count;
        stars += rating * count;
    }
    if summary.count > 0 {
        summary.average = stars as f64 / summary.count as f64;
    }
    Ok(summary)
}
