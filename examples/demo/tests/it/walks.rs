//! Shoppers before a shop that is made up here: what they ask, and how they count what they hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use demo::shoppers::{Habits, Kind, Outcome, Rush, Shoppers};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::eventually;

/// A shop that keeps to the contract, for a while, and asks for a token.
async fn shop() -> String {
    let asked = Arc::new(AtomicUsize::new(0));
    let order = move |headers: HeaderMap, Json(body): Json<Value>| {
        let many = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(headers.contains_key("idempotency-key") && body["items"][0]["product_id"] == "p1");
            if headers.get("authorization").is_none_or(|token| token != "Bearer t1") {
                return (StatusCode::UNAUTHORIZED, Json(json!({ "slug": "token-missing" }))).into_response();
            }
            let (status, body) = match many % 7 {
                0 | 1 => (201, json!({ "id": "o1", "status": "completed" })),
                2 => (202, json!({ "id": "o2", "status": "queued" })),
                3 => (409, json!({ "error": "out_of_stock" })),
                4 => (429, json!({ "slug": "rate-limited" })),
                5 => (503, json!({ "slug": "breaker-open" })),
                _ => (502, json!({ "slug": "upstream-reset" })),
            };
            (StatusCode::from_u16(status).unwrap(), [("location", "/api/orders/there")], Json(body))
                .into_response()
        }
    };
    let done = || async { Json(json!({ "id": "o2", "status": "completed" })) };
    let items = || async { Json(json!({ "items": [{ "id": "p1" }] })) };
    let user =
        || async { (StatusCode::CREATED, [("set-cookie", "sid=1; Path=/")], Json(json!({ "id": "u" }))) };
    let router = Router::new()
        .route("/", get(|| async { "a page" }))
        .route("/api/products", get(items))
        .route("/api/products/{id}", get(|| async { Json(json!({ "id": "p1" })) }))
        .route("/api/search", get(items))
        .route("/api/reviews", get(|| async { "not what was promised" }))
        .route("/api/users", post(user))
        .route("/api/users/login", post(|| async { Json(json!({ "access_token": "t1" })) }))
        .route("/api/orders", post(order))
        .route("/api/orders/there", get(done));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn shoppers_stroll_buy_and_wait_and_count_what_they_cannot_understand() {
    let shoppers = Shoppers::new(&shop().await);
    shoppers.stroll(3, Habits { think: Duration::from_millis(2), buys: 100 });
    let figures = shoppers.street.figures.clone();
    eventually("somebody has waited for an order", async || figures.now().contains_key(&Kind::Poll)).await;
    shoppers.leave().await;
    let seen = figures.now();
    let [page, recommend, reviews] = [Kind::Page, Kind::Recommend, Kind::Reviews].map(|kind| &seen[&kind]);
    assert_eq!((page.failed(), page.fine.len()), (0, 1));
    assert!(
        recommend.fine.is_empty() && recommend.wrong.keys().eq(["404"]),
        "there is no such page: {recommend:?}"
    );
    assert!(reviews.fine.is_empty() && reviews.wrong.keys().eq(["not JSON"]), "{reviews:?}");
    assert!(seen[&Kind::Order].fine.contains_key("queued") && seen[&Kind::Poll].fine["ok"] > 0);
    let placed = shoppers.street.orders.all();
    assert!(placed.iter().any(|order| order.id == "o2" && order.status == "queued"), "{placed:?}");
}

#[tokio::test]
async fn a_crowd_comes_at_its_rate_and_every_answer_is_counted_for_what_it_is() {
    let shoppers = Shoppers::new(&shop().await);
    let guests = shoppers.guests(5).await;
    let rush = [
        Rush { kind: Kind::Order, per_second: 200.0, at_once: 10 },
        Rush { kind: Kind::Product, per_second: 50.0, at_once: 1 },
    ];
    shoppers.rush(&guests, &["p1".to_owned()], &rush, Duration::from_millis(700)).await;
    let seen = shoppers.street.figures.now();
    let order = &seen[&Kind::Order];
    assert_eq!(order.asked(), 140, "{order:?}");
    assert_eq!(seen[&Kind::Product].asked(), 35);
    assert!(order.fine.keys().eq(["completed", "out_of_stock", "queued"]), "{order:?}");
    assert!(order.refused.keys().eq(["breaker-open", "rate-limited"]), "{order:?}");
    assert!(order.wrong.keys().eq(["502 upstream-reset"]), "{order:?}");
    let kept = order.fine["completed"] + order.fine["queued"];
    assert_eq!(shoppers.street.orders.all().len() as u64, kept);
}

#[tokio::test]
async fn a_shop_that_is_not_there_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shoppers = Shoppers::new(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let answer = shoppers.street.stranger().look(Kind::Browse, "/api/products").await;
    assert_eq!(answer.outcome, Outcome::Wrong("connection broken".to_owned()));
}
