//! What the figures say, whatever the order in which events come.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::events::Event;
use chassis::testing::{Tried, until};
use chassis::{now_ms, rfc3339};
use proptest::prelude::{Just, Strategy};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

const STAFF: [(&str, &str); 2] = [("x-user-id", "s-1"), ("x-user-roles", "staff")];
const DAY_MS: i64 = 24 * 3600 * 1000;

async fn analytics(settings: &[(&str, &str)]) -> Tried {
    Tried::start("analytics", &analytics::MIGRATIONS, settings, analytics::assemble).await.unwrap()
}

/// An order of two kettles and a mug: 61.00.
fn order(kind: &str, order_id: &str) -> Event {
    let items = json!([
        { "product_id": "kettle", "quantity": 2, "unit_cents": 2500 },
        { "product_id": "mug", "quantity": 1, "unit_cents": 1100 },
    ]);
    let data = json!({
        "order_id": order_id, "user_id": "u-1", "status": "any", "items": items, "total_cents": 6100,
        "currency": "EUR", "reason": null,
    });
    Event::now(kind, order_id, data)
}

async fn hears(service: &Tried, event: &Event) {
    let answer = service.post("/events", serde_json::to_value(event).unwrap()).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn figures(service: &Tried, what: &str) -> Value {
    let answer = service.ask("GET", &format!("/api/analytics/{what}"), &STAFF, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

/// All figures at once.
async fn all(service: &Tried) -> Value {
    json!([
        figures(service, "sales").await,
        figures(service, "products").await,
        figures(service, "funnel").await,
        figures(service, "totals").await,
    ])
}

#[tokio::test]
async fn orders_become_sales_when_they_are_completed() {
    let service = analytics(&[]).await;
    for (order_id, kinds) in [
        ("o-1", &["order.placed", "order.completed"][..]),
        ("o-2", &["order.placed", "order.delayed", "order.completed"]),
        ("o-3", &["order.placed", "order.rejected"]),
        ("o-4", &["order.placed", "order.delayed"]),
    ] {
        for kind in kinds {
            hears(&service, &order(kind, order_id)).await;
        }
    }
    let today = &rfc3339(now_ms())[..10];
    let sales = figures(&service, "sales?days=2").await;
    let expected =
        json!([{ "day": today, "currency": "EUR", "orders": 2, "pieces": 6, "revenue_cents": 12200 }]);
    assert_eq!(sales["items"], expected);
    let products = figures(&service, "products").await;
    let [kettle, mug] = products["items"].as_array().unwrap().as_slice() else { panic!("{products}") };
    assert_eq!(
        (&kettle["product_id"], &kettle["pieces"], &kettle["revenue_cents"]),
        (&json!("kettle"), &json!(4), &json!(10000))
    );
    assert_eq!((&mug["product_id"], &mug["orders"]), (&json!("mug"), &json!(2)));
    let now = json!({ "placed": 0, "delayed": 1, "completed": 2, "rejected": 1, "cancelled": 0 });
    let expected =
        json!({ "placed": 4, "delayed": 2, "completed": 2, "rejected": 1, "cancelled": 0, "now": now });
    assert_eq!(figures(&service, "funnel").await, expected);
    let totals = figures(&service, "totals").await;
    assert_eq!((&totals["orders"], &totals["orders_by_status"]), (&json!(4), &now));
    assert_eq!((&totals["revenue_cents"], &totals["pieces_sold"]), (&json!({ "EUR": 12200 }), &json!(6)));
}

#[tokio::test]
async fn what_is_cancelled_was_not_sold() {
    let service = analytics(&[]).await;
    hears(&service, &order("order.completed", "o-1")).await;
    let mut cancelled = order("order.cancelled", "o-1");
    // It is taken back from the day on which it was sold, as what it was sold for.
    cancelled.time = rfc3339(now_ms() + DAY_MS);
    cancelled.data["items"] = json!([]);
    hears(&service, &cancelled).await;
    assert_eq!(figures(&service, "sales").await["items"], json!([]));
    assert_eq!(figures(&service, "products").await["items"], json!([]));
    let totals = figures(&service, "totals").await;
    assert_eq!((&totals["revenue_cents"], &totals["pieces_sold"]), (&json!({ "EUR": 0 }), &json!(0)));
    assert_eq!(figures(&service, "funnel").await["now"]["cancelled"], 1);
}

#[tokio::test]
async fn the_figures_are_the_same_in_whatever_order_events_come_and_how_often() {
    let mut events = Vec::new();
    for (order_id, kinds) in [
        ("o-1", &["order.placed", "order.completed"][..]),
        ("o-2", &["order.placed", "order.delayed", "order.completed", "order.cancelled"]),
        ("o-3", &["order.placed", "order.delayed", "order.rejected"]),
        ("o-4", &["order.placed", "order.cancelled"]),
    ] {
        events.extend(kinds.iter().map(|kind| order(kind, order_id)));
    }
    events.push(Event::now("user.registered", "u-1", json!({ "id": "u-1" })));
    let in_order = analytics(&[]).await;
    for event in &events {
        hears(&in_order, event).await;
    }
    let expected = all(&in_order).await;
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let shuffled = Just(events.clone()).prop_shuffle().new_tree(&mut runner).unwrap().current();
        let service = analytics(&[]).await;
        for event in shuffled.iter().chain(&shuffled[..5]) {
            hears(&service, event).await;
            // The same, told anew: the inbox does not know it.
            hears(&service, &Event { id: format!("{} again", event.id), ..event.clone() }).await;
        }
        let kinds: Vec<_> = shuffled.iter().map(|event| (&event.kind, &event.subject)).collect();
        assert_eq!(all(&service).await, expected, "{kinds:?}");
    }
}

#[tokio::test]
async fn many_at_once_are_all_counted() {
    let service = analytics(&[]).await;
    let events: Vec<_> = (0..60).map(|number| order("order.completed", &format!("o-{number}"))).collect();
    futures_util::future::join_all(events.iter().map(|event| hears(&service, event))).await;
    let totals = figures(&service, "totals").await;
    assert_eq!((&totals["orders"], &totals["revenue_cents"]["EUR"]), (&json!(60), &json!(60 * 6100)));
}

#[tokio::test]
async fn users_reviews_and_shipments_are_counted() {
    let service = analytics(&[]).await;
    for user in ["u-1", "u-2"] {
        hears(&service, &Event::now("user.registered", user, json!({ "id": user }))).await;
    }
    for (review, rating) in [("r-1", 5), ("r-2", 4), ("r-3", 4)] {
        hears(&service, &Event::now("review.posted", review, json!({ "rating": rating }))).await;
    }
    for kind in ["shipment.created", "shipment.dispatched", "shipment.created", "shipment.lost"] {
        hears(&service, &Event::now(kind, "s-1", json!({}))).await;
    }
    let totals = figures(&service, "totals").await;
    assert_eq!(totals["users_registered"], 2);
    assert_eq!((&totals["reviews"], &totals["average_rating"]), (&json!(3), &json!(4.33)));
    let shipments = ["created", "dispatched", "delivered"].map(|stage| &totals[format!("shipments_{stage}")]);
    assert_eq!(shipments, [1, 1, 0]);
}

#[tokio::test]
async fn sales_are_told_of_the_days_asked_for() {
    let service = analytics(&[]).await;
    for days_ago in [0, 1, 40] {
        let mut event = order("order.completed", &format!("o-{days_ago}"));
        event.time = rfc3339(now_ms() - days_ago * DAY_MS);
        hears(&service, &event).await;
    }
    for (query, days) in [("", 2), ("?days=1", 1), ("?days=60", 3), ("?days=-5", 1)] {
        let sales = figures(&service, &format!("sales{query}")).await;
        assert_eq!(sales["items"].as_array().unwrap().len(), days, "{query}");
    }
    assert_eq!(figures(&service, "totals").await["orders"], 3);
}

#[tokio::test]
async fn figures_are_for_staff() {
    let service = analytics(&[]).await;
    for page in ["sales", "products", "funnel", "totals"] {
        let path = format!("/api/analytics/{page}");
        assert_eq!(service.get(&path).await.status, 401, "{page}");
        let shopper = service.ask("GET", &path, &[("x-user-id", "u-1")], &Value::Null).await;
        assert_eq!(shopper.status, 403, "{page}");
        figures(&service, page).await;
    }
}

#[tokio::test]
async fn old_facts_are_forgotten_and_the_figures_stay() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("db").display());
    let service = analytics(&[("DATABASE_URL", &url)]).await;
    for number in 0..3 {
        hears(&service, &order("order.completed", &format!("o-{number}"))).await;
    }
    let pool = service.chassis().database.pool();
    for table in ["UPDATE fact SET at = 1", "UPDATE order_fact SET at = 1"] {
        sqlx::query(table).execute(pool).await.unwrap();
    }
    service.stop().await;
    let service = analytics(&[("DATABASE_URL", &url), ("KEEP_DAYS", "7")]).await;
    let facts = "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM fact) + (SELECT CAST(COUNT(*) AS BIGINT) FROM order_fact)";
    until("they are forgotten", async || {
        let pool = service.chassis().database.pool();
        sqlx::query_scalar::<_, i64>(facts).fetch_one(pool).await.unwrap() == 0
    })
    .await;
    assert_eq!(figures(&service, "totals").await["revenue_cents"]["EUR"], 3 * 6100);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_refused() {
    let service = analytics(&[]).await;
    let mut timeless = order("order.placed", "o-1");
    timeless.time = "noon".to_owned();
    let empty = Event::now("order.placed", "o-1", json!({}));
    for event in [timeless, empty] {
        let refused = service.post("/events", serde_json::to_value(event).unwrap()).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
    }
    assert_eq!(figures(&service, "totals").await["orders"], 0);
}

#[tokio::test]
async fn it_keeps_its_contract() {
    analytics(&[]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
