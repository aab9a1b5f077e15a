//! The rough edges are there: whoever takes this shop apart is to meet them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::HashSet;

use chassis::testing::Tried;
use serde_json::Value;

async fn shop() -> Tried {
    Tried::start("legacy-shop", &legacy_shop::MIGRATIONS, &[], legacy_shop::assemble).await.unwrap()
}

async fn text(shop: &Tried, path: &str) -> String {
    reqwest::get(format!("{}{path}", shop.url())).await.unwrap().text().await.unwrap()
}

/// Asks until two answers differ in this; that they never do within so many is as good as impossible.
async fn differs<T: Eq + std::hash::Hash>(shop: &Tried, path: &str, seen: impl Fn(&str) -> T) -> bool {
    let mut all = HashSet::new();
    for _ in 0..40 {
        all.insert(seen(&text(shop, path).await));
        if all.len() > 1 {
            return true;
        }
    }
    false
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn every_answer_has_a_time_and_an_id_of_its_own() {
    let shop = shop().await;
    for path in
        ["/api/products", "/api/products/p-001", "/api/categories", "/api/search?q=tea", "/api/legacy/prices"]
    {
        let (one, other) = (json(&text(&shop, path).await), json(&text(&shop, path).await));
        assert!(one["generated_at"].as_str().unwrap().ends_with('Z'), "{path}");
        assert_ne!(one["request_id"], other["request_id"], "{path}");
    }
}

#[tokio::test]
async fn what_has_no_order_comes_in_any() {
    let shop = shop().await;
    let tags = |text: &str| json(text)["tags"].to_string();
    assert!(differs(&shop, "/api/products/p-001", tags).await, "tags");
    let names = |text: &str| {
        let names = json(text)["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].to_string())
            .collect::<Vec<_>>();
        names.join(" ")
    };
    assert!(differs(&shop, "/api/categories", names).await, "categories");
    let ids = |text: &str| json(text)["items"][0]["id"].to_string();
    assert!(differs(&shop, "/api/categories", ids).await, "ids");
    let fields = |text: &str| text.find("\"price_cents\"").unwrap() < text.find("\"name\"").unwrap();
    assert!(differs(&shop, "/api/products/p-001", fields).await, "fields");
}

#[tokio::test]
async fn money_is_a_float_where_it_always_was() {
    let shop = shop().await;
    let product = json(&text(&shop, "/api/products/p-002").await);
    assert_eq!((product["price"].as_f64(), product["price_cents"].as_i64()), (Some(16.9), Some(1690)));
    let prices = text(&shop, "/api/legacy/prices").await;
    assert!(json(&prices)["items"][1]["price"].is_f64());
    assert!(prices.contains("20.279999999999998"), "VAT to as many digits as come of it");
}

#[tokio::test]
async fn local_times_do_not_say_where() {
    let shop = shop().await;
    let product = json(&text(&shop, "/api/products/p-001").await);
    let local = product["last_change"].as_str().unwrap();
    let hours = |text: &str| text.parse::<u32>().unwrap();
    assert_eq!((local.len(), &local[2..3], &local[13..14]), (19, ".", ":"), "{local}");
    let utc = hours(&product["updated_at"].as_str().unwrap()[11..13]);
    assert_eq!(hours(&local[11..13]), (utc + 1) % 24, "an hour before the rest of the world");
}

#[tokio::test]
async fn every_answer_says_who_gave_it() {
    let shop = shop().await;
    for path in ["/", "/api/products", "/api/products/p-999", "/api/orders", "/nowhere", "/api/nowhere"] {
        let answer = shop.get(path).await;
        assert_eq!(answer.headers["x-served-by"], "legacy-shop", "{path}");
        assert!(answer.headers["server"].to_str().unwrap().starts_with("legacy-shop/"), "{path}");
    }
}
