//! What orders and reviews teach. Each is counted once, since the inbox hears an event once; adding does not mind in
//! which order they come. What is written is sorted, so that two instances that learn at the same time do not wait for
//! each other in a circle.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::{Failure, Write, now_ms};
use serde::Deserialize;

/// Pairs grow with the square of an order: of a very long one only so many products teach.
const PRODUCTS_MAX: usize = 20;
/// Of each product so many pairs are kept.
const PAIRS_KEPT: i64 = 100;
/// They are cut back only when there are so many. In between there is room for new ones to come up.
const PAIRS_MAX: i64 = 200;
/// Of each user so many products are kept.
const PURCHASES_KEPT: i64 = 200;

/// Hears of orders and reviews.
pub(crate) struct Learner;

/// What is read of an order; there is more in it.
#[derive(Deserialize)]
struct Order {
    user_id: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    product_id: String,
    quantity: i64,
}

/// What is read of a review; there is more in it.
#[derive(Deserialize)]
struct Review {
    product_id: String,
    rating: i64,
}

#[async_trait]
impl Consumer for Learner {
    fn wants(&self) -> &'static [&'static str] {
        &["order.completed", "review.posted"]
    }

    #[tracing::instrument(skip_all, fields(otel.name = format!("hear {}", event.kind), event.subject))]
    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure> {
        if event.kind == "review.posted" {
            let review: Review = event.read()?;
            rate(write, &review.product_id, review.rating.clamp(1, 5)).await?;
            return Ok(());
        }
        let order: Order = event.read()?;
        let mut products = BTreeMap::new();
        for item in order.items.iter().filter(|item| item.quantity > 0) {
            if products.len() < PRODUCTS_MAX || products.contains_key(item.product_id.as_str()) {
                *products.entry(item.product_id.as_str()).or_insert(0) += item.quantity;
            }
        }
        for (product_id, quantity) in &products {
            sell(write, product_id, *quantity).await?;
        }
        for product_id in products.keys() {
            for other_id in products.keys().filter(|other_id| *other_id != product_id) {
                pair(write, product_id, other_id).await?;
            }
        }
        if products.len() > 1 {
            for product_id in products.keys() {
                forget_pairs(write, product_id).await?;
            }
        }
        for product_id in products.keys() {
            own(write, &order.user_id, product_id).await?;
        }
        forget_purchases(write, &order.user_id).await?;
        Ok(())
    }
}

async fn rate(write: &mut Write, product_id: &str, rating: i64) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO product (product_id, orders, sold, ratings, rating_total) VALUES ($1, 0, 0, 1, $2) \
               ON CONFLICT (product_id) DO UPDATE SET ratings = product.ratings + 1, \
               rating_total = product.rating_total + excluded.rating_total";
    sqlx::query(add).bind(product_id).bind(rating).execute(&mut **write).await.map(|_| ())
}

async fn sell(write: &mut Write, product_id: &str, quantity: i64) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO product (product_id, orders, sold, ratings, rating_total) VALUES ($1, 1, $2, 0, 0) \
               ON CONFLICT (product_id) DO UPDATE SET orders = product.orders + 1, \
               sold = product.sold + excluded.sold";
    sqlx::query(add).bind(product_id).bind(quantity).execute(&mut **write).await.map(|_| ())
}

async fn pair(write: &mut Write, product_id: &str, other_id: &str) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO pair (product_id, other_id, orders, at) VALUES ($1, $2, 1, $3) \
               ON CONFLICT (product_id, other_id) DO UPDATE SET orders = pair.orders + 1, at = excluded.at";
    sqlx::query(add).bind(product_id).bind(other_id).bind(now_ms()).execute(&mut **write).await.map(|_| ())
}

async fn own(write: &mut Write, user_id: &str, product_id: &str) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO purchase (user_id, product_id, at) VALUES ($1, $2, $3) \
               ON CONFLICT (user_id, product_id) DO UPDATE SET at = excluded.at";
    sqlx::query(add).bind(user_id).bind(product_id).bind(now_ms()).execute(&mut **write).await.map(|_| ())
}

async fn forget_pairs(write: &mut Write, product_id: &str) -> Result<(), sqlx::Error> {
    let too_many = "SELECT other_id FROM pair WHERE product_id = $1 ORDER BY other_id LIMIT 1 OFFSET $2";
    let some: Option<String> =
        sqlx::query_scalar(too_many).bind(product_id).bind(PAIRS_MAX).fetch_optional(&mut **write).await?;
    if some.is_none() {
        return Ok(());
    }
    let forget = "DELETE FROM pair WHERE product_id = $1 AND other_id IN (SELECT other_id FROM pair \
                  WHERE product_id = $1 ORDER BY orders DESC, at DESC LIMIT 1000 OFFSET $2)";
    sqlx::query(forget).bind(product_id).bind(PAIRS_KEPT).execute(&mut **write).await.map(|_| ())
}

async fn forget_purchases(write: &mut Write, user_id: &str) -> Result<(), sqlx::Error> {
    let forget = "DELETE FROM purchase WHERE user_id = $1 AND product_id IN (SELECT product_id FROM purchase \
                  WHERE user_id = $1 ORDER BY at DESC LIMIT 1000 OFFSET $2)";
    sqlx::query(forget).bind(user_id).bind(PURCHASES_KEPT).execute(&mut **write).await.map(|_| ())
}
