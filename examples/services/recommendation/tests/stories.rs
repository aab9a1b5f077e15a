//! What the shop learns, and what it recommends then.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::events::Event;
use chassis::testing::Tried;
use serde_json::{Value, json};

async fn recommendation() -> Tried {
    Tried::start("recommendation", &recommendation::MIGRATIONS, &[], recommendation::assemble).await.unwrap()
}

fn order(user: &str, products: &[&str]) -> Value {
    let items: Vec<_> = products
        .iter()
        .map(|product| json!({ "product_id": product, "quantity": 1, "unit_cents": 100 }))
        .collect();
    let data = json!({
        "order_id": "o-1", "user_id": user, "status": "completed", "items": items, "total_cents": 100,
        "currency": "EUR", "reason": null,
    });
    serde_json::to_value(Event::now("order.completed", "o-1", data)).unwrap()
}

fn review(product: &str, rating: i64) -> Value {
    let data = json!({ "id": "r-1", "product_id": product, "user_id": "u-1", "rating": rating });
    serde_json::to_value(Event::now("review.posted", "r-1", data)).unwrap()
}

async fn hears(service: &Tried, event: Value) {
    let answer = service.post("/events", event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// The products and reasons, the best first.
async fn advice(service: &Tried, user: &str, query: &str) -> Vec<(String, String)> {
    let headers: &[(&str, &str)] = if user.is_empty() { &[] } else { &[("x-user-id", user)] };
    let path = format!("/api/recommendations{query}");
    let answer = service.ask("GET", &path, headers, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap().clone();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, "product_id"), text(item, "reason"))).collect()
}

fn said(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(product, reason)| ((*product).to_owned(), (*reason).to_owned())).collect()
}

#[tokio::test]
async fn who_looks_at_a_product_sees_what_is_bought_with_it() {
    let service = recommendation().await;
    assert_eq!(advice(&service, "", "?product_id=kettle").await, [], "of nothing comes nothing");
    for user in ["u-1", "u-2", "u-3"] {
        hears(&service, order(user, &["kettle", "tea"])).await;
    }
    hears(&service, order("u-4", &["kettle", "mug"])).await;
    for user in ["u-5", "u-6"] {
        hears(&service, order(user, &["lamp"])).await;
    }
    let expected = said(&[("tea", "bought_together"), ("mug", "bought_together"), ("lamp", "best_seller")]);
    assert_eq!(advice(&service, "", "?product_id=kettle").await, expected);
    assert_eq!(advice(&service, "", "?product_id=kettle&size=1").await, expected[..1]);
}

#[tokio::test]
async fn who_bought_something_sees_what_goes_with_it_and_nothing_they_have() {
    let service = recommendation().await;
    for user in ["u-1", "u-2"] {
        hears(&service, order(user, &["kettle", "tea", "mug"])).await;
    }
    hears(&service, order("u-3", &["lamp"])).await;
    hears(&service, order("u-9", &["kettle"])).await;
    hears(&service, order("u-9", &["mug"])).await;
    let expected = said(&[("tea", "goes_with_yours"), ("lamp", "best_seller")]);
    assert_eq!(advice(&service, "u-9", "").await, expected);
}

#[tokio::test]
async fn who_is_new_sees_what_sells_best() {
    let service = recommendation().await;
    hears(&service, order("u-1", &["lamp"])).await;
    for _ in 0..2 {
        hears(&service, order("u-1", &["tea"])).await;
    }
    let expected = said(&[("tea", "best_seller"), ("lamp", "best_seller")]);
    assert_eq!(advice(&service, "", "").await, expected);
    assert_eq!(advice(&service, "u-7", "").await, expected);
    assert_eq!(advice(&service, "u-1", "").await, [], "who has it all needs nothing");
}

#[tokio::test]
async fn what_shoppers_like_comes_first() {
    let service = recommendation().await;
    hears(&service, order("u-1", &["kettle", "mug", "tea"])).await;
    for _ in 0..3 {
        hears(&service, review("tea", 5)).await;
        hears(&service, review("mug", 1)).await;
    }
    let products: Vec<_> = advice(&service, "", "?product_id=kettle").await;
    assert_eq!(products, said(&[("tea", "bought_together"), ("mug", "bought_together")]));
}

#[tokio::test]
async fn an_event_that_comes_twice_teaches_once_and_reviews_may_come_before_orders() {
    let service = recommendation().await;
    hears(&service, review("tea", 4)).await;
    let event = order("u-1", &["tea", "tea", "mug"]);
    for _ in 0..3 {
        hears(&service, event.clone()).await;
    }
    let row: (i64, i64, i64, i64) =
        sqlx::query_as("SELECT orders, sold, ratings, rating_total FROM product WHERE product_id = 'tea'")
            .fetch_one(service.chassis().database.pool())
            .await
            .unwrap();
    assert_eq!(row, (1, 2, 1, 4));
    let pairs: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT product_id, other_id, orders FROM pair ORDER BY product_id")
            .fetch_all(service.chassis().database.pool())
            .await
            .unwrap();
    assert_eq!(pairs, [("mug".into(), "tea".into(), 1), ("tea".into(), "mug".into(), 1)]);
}

#[tokio::test]
async fn what_is_kept_has_an_end_and_the_frequent_stays() {
    let service = recommendation().await;
    for _ in 0..2 {
        hears(&service, order("u-1", &["kettle", "tea"])).await;
    }
    for number in 0..11 {
        let others: Vec<String> = (0..19).map(|other| format!("x-{number}-{other}")).collect();
        let products: Vec<&str> = ["kettle"].into_iter().chain(others.iter().map(String::as_str)).collect();
        hears(&service, order("u-1", &products)).await;
    }
    let count: i64 =
        sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM pair WHERE product_id = 'kettle'")
            .fetch_one(service.chassis().database.pool())
            .await
            .unwrap();
    assert_eq!(count, 100);
    let purchases: i64 = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM purchase")
        .fetch_one(service.chassis().database.pool())
        .await
        .unwrap();
    assert_eq!(purchases, 200);
    let all = advice(&service, "", "?product_id=kettle&size=50").await;
    assert!(all.contains(&("tea".to_owned(), "bought_together".to_owned())), "{all:?}");
    let long: Vec<String> = (0..40).map(|other| format!("y-{other}")).collect();
    hears(&service, order("u-2", &long.iter().map(String::as_str).collect::<Vec<_>>())).await;
    assert_eq!(advice(&service, "", "?product_id=y-0&size=50").await[18].1, "bought_together");
    assert_eq!(advice(&service, "", "?product_id=y-0&size=50").await[19].1, "best_seller");
}

#[tokio::test]
async fn what_cannot_be_asked_is_told() {
    let service = recommendation().await;
    for query in ["product_id=", "product_id=%00", "size=-1", &format!("product_id={}", "x".repeat(65))] {
        assert_eq!(service.get(&format!("/api/recommendations?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn it_keeps_its_contract() {
    recommendation().await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
