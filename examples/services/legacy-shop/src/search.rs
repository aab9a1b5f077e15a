//! `/api/search`: every word must be there, the last one may be unfinished. It reads the whole catalogue each time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

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
/// More than this nobody leafs through.
const FOUND_MAX: usize = 500;

/// What is looked for.
struct Wanted {
    whole: Vec<String>,
    /// What the word begins with that is still being typed.
    beginning: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Words, the last one may be unfinished.
    q: String,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Products that have all these words, the best first.
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

/// A page of what is found, the best first.
#[tracing::instrument(skip(database, page))]
pub(crate) async fn found(
    database: &Database,
    query: &str,
    page: Page,
) -> Result<Listing<Product>, sqlx::Error> {
    let query = Wanted::of(query);
    let patterns = query.patterns();
    if patterns.is_empty() {
        return Ok(Listing::new(Vec::new(), page, 0));
    }
    let all: Vec<String> = (1..=patterns.len()).map(|number| format!("words LIKE ${number}")).collect();
    let sql = format!("SELECT * FROM products WHERE {} ORDER BY id LIMIT {FOUND_MAX}", all.join(" AND "));
    let mut rows = sqlx::query_as(AssertSqlSafe(sql));
    for pattern in &patterns {
        rows = rows.bind(pattern);
    }
    let mut found = whole(database, rows.fetch_all(database.pool()).await?).await?;
    found.sort_by_cached_key(|product| (Reverse(query.score(product)), product.id.clone()));
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let total = i64::try_from(found.len()).unwrap_or(i64::MAX);
    let items = found.into_iter().skip(place(page.offset())).take(place(page.size())).collect();
    Ok(Listing::new(items, page, total))
}

impl Wanted {
    fn of(query: &str) -> Self {
        let mut whole = words(query);
        whole.truncate(QUERY_WORDS_MAX);
        // What is followed by a blank is typed to the end, and one letter is no beginning.
        let is_open = !query.ends_with(char::is_whitespace);
        let beginning = whole.pop_if(|last| is_open && last.chars().count() > 1);
        Self { whole, beginning }
    }

    fn patterns(&self) -> Vec<String> {
        let whole = self.whole.iter().map(|word| format!("% {word} %"));
        whole.chain(self.beginning.iter().map(|word| format!("% {word}%"))).collect()
    }

    /// What the words say of a product: one in its name says most, and a whole one twice as much as a beginning.
    fn score(&self, product: &Product) -> u32 {
        let tags = product.tags.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let fields = [(8, &product.name), (4, &tags), (3, &product.category), (1, &product.description)];
        let mut weights: HashMap<String, u32> = HashMap::new();
        for (weight, text) in fields {
            for word in words(text).into_iter().collect::<HashSet<_>>() {
                *weights.entry(word).or_default() += weight;
            }
        }
        let whole: u32 = self.whole.iter().map(|word| 2 * weights.get(word).copied().unwrap_or(0)).sum();
        let begun = self.beginning.iter().flat_map(|begun| {
            let those = weights.iter().filter(|(word, _)| word.starts_with(begun.as_str()));
            those.map(move |(word, weight)| if word == begun { 2 * weight } else { *weight })
        });
        whole + begun.max().unwrap_or(0)
    }
}

/// The words of a text, in lower case. Only letters and digits, so none of them means something in a LIKE. An `é` is not
/// an `e` here: who does not type the accent does not find it.
pub(crate) fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace(['\'', '’'], "");
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
