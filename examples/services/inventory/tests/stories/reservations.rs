//! One customer at a time.

use chassis::testing::{Tried, until};
use serde_json::{Value, json};

use crate::{balances, end, fill, inventory, reserve, stock, told};

#[tokio::test]
async fn the_contract_is_kept() {
    inventory(&[]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}

#[tokio::test]
async fn the_shop_opens_with_the_catalogue_unless_it_is_told_not_to() {
    let service = inventory(&[]).await;
    let answer = service.get("/api/inventory/p-001").await;
    assert_eq!(
        answer.body,
        json!({ "product_id": "p-001", "on_hand": 1200, "reserved": 0, "available": 1200 })
    );
    let empty = inventory(&[("SEED", "none")]).await;
    assert_eq!(told(&empty.get("/api/inventory/p-001").await), (404, "not_found"));
}

#[tokio::test]
async fn all_is_reserved_or_nothing() {
    let service = inventory(&[]).await;
    fill(&service, "p-001", 5).await;
    fill(&service, "p-002", 1).await;
    let answer = reserve(&service, "r-1", &[("p-001", 2), ("p-002", 2), ("p-unknown", 1)]).await;
    assert_eq!(told(&answer), (409, "out_of_stock"));
    assert_eq!(
        answer.body["details"],
        json!([{ "product_id": "p-002", "wanted": 2, "available": 1 },
               { "product_id": "p-unknown", "wanted": 1, "available": 0 }])
    );
    assert_eq!(stock(&service, "p-001").await, (5, 0));
    let answer = reserve(&service, "r-1", &[("p-002", 1), ("p-001", 2)]).await;
    assert_eq!(answer.status, 201, "one that was refused may be asked for again: {}", answer.body);
    assert_eq!(answer.body["state"], "held");
    let items = json!([{ "product_id": "p-001", "quantity": 2 }, { "product_id": "p-002", "quantity": 1 }]);
    assert_eq!(answer.body["items"], items);
    assert_eq!((stock(&service, "p-001").await, stock(&service, "p-002").await), ((5, 2), (1, 1)));
    balances(&service).await;
}

#[tokio::test]
async fn asking_again_gives_the_same_answer() {
    let service = inventory(&[]).await;
    fill(&service, "p-001", 3).await;
    let first = reserve(&service, "r-1", &[("p-001", 3)]).await;
    let again = reserve(&service, "r-1", &[("p-001", 1), ("p-001", 2)]).await;
    assert_eq!((first.status, again.status), (201, 200), "also when nothing is left");
    assert_eq!(first.body, again.body);
    assert_eq!(service.get("/api/inventory/reservations/r-1").await.body, first.body);
    assert_eq!(told(&reserve(&service, "r-1", &[("p-001", 2)]).await), (409, "reservation_differs"));
    assert_eq!(stock(&service, "p-001").await, (3, 3));
    balances(&service).await;
}

#[tokio::test]
async fn confirmed_goods_leave_the_shelf_once() {
    let service = inventory(&[]).await;
    fill(&service, "p-001", 5).await;
    reserve(&service, "r-1", &[("p-001", 2)]).await;
    for _ in 0..2 {
        let answer = end(&service, "r-1", "confirm").await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("confirmed")));
        assert_eq!(stock(&service, "p-001").await, (3, 0));
    }
    assert_eq!(told(&end(&service, "r-1", "release").await), (409, "reservation_confirmed"));
    assert_eq!(reserve(&service, "r-1", &[("p-001", 2)]).await.status, 200);
    assert_eq!(told(&end(&service, "r-none", "confirm").await), (404, "not_found"));
    assert_eq!(stock(&service, "p-001").await, (3, 0));
}

#[tokio::test]
async fn released_goods_are_available_again_once() {
    let service = inventory(&[]).await;
    fill(&service, "p-001", 5).await;
    reserve(&service, "r-1", &[("p-001", 2)]).await;
    reserve(&service, "r-2", &[("p-001", 1)]).await;
    for _ in 0..2 {
        let answer = end(&service, "r-1", "release").await;
        assert_eq!((answer.status, &answer.body["state"]), (200, &json!("released")));
        assert_eq!(stock(&service, "p-001").await, (5, 1));
    }
    assert_eq!(told(&end(&service, "r-1", "confirm").await), (409, "reservation_released"));
    assert_eq!(told(&reserve(&service, "r-1", &[("p-001", 2)]).await), (409, "reservation_released"));
    balances(&service).await;
}

#[tokio::test]
async fn a_reservation_that_its_release_has_overtaken_does_not_come() {
    let service = inventory(&[]).await;
    let answer = end(&service, "r-late", "release").await;
    assert_eq!(
        (answer.status, &answer.body["state"], &answer.body["items"]),
        (200, &json!("released"), &json!([]))
    );
    assert_eq!(told(&reserve(&service, "r-late", &[("p-001", 1)]).await), (409, "reservation_released"));
    assert_eq!(stock(&service, "p-001").await, (1200, 0));
}

/// As if this reservation had been made long ago.
async fn grows_old(service: &Tried, id: &str) {
    let statement = "UPDATE reservation SET expires_at = 0, changed_at = 0 WHERE reservation_id = $1";
    let mut write = service.chassis().database.write().await.unwrap();
    sqlx::query(statement).bind(id).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn what_nobody_confirms_expires_and_what_ended_long_ago_is_forgotten() {
    let service = inventory(&[]).await;
    reserve(&service, "r-1", &[("p-001", 2)]).await;
    reserve(&service, "r-2", &[("p-001", 3)]).await;
    assert_eq!(stock(&service, "p-001").await, (1200, 5));
    grows_old(&service, "r-1").await;
    until("it has expired", async || stock(&service, "p-001").await == (1200, 3)).await;
    let state = service.get("/api/inventory/reservations/r-1").await.body["state"].clone();
    assert_eq!(state, "expired");
    assert_eq!(told(&end(&service, "r-1", "confirm").await), (409, "reservation_expired"));
    assert_eq!(told(&reserve(&service, "r-1", &[("p-001", 2)]).await), (409, "reservation_expired"));
    assert_eq!(end(&service, "r-1", "release").await.body["state"], "expired", "there is nothing to give up");
    balances(&service).await;
    grows_old(&service, "r-1").await;
    until("it is forgotten", async || service.get("/api/inventory/reservations/r-1").await.status == 404)
        .await;
    let left: i64 = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM reservation_item")
        .fetch_one(service.chassis().database.pool())
        .await
        .unwrap();
    assert_eq!(left, 1, "only that of r-2");
}

#[tokio::test]
async fn the_caller_says_how_long_it_is_held() {
    let service = inventory(&[]).await;
    let body = json!({ "reservation_id": "r-1", "ttl_seconds": 1, "items": [{ "product_id": "p-001", "quantity": 1 }] });
    assert_eq!(service.post("/api/inventory/reservations", body).await.status, 201);
    until("it has expired", async || stock(&service, "p-001").await == (1200, 0)).await;
}

#[tokio::test]
async fn staff_fill_the_shelf_and_nobody_else_does() {
    let service = inventory(&[]).await;
    let body = json!({ "on_hand": 7 });
    let put = async |headers: &[(&str, &str)], body: &Value| {
        let answer = service.ask("PUT", "/api/inventory/p-new", headers, body).await;
        (answer.status, answer.body["error"].as_str().unwrap_or_default().to_owned())
    };
    let shopper = [("x-user-id", "u-1"), ("x-user-roles", "customer")];
    assert_eq!(put(&[], &body).await.0, 401);
    assert_eq!(put(&shopper, &body).await.0, 403);
    let staff = [("x-user-id", "u-1"), ("x-user-roles", "staff")];
    assert_eq!(put(&staff, &json!({ "on_hand": -1 })).await, (400, "invalid_request".to_owned()));
    assert_eq!(put(&staff, &body).await.0, 200);
    reserve(&service, "r-1", &[("p-new", 5)]).await;
    assert_eq!(put(&staff, &json!({ "on_hand": 4 })).await, (409, "stock_promised".to_owned()));
    assert_eq!(put(&staff, &json!({ "on_hand": 5 })).await.0, 200);
    assert_eq!(stock(&service, "p-new").await, (5, 5));
}

#[tokio::test]
async fn shoppers_do_not_reserve() {
    let service = inventory(&[]).await;
    let shopper = [("x-user-id", "u-1"), ("x-user-roles", "customer")];
    let body = json!({ "reservation_id": "r-1", "items": [{ "product_id": "p-001", "quantity": 1 }] });
    for (method, path) in [
        ("POST", "/api/inventory/reservations"),
        ("GET", "/api/inventory/reservations/r-1"),
        ("POST", "/api/inventory/reservations/r-1/confirm"),
        ("POST", "/api/inventory/reservations/r-1/release"),
    ] {
        let body = if path.ends_with("reservations") { body.clone() } else { Value::Null };
        assert_eq!(service.ask(method, path, &shopper, &body).await.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_is_told_by_field() {
    let service = inventory(&[]).await;
    let body = json!({ "reservation_id": "", "ttl_seconds": 0, "items": [{ "product_id": "p-001", "quantity": 0 }] });
    let answer = service.post("/api/inventory/reservations", body).await;
    assert_eq!(told(&answer), (400, "invalid_request"));
    let fields: Vec<&String> = answer.body["details"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["items[0].quantity", "reservation_id", "ttl_seconds"]);
    assert_eq!(service.post("/api/inventory/reservations", json!({})).await.status, 400);
    assert_eq!(service.get("/api/inventory/a%20b").await.status, 400);
    assert_eq!(service.get("/api/inventory/reservations/a%20b").await.status, 400);
}
