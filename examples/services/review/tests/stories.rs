//! What shoppers and staff live through with reviews.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::{Answer, Tried, until};
use serde_json::{Value, json};

async fn review() -> Tried {
    // Somebody has to be told, or nothing would be kept to be told: nobody listens there.
    let settings = [("EVENTS_TO", "analytics=http://127.0.0.1:9")];
    Tried::start("review", &review::MIGRATIONS, &settings, review::assemble).await.unwrap()
}

async fn post(service: &Tried, user: &str, product: &str, rating: i64) -> Answer {
    let body = json!({ "product_id": product, "rating": rating, "title": "Fine", "text": "It is fine." });
    service.ask("POST", "/api/reviews", &[("x-user-id", user)], &body).await
}

async fn remove(service: &Tried, headers: &[(&str, &str)], id: &Value) -> u16 {
    let path = format!("/api/reviews/{}", id.as_str().unwrap());
    service.ask("DELETE", &path, headers, &Value::Null).await.status
}

#[tokio::test]
async fn a_shopper_says_something_once_and_all_can_read_it() {
    let service = review().await;
    let posted = post(&service, "u-1", "p-001", 5).await;
    assert_eq!(posted.status, 201, "{}", posted.body);
    assert_eq!(posted.body["user_id"], "u-1");
    let again = post(&service, "u-1", "p-001", 1).await;
    assert_eq!((again.status, &again.body["error"]), (409, &json!("already_reviewed")));
    assert_eq!(post(&service, "u-1", "p-002", 1).await.status, 201, "another product is another matter");
    let list = service.get("/api/reviews?product_id=p-001").await;
    assert_eq!(list.body["items"], json!([posted.body]));
    assert_eq!(list.body["total"], 1);
    let told: String = sqlx::query_scalar("SELECT body FROM outbox ORDER BY id LIMIT 1")
        .fetch_one(service.chassis().database.pool())
        .await
        .unwrap();
    let event: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(event["type"], "review.posted");
    assert_eq!(event["data"], posted.body);
}

#[tokio::test]
async fn the_summary_follows_what_is_posted_and_taken_back() {
    let service = review().await;
    for (user, rating) in [("u-1", 5), ("u-2", 4), ("u-3", 5), ("u-4", 1)] {
        assert_eq!(post(&service, user, "p-001", rating).await.status, 201);
    }
    let summary = service.get("/api/reviews/summary/p-001").await.body;
    assert_eq!(summary["count"], 4);
    assert_eq!(summary["average"], 3.75);
    assert_eq!(summary["histogram"], json!({ "1": 1, "2": 0, "3": 0, "4": 1, "5": 2 }));
    let list = service.get("/api/reviews?product_id=p-001").await.body;
    let worst = &list["items"][0];
    assert_eq!(worst["rating"], 1, "the newest is first");
    assert_eq!(remove(&service, &[("x-user-id", "u-1")], &worst["id"]).await, 403);
    assert_eq!(remove(&service, &[], &worst["id"]).await, 401);
    let staff = [("x-user-id", "s-1"), ("x-user-roles", "staff")];
    assert_eq!(remove(&service, &staff, &worst["id"]).await, 204);
    assert_eq!(remove(&service, &staff, &worst["id"]).await, 404);
    let summary = service.get("/api/reviews/summary/p-001").await.body;
    assert_eq!((&summary["count"], &summary["average"]), (&json!(3), &json!(4.67)));
    assert_eq!(post(&service, "u-4", "p-001", 4).await.status, 201, "who took it back may say it anew");
}

#[tokio::test]
async fn of_many_at_once_by_one_user_one_is_kept() {
    let service = review().await;
    let posts = (0..20).map(|_| post(&service, "u-1", "p-001", 3));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(posts).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[201].as_slice(), &[409; 19]].concat());
    let summary = service.get("/api/reviews/summary/p-001").await.body;
    assert_eq!((&summary["count"], &summary["average"]), (&json!(1), &json!(3.0)));
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_by_field() {
    let service = review().await;
    let body = json!({ "product_id": "p-001", "rating": 9, "title": "" });
    let refused = service.ask("POST", "/api/reviews", &[("x-user-id", "u-1")], &body).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["details"]["rating"], "is 1 to 5");
    assert!(refused.body["details"]["title"].is_string(), "{}", refused.body);
    assert_eq!(service.post("/api/reviews", body).await.status, 401, "nobody is nobody");
    assert_eq!(service.get("/api/reviews").await.status, 400);
    assert_eq!(service.get("/api/reviews?product_id=%00").await.status, 400);
    let nobody_knows = service.get("/api/reviews/summary/p-999").await;
    assert_eq!((nobody_knows.status, &nobody_knows.body["average"]), (200, &Value::Null));
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let service = review().await;
    for user in 0..5 {
        post(&service, &format!("u-{user}"), "p-001", 3).await;
    }
    let page = service.get("/api/reviews?product_id=p-001&page=2&size=2").await.body;
    let users: Vec<_> = page["items"].as_array().unwrap().iter().map(|one| &one["user_id"]).collect();
    assert_eq!(users, ["u-2", "u-1"]);
    assert_eq!((&page["total"], &page["page"], &page["size"]), (&json!(5), &json!(2), &json!(2)));
}

#[tokio::test]
async fn it_is_well_and_keeps_its_contract() {
    let service = review().await;
    until("it is well", async || service.get("/health").await.status == 200).await;
    service.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
