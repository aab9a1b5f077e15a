//! `/api/search`: every word must be there, the last one may be unfinished. It reads the whole catalogue each time.

use axum::Json;
use axum::extract::State;
use chassis::{Database, Failure, FailureBody, Page, Params};
use serde::Deserialize;
use sqlx::AssertSqlSafe;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::catalogue::{Product, whole};
use crate::told::Listing;

const QUERY_LETTERS_MAX: usize = 200;
const QUERY_WORDS_MAX: usize = 8;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Words, the last one may be unfinished.
    q: String,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Products that have all these words. Those that have them in the name come first.
#[utoipa::path(get, path = "/api/search", tag = "products", params(Query, Page),
    responses((status = 200, body = Listing<Product>), (status = 400, body = FailureBody)))]
async fn search(
    State(shop): State<Shop>,
    Params(query): Params<Query>,
    Params(page): Params<Page>,
) -> Result<Json<Listing<Product>>, Failure> {
    if query.q.chars().count() > QUERY_LETTERS_MAX {
        let details = serde_json::json!({ "q": format!("{QUERY_LETTERS_MAX} letters at most") });
        return Err(Failure::invalid("this is too long to look for").with(details));
    }
    Ok(Json(found(&shop.database, &query.q, page).await?))
}

/// A page of what is found.
#[tracing::instrument(skip(database, page))]
pub(crate) async fn found(
    database: &Database,
    query: &str,
    page: Page,
) -> Result<Listing<Product>, sqlx::Error> {
    let words: Vec<String> = words(query).into_iter().take(QUERY_WORDS_MAX).collect();
    let Some((last, others)) = words.split_last() else { return Ok(Listing::new(Vec::new(), page, 0)) };
    let unfinished = if query.ends_with(' ') { format!("% {last} %") } else { format!("% {last}%") };
    let patterns: Vec<String> = others.iter().map(|word| format!("% {word} %")).chain([unfinished]).collect();
    let terms = |column: &str, between: &str, term: &dyn Fn(&str, usize) -> String| {
        (1..=patterns.len()).map(|number| term(column, number)).collect::<Vec<_>>().join(between)
    };
    let all = terms("all_words", " AND ", &|column, number| format!("{column} LIKE ${number}"));
    let in_name = terms("name_words", " + ", &|column, number| {
        format!("CASE WHEN {column} LIKE ${number} THEN 1 ELSE 0 END")
    });
    let (limit, offset) = (patterns.len() + 1, patterns.len() + 2);
    let count = format!("SELECT CAST(COUNT(*) AS BIGINT) FROM products WHERE {all}");
    let rows = format!(
        "SELECT * FROM products WHERE {all} ORDER BY {in_name} DESC, id LIMIT ${limit} OFFSET ${offset}"
    );
    let mut count = sqlx::query_scalar(AssertSqlSafe(count));
    let mut rows = sqlx::query_as(AssertSqlSafe(rows));
    for pattern in &patterns {
        (count, rows) = (count.bind(pattern), rows.bind(pattern));
    }
    let total = count.fetch_one(database.pool()).await?;
    let rows = rows.bind(page.size()).bind(page.offset()).fetch_all(database.pool()).await?;
    Ok(Listing::new(whole(database, rows).await?, page, total))
}

/// The words of a text, in lower case. Only letters and digits, so none of them means something in a LIKE.
pub(crate) fn words(text: &str) -> Vec<String> {
    let split = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    split.map(str::to_lowercase).collect()
}
