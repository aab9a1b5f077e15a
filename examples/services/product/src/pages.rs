//! What the world asks of it.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::{Body, Caller, Failure, FailureBody, Page, Params, Part};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalogue::Catalogue;
use crate::draft::Draft;
use crate::product::{Category, Product};
use crate::search::Query;
use crate::versions::{self, Keep};

/// No order has more products.
const IDS_MAX: usize = 100;
const ID_MAX: usize = 64;
const QUERY_LETTERS_MAX: usize = 200;

/// Some of the products.
#[derive(Serialize, ToSchema)]
struct List {
    items: Vec<Product>,
    page: i64,
    size: i64,
    total: i64,
    /// With `ids`: those that are not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Vec<String>>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
struct Found {
    /// The best first.
    items: Vec<Product>,
    page: i64,
    size: i64,
}

/// All categories.
#[derive(Serialize, ToSchema)]
struct Categories {
    items: Vec<Category>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those of this category.
    category: Option<String>,
    /// These, with commas between them: 100 at most. The rest of the parameters then says nothing.
    ids: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Words {
    /// All of the words have to be there; the last may be the beginning of one. 200 letters at most.
    q: String,
}

pub(crate) fn routes(catalogue: Catalogue) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(one, change))
        .routes(routes!(categories))
        .routes(routes!(search))
        .with_state(catalogue)
}

/// What the shop sells: a page of it, or the products of some ids.
#[utoipa::path(get, path = "/api/products", tag = "products", params(Which, Page), responses(
    (status = 200, description = "a page of them, or those asked for", body = List, headers(("ETag" = String))),
    (status = 304, description = "nothing has changed since If-None-Match"),
    (status = 400, description = "too many ids, or one that is none", body = FailureBody)))]
async fn list(
    State(catalogue): State<Catalogue>,
    Params(which): Params<Which>,
    Params(page): Params<Page>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let keep = if which.ids.is_some() { Keep::AskFirst } else { Keep::Seconds };
    let ids = which.ids.as_deref().map(ids).transpose()?;
    let tag = versions::of_catalogue(catalogue.revision().await?);
    if versions::is_known(&headers, &tag) {
        return Ok(versions::unchanged(tag, keep));
    }
    let list = match ids {
        Some(ids) => these(&catalogue, &ids).await?,
        None => {
            let (items, total) = catalogue.list(which.category.as_deref(), page).await?;
            List { items, page: page.number(), size: page.size(), total, missing: None }
        }
    };
    Ok(versions::tagged(tag, keep, list))
}

/// One product.
#[utoipa::path(get, path = "/api/products/{id}", tag = "products", params(("id" = String, Path)), responses(
    (status = 200, description = "the product; its ETag is its version", body = Product, headers(("ETag" = String))),
    (status = 304, description = "it is as If-None-Match says"),
    (status = 404, description = "there is no such product", body = FailureBody)))]
async fn one(
    State(catalogue): State<Catalogue>,
    Part(id): Part<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let product = catalogue.one(&id).await?;
    let tag = versions::of_product(product.version);
    if versions::is_known(&headers, &tag) {
        return Ok(versions::unchanged(tag, Keep::Seconds));
    }
    Ok(versions::tagged(tag, Keep::Seconds, product))
}

/// Adds a product.
#[utoipa::path(post, path = "/api/products", tag = "products", request_body = Draft, responses(
    (status = 201, description = "it is for sale", body = Product, headers(("ETag" = String), ("Location" = String))),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "the caller is not of the staff", body = FailureBody)))]
async fn add(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Body(draft): Body<Draft>,
) -> Result<Response, Failure> {
    caller.must_be("staff")?;
    let product = catalogue.add(&draft.checked()?).await?;
    tracing::info!(product = product.id, by = caller.id, "added");
    let location = [(header::LOCATION, format!("/api/products/{}", product.id))];
    let tag = versions::of_product(product.version);
    Ok((StatusCode::CREATED, location, versions::tagged(tag, Keep::AskFirst, product)).into_response())
}

/// Changes a product, if it is still as the caller has seen it.
#[utoipa::path(put, path = "/api/products/{id}", tag = "products", request_body = Draft,
    params(("id" = String, Path), ("If-Match" = String, Header, description = "the ETag of the version seen, or `*`")),
    responses(
    (status = 200, description = "the product, changed", body = Product, headers(("ETag" = String))),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "the caller is not of the staff", body = FailureBody),
    (status = 404, description = "there is no such product", body = FailureBody),
    (status = 412, description = "`version_changed`: get it again", body = FailureBody),
    (status = 428, description = "`version_required`: there is no If-Match", body = FailureBody)))]
async fn change(
    State(catalogue): State<Catalogue>,
    caller: Caller,
    Part(id): Part<String>,
    headers: HeaderMap,
    Body(draft): Body<Draft>,
) -> Result<Response, Failure> {
    caller.must_be("staff")?;
    let seen = versions::asked_for(&headers)?;
    let product = catalogue.change(&id, &seen, &draft.checked()?).await?;
    tracing::info!(product = product.id, by = caller.id, version = product.version, "changed");
    Ok(versions::tagged(versions::of_product(product.version), Keep::AskFirst, product))
}

/// The categories, by name.
#[utoipa::path(get, path = "/api/categories", tag = "products", responses(
    (status = 200, description = "all of them", body = Categories, headers(("ETag" = String))),
    (status = 304, description = "nothing has changed since If-None-Match")))]
async fn categories(State(catalogue): State<Catalogue>, headers: HeaderMap) -> Result<Response, Failure> {
    let tag = versions::of_catalogue(catalogue.revision().await?);
    if versions::is_known(&headers, &tag) {
        return Ok(versions::unchanged(tag, Keep::Seconds));
    }
    let items = catalogue.categories().await?;
    Ok(versions::tagged(tag, Keep::Seconds, Categories { items }))
}

/// Searches in names, tags, categories and descriptions.
#[utoipa::path(get, path = "/api/search", tag = "products", params(Words, Page), responses(
    (status = 200, description = "a page of what was found", body = Found, headers(("ETag" = String))),
    (status = 304, description = "nothing has changed since If-None-Match"),
    (status = 400, description = "there is no word in it, or it is too long", body = FailureBody)))]
async fn search(
    State(catalogue): State<Catalogue>,
    Params(words): Params<Words>,
    Params(page): Params<Page>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let is_short = words.q.chars().count() <= QUERY_LETTERS_MAX;
    let query = Some(words.q).filter(|_| is_short).and_then(|text| Query::of(&text));
    let query = query.ok_or_else(|| Failure::invalid("q is at least one word, and at most 200 letters"))?;
    let tag = versions::of_catalogue(catalogue.revision().await?);
    if versions::is_known(&headers, &tag) {
        return Ok(versions::unchanged(tag, Keep::Seconds));
    }
    let items = catalogue.search(&query, page).await?;
    Ok(versions::tagged(tag, Keep::Seconds, Found { items, page: page.number(), size: page.size() }))
}

/// The ids in the parameter, each once.
fn ids(text: &str) -> Result<Vec<&str>, Failure> {
    let mut ids: Vec<&str> = Vec::new();
    for id in text.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        if id.len() > ID_MAX || ids.len() == IDS_MAX {
            return Err(Failure::invalid("ids are at most 100, of at most 64 letters each"));
        }
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Err(Failure::invalid("ids names at least one product"));
    }
    Ok(ids)
}

async fn these(catalogue: &Catalogue, ids: &[&str]) -> Result<List, Failure> {
    let items = catalogue.these(ids).await?;
    let is_missing = |id: &&&str| !items.iter().any(|product| product.id == **id);
    let missing = ids.iter().filter(is_missing).map(|id| (*id).to_owned()).collect();
    // All of them are on one page.
    let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
    Ok(List { page: 1, size: total, total, missing: Some(missing), items })
}
