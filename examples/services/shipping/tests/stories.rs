//! What happens to shipments, and what a shopper sees of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::events::Event;
use chassis::testing::{Answer, Tried, until};
use serde_json::{Value, json};

const STAFF: [(&str, &str); 2] = [("x-user-id", "s-1"), ("x-user-roles", "staff")];

async fn shipping(settings: &[(&str, &str)]) -> Tried {
    // Somebody has to be told, or nothing would be kept to be told: nobody listens there.
    let settings = [settings, &[("EVENTS_TO", "notification=http://127.0.0.1:9")]].concat();
    Tried::start("shipping", &shipping::MIGRATIONS, &settings, shipping::assemble).await.unwrap()
}

fn order(kind: &str, order_id: &str) -> Value {
    let data = json!({
        "order_id": order_id, "user_id": "u-1", "status": "completed", "currency": "EUR", "reason": null,
        "items": [{ "product_id": "p-001", "quantity": 2, "unit_cents": 1450 }], "total_cents": 2900,
    });
    serde_json::to_value(Event::now(kind, order_id, data)).unwrap()
}

async fn hears(service: &Tried, event: Value) {
    let answer = service.post("/events", event).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
}

async fn of_order(service: &Tried, order_id: &str) -> Vec<Value> {
    let path = format!("/api/shipments?order_id={order_id}");
    let answer = service.ask("GET", &path, &STAFF, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["items"].as_array().unwrap().clone()
}

async fn moves(service: &Tried, shipment: &Value, step: &str) -> Answer {
    let path = format!("/api/shipments/{}/{step}", shipment["id"].as_str().unwrap());
    service.ask("POST", &path, &STAFF, &Value::Null).await
}

/// The kinds and data of all it told.
async fn told(service: &Tried) -> Vec<(String, Value)> {
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM outbox ORDER BY at, id")
        .fetch_all(service.chassis().database.pool())
        .await
        .unwrap();
    let events = bodies.iter().map(|body| serde_json::from_str::<Event>(body).unwrap());
    events.map(|event| (event.kind, event.data)).collect()
}

async fn kinds_told(service: &Tried) -> Vec<String> {
    told(service).await.into_iter().map(|(kind, _)| kind).collect()
}

#[tokio::test]
async fn a_completed_order_is_packed_sent_and_delivered() {
    let service = shipping(&[]).await;
    hears(&service, order("order.completed", "o-1")).await;
    let shipment = of_order(&service, "o-1").await.remove(0);
    assert_eq!((&shipment["status"], &shipment["user_id"]), (&json!("created"), &json!("u-1")));
    let too_soon = moves(&service, &shipment, "deliver").await;
    assert_eq!((too_soon.status, &too_soon.body["error"]), (409, &json!("wrong_state")));
    assert_eq!(too_soon.body["details"]["status"], "created");
    assert_eq!(moves(&service, &shipment, "dispatch").await.body["status"], "dispatched");
    assert_eq!(moves(&service, &shipment, "dispatch").await.status, 409);
    assert_eq!(moves(&service, &shipment, "deliver").await.body["status"], "delivered");
    assert_eq!(moves(&service, &shipment, "deliver").await.status, 409);
    let data = json!({
        "shipment_id": shipment["id"], "order_id": "o-1", "user_id": "u-1", "tracking": shipment["tracking"],
    });
    let all = ["shipment.created", "shipment.dispatched", "shipment.delivered"];
    let expected: Vec<_> = all.iter().map(|kind| ((*kind).to_owned(), data.clone())).collect();
    assert_eq!(told(&service).await, expected);
}

#[tokio::test]
async fn an_order_told_twice_is_sent_once() {
    let service = shipping(&[]).await;
    let event = order("order.completed", "o-1");
    hears(&service, event.clone()).await;
    hears(&service, event).await;
    hears(&service, order("order.completed", "o-1")).await;
    assert_eq!(of_order(&service, "o-1").await.len(), 1);
    assert_eq!(kinds_told(&service).await, ["shipment.created"]);
}

#[tokio::test]
async fn a_cancelled_order_is_not_sent_whichever_is_heard_first() {
    let service = shipping(&[]).await;
    for (order_id, kinds) in
        [("o-1", ["order.completed", "order.cancelled"]), ("o-2", ["order.cancelled", "order.completed"])]
    {
        for kind in kinds {
            hears(&service, order(kind, order_id)).await;
        }
        let shipments = of_order(&service, order_id).await;
        assert_eq!((shipments.len(), &shipments[0]["status"]), (1, &json!("cancelled")), "{order_id}");
        assert_eq!(moves(&service, &shipments[0], "dispatch").await.status, 409);
    }
    assert_eq!(kinds_told(&service).await, ["shipment.created"], "nothing is told of what was never packed");
}

#[tokio::test]
async fn what_has_left_cannot_be_cancelled() {
    let service = shipping(&[]).await;
    hears(&service, order("order.completed", "o-1")).await;
    let shipment = of_order(&service, "o-1").await.remove(0);
    moves(&service, &shipment, "dispatch").await;
    hears(&service, order("order.cancelled", "o-1")).await;
    assert_eq!(of_order(&service, "o-1").await[0]["status"], "dispatched");
}

#[tokio::test]
async fn of_two_who_move_it_one_does() {
    let service = shipping(&[]).await;
    hears(&service, order("order.completed", "o-1")).await;
    let shipment = of_order(&service, "o-1").await.remove(0);
    let both = tokio::join!(moves(&service, &shipment, "dispatch"), moves(&service, &shipment, "dispatch"));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(kinds_told(&service).await, ["shipment.created", "shipment.dispatched"]);
}

#[tokio::test]
async fn customers_see_their_own_and_staff_all() {
    let service = shipping(&[]).await;
    hears(&service, order("order.completed", "o-1")).await;
    let shipment = of_order(&service, "o-1").await.remove(0);
    let path = format!("/api/shipments/{}", shipment["id"].as_str().unwrap());
    for (user, sees) in [("u-1", true), ("u-2", false)] {
        let asks = async |path: &str| service.ask("GET", path, &[("x-user-id", user)], &Value::Null).await;
        assert_eq!(asks(&path).await.status, if sees { 200 } else { 404 });
        for list in ["/api/shipments", "/api/shipments?order_id=o-1"] {
            assert_eq!(asks(list).await.body["total"], i32::from(sees), "{user} {list}");
        }
        let step = format!("{path}/dispatch");
        let moved = service.ask("POST", &step, &[("x-user-id", user)], &Value::Null).await;
        assert_eq!(moved.status, 403);
    }
    assert_eq!(service.ask("GET", "/api/shipments", &STAFF, &Value::Null).await.body["total"], 1);
    assert_eq!(service.get(&path).await.status, 401);
    let nonsense = service.ask("GET", "/api/shipments/x", &STAFF, &Value::Null).await;
    assert_eq!(nonsense.status, 400);
}

#[tokio::test]
async fn with_a_courier_it_moves_by_itself() {
    let service = shipping(&[("COURIER_EVERY", "0.05")]).await;
    for number in 0..60 {
        hears(&service, order("order.completed", &format!("o-{number}"))).await;
    }
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM shipment WHERE status = 'delivered'";
    until("all are delivered", async || {
        let pool = service.chassis().database.pool();
        sqlx::query_scalar::<_, i64>(count).fetch_one(pool).await.unwrap() == 60
    })
    .await;
    let kinds = kinds_told(&service).await;
    for kind in ["shipment.created", "shipment.dispatched", "shipment.delivered"] {
        assert_eq!(kinds.iter().filter(|told| *told == kind).count(), 60, "{kind}");
    }
}

#[tokio::test]
async fn a_courier_that_cannot_be_read_is_told_at_the_start() {
    let settings = [("COURIER_EVERY", "-1")];
    let started = Tried::start("shipping", &shipping::MIGRATIONS, &settings, shipping::assemble).await;
    assert!(started.err().unwrap().to_string().starts_with("COURIER_EVERY=-1"));
}

#[tokio::test]
async fn sending_costs_by_country_and_items() {
    let service = shipping(&[]).await;
    let quote = service.get("/api/shipments/quote?country=de&items=3").await;
    let expected = json!({ "country": "DE", "items": 3, "price_cents": 480, "currency": "EUR", "days": 2 });
    assert_eq!((quote.status, quote.body), (200, expected));
    for (query, status) in [
        ("country=ZZ&items=1", 404),
        ("country=DEU&items=1", 400),
        ("country=D%00&items=1", 400),
        ("country=DE&items=0", 400),
        ("country=DE&items=101", 400),
        ("country=DE", 400),
    ] {
        assert_eq!(service.get(&format!("/api/shipments/quote?{query}")).await.status, status, "{query}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_refused_and_nothing_else_is() {
    let service = shipping(&[]).await;
    let event = serde_json::to_value(Event::now("order.completed", "o-1", json!({}))).unwrap();
    assert_eq!(service.post("/events", event).await.status, 400);
    hears(&service, serde_json::to_value(Event::now("order.placed", "o-1", json!({}))).unwrap()).await;
    assert_eq!(of_order(&service, "o-1").await.len(), 0);
}

#[tokio::test]
async fn it_keeps_its_contract() {
    shipping(&[]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
