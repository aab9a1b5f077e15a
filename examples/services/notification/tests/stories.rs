//! What shoppers are told, and what they are spared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::events::Event;
use chassis::testing::{Answer, Tried, until};
use serde_json::{Value, json};

const ADMIN: [(&str, &str); 2] = [("x-user-id", "a-1"), ("x-user-roles", "admin")];
const STAFF: [(&str, &str); 2] = [("x-user-id", "s-1"), ("x-user-roles", "staff")];
const SHOPPER: [(&str, &str); 1] = [("x-user-id", "u-1")];

async fn notification() -> Tried {
    Tried::start("notification", &notification::MIGRATIONS, &[], notification::assemble).await.unwrap()
}

fn order(kind: &str, order_id: &str) -> Value {
    let data = json!({
        "order_id": order_id, "user_id": "u-1", "status": "any", "currency": "EUR", "reason": "out_of_stock",
        "items": [{ "product_id": "p-001", "quantity": 2, "unit_cents": 1452 }], "total_cents": 2904,
    });
    serde_json::to_value(Event::now(kind, order_id, data)).unwrap()
}

fn registered(name: &str) -> Value {
    let data = json!({ "id": "u-1", "email": "ada@shop.example", "name": name });
    serde_json::to_value(Event::now("user.registered", "u-1", data)).unwrap()
}

async fn hears(service: &Tried, event: Value) {
    let answer = service.post("/events", event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn put(service: &Tried, headers: &[(&str, &str)], path: &str, body: Value) -> Answer {
    service.ask("PUT", &format!("/api/notifications/{path}"), headers, &body).await
}

/// What u-1 was told, oldest first.
async fn told(service: &Tried) -> Vec<Value> {
    let list = service.ask("GET", "/api/notifications?size=100", &SHOPPER, &Value::Null).await;
    assert_eq!(list.status, 200);
    list.body["items"].as_array().unwrap().iter().rev().cloned().collect()
}

/// Which templates were mailed to u-1, oldest first.
async fn mailed(service: &Tried) -> Vec<String> {
    let told = told(service).await.into_iter().filter(|one| one["channel"] == "mail");
    told.map(|one| one["template"].as_str().unwrap().to_owned()).collect()
}

async fn count(service: &Tried, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(service.chassis().database.pool()).await.unwrap()
}

#[tokio::test]
async fn a_shopper_is_told_of_an_order_by_mail_and_push() {
    let service = notification().await;
    hears(&service, registered("Ada")).await;
    hears(&service, order("order.completed", "o-1")).await;
    let told = told(&service).await;
    let completed: Vec<_> = told.iter().filter(|one| one["template"] == "order.completed").collect();
    let channels: Vec<_> = completed.iter().map(|one| &one["channel"]).collect();
    assert_eq!(channels, ["mail", "push"]);
    assert_eq!(completed[0]["subject"], "Thank you for your order");
    let text = completed[0]["text"].as_str().unwrap();
    assert!(text.starts_with("Hello Ada,\n\nyour order o-1 over 29.04 EUR is paid"), "{text}");
    assert_eq!(completed[1]["text"], "Thank you! Your order over 29.04 EUR is being packed.");
    assert_eq!(completed[0]["order_id"], "o-1");
    let to = "SELECT CAST(COUNT(*) AS BIGINT) FROM message WHERE recipient = 'ada@shop.example'";
    assert_eq!(count(&service, to).await, 2);
    until("all is sent", async || {
        count(&service, "SELECT CAST(COUNT(*) AS BIGINT) FROM message WHERE sent_at = 0").await == 0
    })
    .await;
}

#[tokio::test]
async fn nobody_is_told_twice() {
    let service = notification().await;
    let event = order("order.placed", "o-1");
    for _ in 0..3 {
        hears(&service, event.clone()).await;
    }
    // The inbox forgets after a while. The messages do not.
    sqlx::query("DELETE FROM inbox").execute(service.chassis().database.pool()).await.unwrap();
    sqlx::query("DELETE FROM journey").execute(service.chassis().database.pool()).await.unwrap();
    hears(&service, event).await;
    assert_eq!(mailed(&service).await, ["order.placed"]);
    hears(&service, order("order.placed", "o-1")).await;
    assert_eq!(mailed(&service).await, ["order.placed"], "nor when another event says the same");
}

#[tokio::test]
async fn who_was_told_to_wait_is_told_when_it_is_over() {
    let service = notification().await;
    for kind in ["order.placed", "order.delayed", "order.delayed", "order.completed"] {
        hears(&service, order(kind, "o-1")).await;
    }
    assert_eq!(mailed(&service).await, ["order.placed", "order.delayed", "order.finished"]);
}

#[tokio::test]
async fn old_news_is_not_told() {
    let service = notification().await;
    for kind in ["order.completed", "order.delayed", "order.placed"] {
        hears(&service, order(kind, "o-1")).await;
    }
    assert_eq!(mailed(&service).await, ["order.completed"]);
    for kind in ["order.cancelled", "order.completed"] {
        hears(&service, order(kind, "o-2")).await;
    }
    assert_eq!(mailed(&service).await, ["order.completed", "order.cancelled"]);
}

#[tokio::test]
async fn a_parcel_is_told_of_on_its_way() {
    let service = notification().await;
    let data = json!({ "shipment_id": "s-1", "order_id": "o-1", "user_id": "u-1", "tracking": "BY1234" });
    for kind in ["shipment.created", "shipment.dispatched", "shipment.delivered", "shipment.lost"] {
        hears(&service, serde_json::to_value(Event::now(kind, "s-1", &data)).unwrap()).await;
    }
    assert_eq!(mailed(&service).await, ["shipment.created", "shipment.dispatched", "shipment.delivered"]);
    let text = told(&service).await[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Hello there,") && text.contains("Its number is BY1234."), "{text}");
}

#[tokio::test]
async fn shoppers_choose_how_they_are_told() {
    let service = notification().await;
    let get =
        async || service.ask("GET", "/api/notifications/preferences", &SHOPPER, &Value::Null).await.body;
    assert_eq!(get().await, json!({ "mail": true, "push": true, "sms": false, "phone": "" }));
    for wrong in [
        json!({ "mail": false, "push": false, "sms": true }),
        json!({ "mail": false, "push": false, "sms": true, "phone": "0301234" }),
        json!({ "mail": false, "push": false, "sms": false, "phone": "+123" }),
    ] {
        let refused = put(&service, &SHOPPER, "preferences", wrong).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(refused.body["details"].is_object());
    }
    let wanted = json!({ "mail": false, "push": false, "sms": true, "phone": "+49301234567" });
    assert_eq!(put(&service, &SHOPPER, "preferences", wanted.clone()).await.status, 200);
    hears(&service, registered("Ada")).await;
    assert_eq!(get().await, wanted, "who registers later keeps them");
    hears(&service, order("order.placed", "o-1")).await;
    let told = told(&service).await;
    assert!(told.len() == 2 && told.iter().all(|one| one["channel"] == "sms"), "{told:?}");
    let nothing = json!({ "mail": false, "push": false, "sms": false });
    assert_eq!(put(&service, &SHOPPER, "preferences", nothing).await.status, 200);
    hears(&service, order("order.completed", "o-1")).await;
    assert_eq!(self::told(&service).await.len(), 2);
}

#[tokio::test]
async fn an_admin_finds_better_words() {
    let service = notification().await;
    let path = "templates/order.placed";
    let words = |subject: &str| json!({ "subject": subject, "text": "Dear {{name}}\n", "short": "Got it" });
    assert_eq!(put(&service, &STAFF, path, words("Got it")).await.status, 403);
    let edited = put(&service, &ADMIN, path, words("Got it, {{ name }}")).await;
    assert_eq!((edited.status, &edited.body["version"]), (200, &json!(2)), "{}", edited.body);
    assert_eq!(edited.body["values"], json!(["name", "order_id", "reason", "total"]));
    hears(&service, order("order.placed", "o-1")).await;
    assert_eq!(told(&service).await[0]["subject"], "Got it, there");
    let get = async |query: &str| {
        service.ask("GET", &format!("/api/notifications/{path}{query}"), &STAFF, &Value::Null).await
    };
    assert_eq!(get("").await.body, edited.body);
    assert_eq!(get("?version=1").await.body["subject"], "We have your order");
    assert_eq!(get("?version=9").await.status, 404);
    assert_eq!(put(&service, &ADMIN, "templates/order.lost", words("x")).await.status, 404);
    let shopper = service.ask("GET", "/api/notifications/templates/order.placed", &SHOPPER, &Value::Null);
    assert_eq!(shopper.await.status, 403);
}

#[tokio::test]
async fn a_template_with_a_mistake_is_refused_with_its_place() {
    let service = notification().await;
    let good = json!({ "subject": "Yes", "text": "Hello {{name}}", "short": "Yes" });
    for (field, text, line, column) in [
        ("text", "Hello\n  {{tracking}}", 2, 3),
        ("text", "Hello {{name", 1, 7),
        ("short", "Hello }}", 1, 7),
        ("subject", "two\nlines", 1, 1),
        ("subject", "", 1, 1),
        ("short", &"x".repeat(151), 1, 1),
    ] {
        let mut bad = good.clone();
        bad[field] = json!(text);
        let refused = put(&service, &ADMIN, "templates/order.placed", bad).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!("bad_template")), "{text}");
        let details = &refused.body["details"];
        let place = (&details["field"], &details["line"], &details["column"]);
        assert_eq!(place, (&json!(field), &json!(line), &json!(column)), "{text}");
    }
    hears(&service, order("order.placed", "o-1")).await;
    assert_eq!(told(&service).await[0]["subject"], "We have your order", "the old words are still said");
}

#[tokio::test]
async fn all_first_words_can_be_said() {
    let service = notification().await;
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM template ORDER BY name")
        .fetch_all(service.chassis().database.pool())
        .await
        .unwrap();
    assert_eq!(names.len(), 10);
    for name in names {
        let path = format!("templates/{name}");
        let whole = format!("/api/notifications/{path}");
        let template = service.ask("GET", &whole, &STAFF, &Value::Null).await.body;
        assert_eq!(put(&service, &ADMIN, &path, template).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_name_cannot_add_a_line_to_a_mail() {
    let service = notification().await;
    hears(&service, registered("Ada\r\nBcc: all@shop.example")).await;
    assert_eq!(told(&service).await[0]["subject"], "Welcome, Ada  Bcc: all@shop.example");
}

#[tokio::test]
async fn what_is_kept_of_a_user_has_an_end() {
    let service = notification().await;
    let event = |number: usize| order("order.placed", &format!("o-{number}"));
    for number in 0..120 {
        hears(&service, event(number)).await;
    }
    until("all is sent", async || {
        count(&service, "SELECT CAST(COUNT(*) AS BIGINT) FROM message WHERE sent_at = 0").await == 0
    })
    .await;
    hears(&service, event(120)).await;
    let list = service.ask("GET", "/api/notifications?page=3&size=100", &SHOPPER, &Value::Null).await;
    let total = list.body["total"].as_i64().unwrap();
    assert!((200..=202).contains(&total), "{total}");
    let others = service.ask("GET", "/api/notifications", &[("x-user-id", "u-2")], &Value::Null).await;
    assert_eq!(others.body["total"], 0);
    assert_eq!(service.get("/api/notifications").await.status, 401);
}

#[tokio::test]
async fn an_event_of_nobody_is_refused() {
    let service = notification().await;
    let event = Event::now("order.placed", "o-1", json!({ "order_id": "o-1" }));
    let refused = service.post("/events", serde_json::to_value(event).unwrap()).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[tokio::test]
async fn it_keeps_its_contract() {
    notification().await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
