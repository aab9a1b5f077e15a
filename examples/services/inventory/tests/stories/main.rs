//! The stories of the inventory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use chassis::testing::{Answer, Tried};
use serde_json::{Value, json};
use sqlx::Row;

mod books;
mod crowds;
mod grpc;
mod redis;
mod reservations;

/// The service, with these settings too.
async fn inventory(settings: &[(&str, &str)]) -> Tried {
    Tried::start("inventory", &inventory::MIGRATIONS, settings, inventory::assemble).await.unwrap()
}

async fn fill(service: &Tried, product: &str, on_hand: i64) -> Answer {
    let staff = [("x-user-id", "u-staff"), ("x-user-roles", "staff")];
    service.ask("PUT", &format!("/api/inventory/{product}"), &staff, &json!({ "on_hand": on_hand })).await
}

async fn reserve(service: &Tried, id: &str, items: &[(&str, i64)]) -> Answer {
    let item = |(product, quantity): &(&str, i64)| json!({ "product_id": product, "quantity": quantity });
    let items: Vec<Value> = items.iter().map(item).collect();
    service.post("/api/inventory/reservations", json!({ "reservation_id": id, "items": items })).await
}

/// `confirm` or `release`.
async fn end(service: &Tried, id: &str, how: &str) -> Answer {
    service.post(&format!("/api/inventory/reservations/{id}/{how}"), Value::Null).await
}

/// Status and word of a refusal.
fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["error"].as_str().unwrap_or_default())
}

/// `(on_hand, reserved)`.
async fn stock(service: &Tried, product: &str) -> (i64, i64) {
    let body = service.get(&format!("/api/inventory/{product}")).await.body;
    assert_eq!(body["available"], body["on_hand"].as_i64().unwrap() - body["reserved"].as_i64().unwrap());
    (body["on_hand"].as_i64().unwrap(), body["reserved"].as_i64().unwrap())
}

/// What must hold whatever happened: nothing is promised that is not there, and what is promised is what is held.
async fn balances(service: &Tried) {
    let statement = "SELECT product_id, on_hand, reserved, CAST(COALESCE((SELECT SUM(i.quantity) \
                     FROM reservation_item i JOIN reservation r ON r.reservation_id = i.reservation_id \
                     WHERE i.product_id = stock.product_id AND r.state = 'held'), 0) AS BIGINT) AS held FROM stock";
    for row in sqlx::query(statement).fetch_all(service.chassis().database.pool()).await.unwrap() {
        let number = |name| row.get::<i64, _>(name);
        let (product, on_hand, reserved) = (row.get::<String, _>(0), number("on_hand"), number("reserved"));
        assert!(on_hand >= reserved && reserved >= 0, "{product}: {reserved} of {on_hand}");
        assert_eq!(reserved, number("held"), "{product}: what is promised is what is held");
    }
}
