//! Finds what fits: to a product, to what somebody has; and what everybody buys, where nothing else is known.

use std::collections::HashMap;

use chassis::Database;
use serde::Serialize;
use sqlx::any::AnyRow;
use sqlx::{AnyPool, Row};
use utoipa::ToSchema;

use crate::score::{Standing, rounded, together};

/// Of so many candidates the best are told.
const CANDIDATES: i64 = 200;

/// Why something is recommended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Many buy it.
    BestSeller,
    /// It is bought together with the product in question.
    BoughtTogether,
    /// It is bought together with something the caller has.
    GoesWithYours,
}

/// Something that is recommended.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Advice {
    product_id: String,
    /// From 0 to 1; of best sellers in relation to the best.
    score: f64,
    reason: Reason,
}

/// What goes with this product, then what sells best.
pub(crate) async fn for_product(
    database: &Database,
    product_id: &str,
    size: usize,
) -> Result<Vec<Advice>, sqlx::Error> {
    let pool = database.pool();
    let often = "SELECT f.other_id, f.orders, p.orders AS product_orders, o.orders AS other_orders, o.ratings, \
                 o.rating_total FROM pair f JOIN product p ON p.product_id = f.product_id \
                 JOIN product o ON o.product_id = f.other_id WHERE f.product_id = $1 \
                 ORDER BY f.orders DESC, f.at DESC LIMIT $2";
    let rows = sqlx::query(often).bind(product_id).bind(CANDIDATES).fetch_all(pool).await?;
    let found = best(&rows, Reason::BoughtTogether)?;
    let is_new = |id: &str| id != product_id;
    filled(pool, found, size, is_new).await
}

/// What goes with what this user bought last and is not theirs, then what sells best of what is not theirs.
pub(crate) async fn for_user(
    database: &Database,
    user_id: &str,
    size: usize,
) -> Result<Vec<Advice>, sqlx::Error> {
    let pool = database.pool();
    let own: Vec<String> =
        sqlx::query_scalar("SELECT product_id FROM purchase WHERE user_id = $1 ORDER BY at DESC LIMIT 200")
            .bind(user_id)
            .fetch_all(pool)
            .await?;
    let is_new = |id: &str| !own.iter().any(|own| own == id);
    if own.is_empty() {
        return filled(pool, Vec::new(), size, is_new).await;
    }
    // The last thirty say enough of a taste, and bound what is looked at.
    let often = "SELECT f.other_id, f.orders, p.orders AS product_orders, o.orders AS other_orders, o.ratings, \
                 o.rating_total FROM (SELECT product_id FROM purchase WHERE user_id = $1 ORDER BY at DESC LIMIT 30) b \
                 JOIN pair f ON f.product_id = b.product_id JOIN product p ON p.product_id = f.product_id \
                 JOIN product o ON o.product_id = f.other_id \
                 WHERE NOT EXISTS (SELECT 1 FROM purchase h WHERE h.user_id = $1 AND h.product_id = f.other_id) \
                 ORDER BY f.orders DESC, f.at DESC LIMIT $2";
    let rows = sqlx::query(often).bind(user_id).bind(CANDIDATES).fetch_all(pool).await?;
    let found = best(&rows, Reason::GoesWithYours)?;
    filled(pool, found, size, is_new).await
}

/// What sells best.
pub(crate) async fn for_anybody(database: &Database, size: usize) -> Result<Vec<Advice>, sqlx::Error> {
    filled(database.pool(), Vec::new(), size, |_| true).await
}

/// The candidates, each once, by how well they fit.
fn best(rows: &[AnyRow], reason: Reason) -> Result<Vec<Advice>, sqlx::Error> {
    let mut scores: HashMap<String, f64> = HashMap::new();
    for row in rows {
        let standing = Standing {
            orders: number(row, "other_orders")?,
            ratings: number(row, "ratings")?,
            rating_total: number(row, "rating_total")?,
        };
        let score = together(number(row, "orders")?, number(row, "product_orders")?, standing);
        // What goes with several of one's own things goes at least as well as with one of them.
        let known = scores.entry(row.try_get("other_id")?).or_default();
        *known = 1.0 - (1.0 - *known) * (1.0 - score);
    }
    let mut found: Vec<_> = scores
        .into_iter()
        .map(|(product_id, score)| Advice { product_id, score: rounded(score), reason })
        .collect();
    found.sort_by(|one, other| {
        other.score.total_cmp(&one.score).then_with(|| one.product_id.cmp(&other.product_id))
    });
    Ok(found)
}

/// As many as asked for: where not enough fits, best sellers follow.
async fn filled(
    pool: &AnyPool,
    mut found: Vec<Advice>,
    size: usize,
    is_new: impl Fn(&str) -> bool,
) -> Result<Vec<Advice>, sqlx::Error> {
    found.truncate(size);
    if found.len() == size {
        return Ok(found);
    }
    let sellers = "SELECT product_id, sold FROM product WHERE sold > 0 ORDER BY sold DESC LIMIT $1";
    // More than are needed: some are there already, and some are owned.
    let rows = sqlx::query(sellers).bind(CANDIDATES + 200).fetch_all(pool).await?;
    let most = rows.first().map_or(Ok(1.0), |row| number(row, "sold"))?;
    for row in &rows {
        let product_id: String = row.try_get("product_id")?;
        if found.len() == size {
            break;
        }
        if is_new(&product_id) && !found.iter().any(|advice| advice.product_id == product_id) {
            let score = rounded(number(row, "sold")? / most);
            found.push(Advice { product_id, score, reason: Reason::BestSeller });
        }
    }
    Ok(found)
}

#[allow(clippy::cast_precision_loss, reason = "nobody sells 2^53 of anything")]
fn number(row: &AnyRow, column: &str) -> Result<f64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? as f64)
}
