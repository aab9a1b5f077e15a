//! The index in the database.

use std::fmt::Write as _;

use chassis::{Database, Page, Write};
use sqlx::AssertSqlSafe;

use super::words::{Query, head, head_end, weighed};
use crate::draft::Draft;
use crate::product::Product;

/// A word that is there as it was typed says more than one that only begins so.
const WHOLE_WORD: i64 = 2;
/// Rows in one statement: SQLite takes 32,766 values, and a statement is made of text.
const ROWS_AT_ONCE: usize = 200;

/// Leads to a product by its words.
pub(crate) async fn put(write: &mut Write, id: &str, product: &Draft) -> Result<(), sqlx::Error> {
    let words: Vec<_> = weighed(product).into_iter().collect();
    for some in words.chunks(ROWS_AT_ONCE) {
        let rows = (0..some.len()).map(|row| {
            let first = row * 3 + 2;
            format!("(${first}, $1, ${}, ${})", first + 1, first + 2)
        });
        let rows = rows.collect::<Vec<_>>().join(", ");
        let insert = format!("INSERT INTO word (word, product_id, weight, head) VALUES {rows}");
        let mut insert = sqlx::query(AssertSqlSafe(insert)).bind(id);
        for (word, weight) in some {
            insert = insert.bind(word).bind(weight).bind(head(word));
        }
        insert.execute(&mut **write).await?;
    }
    Ok(())
}

/// Leads to it no more.
pub(crate) async fn forget(write: &mut Write, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM word WHERE product_id = $1").bind(id).execute(&mut **write).await.map(|_| ())
}

/// The products in which all of the query is found, those first of which it says most.
///
/// Each word finds its products; a product that was found as often as there are words has them all.
#[tracing::instrument(skip_all, name = "search", fields(words = query.whole.len()))]
pub(crate) async fn find(
    database: &Database,
    query: &Query,
    page: Page,
) -> Result<Vec<Product>, sqlx::Error> {
    let mut found = Vec::new();
    let mut place = 1;
    for _ in &query.whole {
        found.push(format!(
            "SELECT product_id, weight * {WHOLE_WORD} AS score FROM word WHERE word = ${place}"
        ));
        place += 1;
    }
    if query.beginning.is_some() {
        let (word, length, from, to) = (place, place + 1, place + 2, place + 3);
        found.push(format!(
            "SELECT product_id, MAX(CASE WHEN word = ${word} THEN weight * {WHOLE_WORD} ELSE weight END) AS score \
             FROM word WHERE head BETWEEN ${from} AND ${to} AND SUBSTR(word, 1, ${length}) = ${word} \
             GROUP BY product_id"
        ));
        place += 4;
    }
    let mut select = format!(
        "SELECT product.* FROM (SELECT product_id, SUM(score) AS score FROM ({}) AS found \
         GROUP BY product_id HAVING COUNT(*) = {}) AS hit JOIN product ON product.id = hit.product_id ",
        found.join(" UNION ALL "),
        found.len()
    );
    let _ = write!(select, "ORDER BY hit.score DESC, product.id LIMIT ${place} OFFSET ${}", place + 1);
    let mut select = sqlx::query(AssertSqlSafe(select));
    for word in &query.whole {
        select = select.bind(word);
    }
    if let Some(beginning) = &query.beginning {
        let length = i32::try_from(beginning.chars().count()).unwrap_or(i32::MAX);
        select = select.bind(beginning).bind(length).bind(head(beginning)).bind(head_end(beginning));
    }
    let rows = select.bind(page.size()).bind(page.offset()).fetch_all(database.pool()).await?;
    rows.iter().map(Product::read).collect()
}
