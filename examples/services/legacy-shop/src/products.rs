//! `/api/products`, `/api/categories`: the catalogue.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chassis::{Body, Caller, Failure, FailureBody, Page, Params, Part, Write, now_ms};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::catalogue::{Product, category_counts, of_id, shelf, these};
use crate::search::words;
use crate::told::{Items, Listing, new_id, row_id, unordered};

const IDS_MAX: usize = 100;

/// What a product is made or changed to.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewProduct {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) category: String,
    pub(crate) price_cents: i64,
    pub(crate) currency: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// A shelf of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
struct Category {
    /// Another one each time.
    id: String,
    name: String,
    products: i64,
}

/// These products, and no page of all.
#[derive(Debug, Serialize, ToSchema)]
struct Batch {
    items: Vec<Product>,
    page: i64,
    size: usize,
    total: usize,
    missing: Vec<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this category only.
    category: Option<String>,
    /// These products, up to 100 ids with commas between.
    ids: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, update))
        .routes(routes!(categories))
}

/// The catalogue, a page of it; or, with `ids`, these products.
#[utoipa::path(get, path = "/api/products", tag = "products", params(Wanted, Page),
    responses((status = 200, body = Listing<Product>), (status = 400, body = FailureBody)))]
async fn list(
    State(shop): State<Shop>,
    Params(wanted): Params<Wanted>,
    Params(page): Params<Page>,
) -> Result<impl IntoResponse, Failure> {
    if let Some(ids) = wanted.ids {
        let ids: Vec<String> = ids.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
        if ids.len() > IDS_MAX {
            return Err(Failure::invalid(format!("{IDS_MAX} ids at most")));
        }
        let items = these(&shop.database, &ids).await?;
        let found: HashSet<&str> = items.iter().map(|product| product.id.as_str()).collect();
        let missing = ids.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
        let total = items.len();
        return Ok(Json(Batch { page: 1, size: total, total, missing, items }).into_response());
    }
    Ok(Json(shelf(&shop.database, wanted.category.as_deref(), page).await?).into_response())
}

/// One product. Its fields come in no order.
#[utoipa::path(get, path = "/api/products/{id}", tag = "products", params(("id" = String, Path)),
    responses((status = 200, body = Product), (status = 404, body = FailureBody)))]
async fn one(
    State(shop): State<Shop>,
    Part(id): Part<String>,
) -> Result<Json<HashMap<String, Value>>, Failure> {
    Ok(Json(unordered(&of_id(&shop.database, &id).await?)))
}

/// A new product, for staff. There is none of it in stock yet.
#[utoipa::path(post, path = "/api/products", tag = "products", request_body = NewProduct,
    responses((status = 201, body = Product), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 403, body = FailureBody), (status = 409, body = FailureBody, description = "the id is taken")))]
async fn create(
    State(shop): State<Shop>,
    caller: Caller,
    Body(new): Body<NewProduct>,
) -> Result<impl IntoResponse, Failure> {
    caller.must_be("staff")?;
    new.check()?;
    let id = new.id.clone().unwrap_or_else(row_id);
    let mut write = shop.database.write().await?;
    if !new.insert(&mut write, &id, 0).await? {
        return Err(Failure::conflict("product_exists", "there is a product of this id"));
    }
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(of_id(&shop.database, &id).await?)))
}

/// Changes a product, for staff.
#[utoipa::path(put, path = "/api/products/{id}", tag = "products", request_body = NewProduct,
    params(("id" = String, Path)),
    responses((status = 200, body = Product), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 403, body = FailureBody), (status = 404, body = FailureBody)))]
async fn update(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
    Body(new): Body<NewProduct>,
) -> Result<Json<Product>, Failure> {
    caller.must_be("staff")?;
    new.check()?;
    let mut write = shop.database.write().await?;
    let query = "UPDATE products SET name = $2, description = $3, category = $4, price_cents = $5, currency = $6, \
                 updated_at = $7, words = $8 WHERE id = $1";
    if new.bound(query, &id).execute(&mut *write).await?.rows_affected() == 0 {
        return Err(Failure::not_found("product"));
    }
    sqlx::query("DELETE FROM product_tags WHERE product_id = $1").bind(&id).execute(&mut *write).await?;
    new.insert_tags(&mut write, &id).await?;
    write.commit().await?;
    Ok(Json(of_id(&shop.database, &id).await?))
}

/// The categories, in no order.
#[utoipa::path(get, path = "/api/categories", tag = "products", responses((status = 200, body = Items<Category>)))]
async fn categories(State(shop): State<Shop>) -> Result<Json<Items<Category>>, Failure> {
    let all = category_counts(&shop.database).await?;
    let told = all.into_iter().map(|(name, products)| Category { id: new_id(), name, products });
    Ok(Json(Items::new(told.collect())))
}

impl NewProduct {
    fn check(&self) -> Result<(), Failure> {
        let is_text = |text: &str, max| !text.trim().is_empty() && text.chars().count() <= max;
        let is_id =
            |id: &String| is_text(id, 64) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_currency = self.currency.len() == 3 && self.currency.bytes().all(|b| b.is_ascii_uppercase());
        let are_tags = self.tags.len() <= 20 && self.tags.iter().all(|tag| is_text(tag, 40));
        let rules = [
            ("id", self.id.as_ref().is_none_or(is_id), "letters, digits and dashes, 64 at most"),
            ("name", is_text(&self.name, 200), "1 to 200 letters"),
            ("description", self.description.chars().count() <= 5000, "5000 letters at most"),
            ("category", is_text(&self.category, 60), "1 to 60 letters"),
            ("price_cents", (0..=100_000_000).contains(&self.price_cents), "0 to 100000000"),
            ("currency", is_currency, "three capital letters"),
            ("tags", are_tags, "20 tags of 40 letters at most"),
        ];
        let wrong: HashMap<&str, &str> =
            rules.iter().filter(|(_, holds, _)| !holds).map(|(name, _, want)| (*name, *want)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Failure::invalid("this is no product").with(wrong)) }
    }

    /// Puts it into the catalogue and onto the shelf; `false` if the id is taken.
    pub(crate) async fn insert(&self, write: &mut Write, id: &str, stock: i64) -> Result<bool, sqlx::Error> {
        let query = "INSERT INTO products (id, name, description, category, price_cents, currency, updated_at, \
                     words) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
        if self.bound(query, id).execute(&mut **write).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let shelf = "INSERT INTO stock (product_id, on_hand) VALUES ($1, $2)";
        sqlx::query(shelf).bind(id).bind(stock).execute(&mut **write).await?;
        self.insert_tags(write, id).await?;
        Ok(true)
    }

    async fn insert_tags(&self, write: &mut Write, id: &str) -> Result<(), sqlx::Error> {
        let query = "INSERT INTO product_tags (product_id, tag) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        for tag in &self.tags {
            sqlx::query(query).bind(id).bind(tag).execute(&mut **write).await?;
        }
        Ok(())
    }

    fn bound<'q>(
        &'q self,
        query: &'static str,
        id: &'q str,
    ) -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments> {
        let all = format!("{} {} {} {}", self.name, self.category, self.tags.join(" "), self.description);
        sqlx::query(query)
            .bind(id)
            .bind(&self.name)
            .bind(&self.description)
            .bind(&self.category)
            .bind(self.price_cents)
            .bind(&self.currency)
            .bind(now_ms())
            .bind(format!(" {} ", words(&all).join(" ")))
    }
}
