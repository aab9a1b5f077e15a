//! What a shopper does and sees.

use chassis::testing::{Answer, Tried, until};
use serde_json::{Value, json};

pub fn two_of(product: &str) -> Value {
    json!({ "items": [{ "product_id": product, "quantity": 2 }], "payment": { "type": "card", "token": "tok_visa" } })
}

pub async fn place(order: &Tried, user: &str, key: &str, body: &Value) -> Answer {
    order.ask("POST", "/api/orders", &[("x-user-id", user), ("idempotency-key", key)], body).await
}

pub async fn seen(order: &Tried, id: &str) -> Value {
    order.get(&format!("/api/orders/{id}")).await.body
}

pub fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().or(answer.body["details"]["id"].as_str()).unwrap().to_owned()
}

pub async fn kinds(order: &Tried, id: &str) -> Vec<String> {
    let history = order.get(&format!("/api/orders/{id}/events")).await.body;
    let entries = history["items"].as_array().unwrap().iter();
    entries.map(|entry| entry["event"]["kind"].as_str().unwrap().to_owned()).collect()
}

pub async fn ends_as(order: &Tried, id: &str, status: &str) -> Value {
    until(&format!("{id} is {status}"), async || seen(order, id).await["status"] == status).await;
    seen(order, id).await
}

/// What others are told, in order.
pub async fn told(order: &Tried) -> Vec<String> {
    let rows = sqlx::query_scalar::<_, String>("SELECT body FROM outbox ORDER BY id")
        .fetch_all(order.chassis().database.pool())
        .await
        .unwrap();
    rows.iter()
        .map(|body| serde_json::from_str::<Value>(body).unwrap()["type"].as_str().unwrap().to_owned())
        .collect()
}
