//! Payments over HTTP: once for each key, whatever happens in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::{Answer, Tried, until};
use serde_json::{Value, json};

async fn service(settings: &[(&str, &str)]) -> Tried {
    let mut all = vec![("PROVIDER_DELAY_MS", "0")];
    all.extend_from_slice(settings);
    Tried::start("payment", &payment::MIGRATIONS, &all, payment::assemble).await.unwrap()
}

fn card(order: &str, cents: i64) -> Value {
    json!({ "order_id": order, "user_id": "u-1", "amount_cents": cents, "currency": "EUR",
            "method": { "type": "card", "token": "tok_visa" } })
}

async fn pay(service: &Tried, key: &str, body: &Value) -> Answer {
    service.ask("POST", "/api/payments", &[("idempotency-key", key)], body).await
}

async fn void(service: &Tried, key: &str, body: &Value) -> Answer {
    service.ask("POST", "/api/payments/void", &[("idempotency-key", key)], body).await
}

async fn refund(service: &Tried, id: &str, key: &str, body: Value) -> Answer {
    service.ask("POST", &format!("/api/payments/{id}/refund"), &[("idempotency-key", key)], &body).await
}

async fn books(service: &Tried) -> Value {
    service.get("/simulator/books").await.body
}

async fn behave(service: &Tried, behaviour: Value) {
    assert_eq!(service.ask("PUT", "/simulator", &[], &behaviour).await.status, 200);
}

#[tokio::test]
async fn a_payment_is_made_and_seen() {
    let service = service(&[]).await;
    let made = pay(&service, "k-1", &card("o-1", 1234)).await;
    assert_eq!((made.status, &made.body["status"]), (201, &json!("captured")), "{made:?}");
    let path = format!("/api/payments/{}", made.body["id"].as_str().unwrap());
    assert_eq!(service.get(&path).await.body, made.body, "another service sees it");
    let as_user = async |user| service.ask("GET", &path, &[("x-user-id", user)], &Value::Null).await.status;
    assert_eq!(as_user("u-1").await, 200);
    assert_eq!(as_user("u-2").await, 404, "nobody learns of the payments of others");
    assert_eq!(service.get("/api/payments?order_id=o-1").await.body["items"], json!([made.body]));
    assert_eq!(service.get("/health").await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_in_words() {
    let service = service(&[]).await;
    let no_key = service.post("/api/payments", card("o-1", 1)).await;
    assert_eq!((no_key.status, &no_key.body["error"]), (400, &json!("invalid_request")));
    for (pointer, value) in [
        ("/amount_cents", json!(0)),
        ("/currency", json!("euro")),
        ("/order_id", json!("")),
        ("/method", json!({ "type": "card", "token": "" })),
        ("/method", json!({ "type": "cowrie", "token": "x" })),
        ("/method/token", json!("x\u{0}")),
        ("/order_id", json!("o\u{1}")),
        ("/user_id", json!("u\u{7f}")),
        ("/currency", json!("E\n")),
    ] {
        let mut body = card("o-1", 1);
        *body.pointer_mut(pointer).unwrap() = value;
        let answer = pay(&service, "k", &body).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_request")), "{pointer}");
    }
    let mut invoice = card("o-1", 50_001);
    invoice["method"] = json!({ "type": "invoice" });
    assert_eq!(pay(&service, "k", &invoice).await.status, 400, "an invoice has its bounds");
    invoice["amount_cents"] = json!(50_000);
    assert_eq!(pay(&service, "k", &invoice).await.status, 201);
}

#[tokio::test]
async fn one_key_is_one_charge_however_many_ask_at_once() {
    let service = service(&[("PROVIDER_DELAY_MS", "30")]).await;
    let body = card("o-1", 500);
    let answers = futures_util::future::join_all((0..20).map(|_| pay(&service, "k-1", &body))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)), "{answers:?}");
    assert!(answers.iter().any(|answer| answer.status == 201));
    let again = pay(&service, "k-1", &body).await;
    assert_eq!((again.status, again.headers["idempotency-replayed"].as_bytes()), (201, &b"true"[..]));
    assert_eq!(books(&service).await, json!({ "charges": 1, "orders": 1, "doubled": 0, "cents": 500 }));
    let other = pay(&service, "k-1", &card("o-2", 500)).await;
    assert_eq!((other.status, &other.body["error"]), (422, &json!("key_reused")));
}

#[tokio::test]
async fn a_declined_card_stays_declined_under_its_key() {
    let service = service(&[]).await;
    let mut body = card("o-1", 500);
    body["method"]["token"] = json!("tok_declined");
    for _ in 0..2 {
        let answer = pay(&service, "k-1", &body).await;
        assert_eq!((answer.status, &answer.body["error"]), (402, &json!("payment_declined")));
    }
    assert_eq!(books(&service).await["charges"], 0);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_by_asking_again() {
    let service = service(&[("PROVIDER_LOST_RATE", "1")]).await;
    let body = card("o-1", 500);
    let lost = pay(&service, "k-1", &body).await;
    assert_eq!((lost.status, &lost.body["error"]), (503, &json!("provider_unavailable")));
    assert_eq!(lost.headers["retry-after"], "1");
    assert_eq!(books(&service).await["charges"], 1, "it was charged all the same");
    behave(&service, json!({})).await;
    assert_eq!(pay(&service, "k-1", &body).await.status, 201);
    assert_eq!(books(&service).await, json!({ "charges": 1, "orders": 1, "doubled": 0, "cents": 500 }));
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_a_payment() {
    let service = service(&[("PROVIDER_DELAY_MS", "200")]).await;
    let body = card("o-1", 500);
    let asked = pay(&service, "k-1", &body);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), asked).await.is_err());
    until("it is captured", async || {
        let listed = service.get("/api/payments?order_id=o-1").await.body;
        listed["items"][0]["status"] == "captured"
    })
    .await;
}

#[tokio::test]
async fn calling_off_undoes_what_was_done_and_prevents_what_was_not() {
    let service = service(&[]).await;
    let (done, never) = (card("o-1", 500), card("o-2", 700));
    assert_eq!(pay(&service, "k-1", &done).await.status, 201);
    assert_eq!(void(&service, "k-1", &done).await.body["status"], "voided");
    assert_eq!(void(&service, "k-2", &never).await.body["status"], "voided");
    for (key, body) in [("k-1", &done), ("k-2", &never)] {
        assert_eq!(void(&service, key, body).await.body["status"], "voided", "again");
        let late = pay(&service, key, body).await;
        assert_eq!((late.status, &late.body["error"]), (409, &json!("payment_voided")));
    }
    assert_eq!(books(&service).await, json!({ "charges": 0, "orders": 0, "doubled": 0, "cents": 0 }));
}

#[tokio::test]
async fn calling_off_a_payment_nobody_knows_the_end_of_gives_the_money_back() {
    let service = service(&[("PROVIDER_LOST_RATE", "1")]).await;
    let body = card("o-1", 500);
    assert_eq!(pay(&service, "k-1", &body).await.status, 503);
    assert_eq!(void(&service, "k-1", &body).await.status, 503, "and neither does it know now");
    behave(&service, json!({})).await;
    assert_eq!(void(&service, "k-1", &body).await.body["status"], "voided");
    assert_eq!(books(&service).await["charges"], 0);
}

#[tokio::test]
async fn refunds_give_back_what_was_taken_and_no_more() {
    let service = service(&[]).await;
    let paid = pay(&service, "k-1", &card("o-1", 1000)).await.body;
    let id = paid["id"].as_str().unwrap();
    let at_once = (0..8).map(|n| (n, format!("r-{n}")));
    let answers = futures_util::future::join_all(
        at_once.map(async |(_, key)| refund(&service, id, &key, json!({ "amount_cents": 300 })).await.status),
    )
    .await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 3, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 409)), "{answers:?}");
    let rest = refund(&service, id, "rest", json!({})).await.body;
    assert_eq!((&rest["status"], &rest["refunded_cents"]), (&json!("refunded"), &json!(1000)));
    assert_eq!(refund(&service, id, "rest", json!({})).await.status, 200, "the same refund again");
    assert_eq!(refund(&service, id, "more", json!({})).await.status, 409);
    assert_eq!(books(&service).await["cents"], 0);
    let shopper = [("idempotency-key", "r"), ("x-user-id", "u-1"), ("x-user-roles", "customer")];
    let path = format!("/api/payments/{id}/refund");
    assert_eq!(service.ask("POST", &path, &shopper, &json!({})).await.status, 403);
}

/// A proxy between gives each try a second, and hangs up after it.
#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_calling_off_nor_paying_back() {
    let service = service(&[]).await;
    let body = card("o-1", 500);
    let paid = pay(&service, "k-1", &body).await.body;
    assert_eq!(pay(&service, "k-2", &card("o-2", 700)).await.status, 201);
    behave(&service, json!({ "delay_ms": 300 })).await;
    let hung_up = std::time::Duration::from_millis(100);
    let back = refund(&service, paid["id"].as_str().unwrap(), "r-1", json!({ "amount_cents": 200 }));
    assert!(tokio::time::timeout(hung_up, back).await.is_err());
    let off = card("o-2", 700);
    assert!(tokio::time::timeout(hung_up, void(&service, "k-2", &off)).await.is_err());
    until("both are done", async || books(&service).await["cents"] == 300).await;
    until("and written down", async || {
        service.get("/api/payments?order_id=o-2").await.body["items"][0]["status"] == "voided"
    })
    .await;
}

#[tokio::test]
async fn money_that_went_back_when_a_payment_was_called_off_goes_back_once() {
    // Nobody asks the provider of themselves as long as the test lasts.
    let service = service(&[("REFUND_RETRY_MS", "600000")]).await;
    let body = card("o-1", 1000);
    let paid = pay(&service, "k-1", &body).await.body;
    let id = paid["id"].as_str().unwrap();
    behave(&service, json!({ "failure_rate": 1.0 })).await;
    let part = json!({ "amount_cents": 300 });
    assert_eq!(refund(&service, id, "r-1", part.clone()).await.status, 503);
    behave(&service, json!({})).await;
    let voided = void(&service, "k-1", &body).await.body;
    assert_eq!(
        (&voided["status"], &voided["refunding_cents"]),
        (&json!("voided"), &json!(0)),
        "all of it goes back"
    );
    let again = refund(&service, id, "r-1", part).await;
    assert_eq!((again.status, &again.body["error"]), (409, &json!("not_refundable")), "{again:?}");
    let refunded = sqlx::query_scalar::<_, i64>("SELECT refunded_cents FROM provider_charge");
    assert_eq!(refunded.fetch_one(service.chassis().database.pool()).await.unwrap(), 0, "and no cent more");
}

/// The one who wanted it has left, and the key with them.
#[tokio::test]
async fn a_refund_nobody_asks_for_again_is_made_all_the_same_and_once() {
    for trouble in [json!({ "failure_rate": 1.0 }), json!({ "lost_rate": 1.0 })] {
        let service = service(&[("REFUND_RETRY_MS", "100")]).await;
        let paid = pay(&service, "k-1", &card("o-1", 1000)).await.body;
        let id = paid["id"].as_str().unwrap();
        let stands = async || {
            let payment = service.get(&format!("/api/payments/{id}")).await.body;
            let cents = |name: &str| payment[name].as_i64().unwrap();
            (
                payment["status"].as_str().unwrap().to_owned(),
                cents("refunded_cents"),
                cents("refunding_cents"),
            )
        };
        behave(&service, trouble.clone()).await;
        assert_eq!(refund(&service, id, "r-1", json!({ "amount_cents": 300 })).await.status, 503);
        assert_eq!(stands().await, ("captured".to_owned(), 0, 300), "{trouble}: it is not given back yet");
        assert_eq!(
            refund(&service, id, "r-2", json!({ "amount_cents": 800 })).await.status,
            409,
            "{trouble}"
        );
        assert_eq!(refund(&service, id, "r-2", json!({})).await.status, 503, "{trouble}");
        assert_eq!(stands().await, ("captured".to_owned(), 0, 1000), "{trouble}: and neither is the rest");
        behave(&service, json!({})).await;
        let done = ("refunded".to_owned(), 1000, 0);
        until(&format!("{trouble}: all of it is given back"), async || stands().await == done).await;
        let refunds =
            sqlx::query_scalar::<_, i64>("SELECT amount_cents FROM provider_refund ORDER BY refund_key");
        let database = service.chassis().database.pool();
        assert_eq!(refunds.fetch_all(database).await.unwrap(), [300, 700], "{trouble}: once");
        assert_eq!(books(&service).await["cents"], 0, "{trouble}");
    }
}

#[tokio::test]
async fn one_key_is_one_refund_however_many_ask_at_once() {
    let service = service(&[]).await;
    let paid = pay(&service, "k-1", &card("o-1", 1000)).await.body;
    let id = paid["id"].as_str().unwrap();
    let answers = futures_util::future::join_all(
        (0..20).map(async |_| refund(&service, id, "r-1", json!({ "amount_cents": 300 })).await),
    )
    .await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(books(&service).await["cents"], 700);
}

#[tokio::test]
async fn a_key_names_all_of_a_payment() {
    let service = service(&[]).await;
    let body = card("o-1", 500);
    assert_eq!(pay(&service, "k-1", &body).await.status, 201);
    for (pointer, value) in [
        ("/order_id", json!("o-2")),
        ("/user_id", json!("u-2")),
        ("/amount_cents", json!(501)),
        ("/currency", json!("USD")),
        ("/method/type", json!("wallet")),
        ("/method/token", json!("tok_other")),
    ] {
        let mut other = body.clone();
        *other.pointer_mut(pointer).unwrap() = value;
        let answer = pay(&service, "k-1", &other).await;
        assert_eq!((answer.status, &answer.body["error"]), (422, &json!("key_reused")), "{pointer}");
    }
}

/// Whoever gives up an order calls off its payment, whether or not there ever could be one.
#[tokio::test]
async fn calling_off_asks_for_no_more_than_the_key_and_what_it_names() {
    let service = service(&[]).await;
    let mut invoice = card("o-1", 50_001);
    invoice["method"] = json!({ "type": "invoice" });
    for (key, body) in [("k-1", invoice), ("k-2", card("o-2", 0))] {
        assert_eq!(pay(&service, key, &body).await.status, 400, "it is more, or less, than can be charged");
        assert_eq!(void(&service, key, &body).await.body["status"], "voided");
    }
}

/// One of the databases keeps no NUL; what is bound raw would be answered with 500 for ever, and asked again for ever.
#[tokio::test]
async fn what_no_database_keeps_is_refused_wherever_it_comes() {
    let service = service(&[]).await;
    for (pointer, value) in [
        ("/method/token", "x\u{0}"),
        ("/order_id", "o\u{0}"),
        ("/user_id", "u\u{0}"),
        ("/currency", "E\u{0}"),
    ] {
        let mut body = card("o-1", 1);
        *body.pointer_mut(pointer).unwrap() = json!(value);
        let answer = void(&service, "k", &body).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_request")), "{pointer}");
    }
    assert_eq!(service.get("/api/payments?order_id=%00").await.status, 400);
    assert_eq!(service.get("/api/payments/%00").await.status, 404);
    assert_eq!(refund(&service, "%00", "r", json!({})).await.status, 404);
}

/// The sidecar lets only orders come this far; should a route ever lead a shopper here, the service itself says no.
#[tokio::test]
async fn shoppers_neither_charge_nor_call_off() {
    let service = service(&[]).await;
    let shopper = [("idempotency-key", "k"), ("x-user-id", "u-1"), ("x-user-roles", "customer")];
    for path in ["/api/payments", "/api/payments/void"] {
        let answer = service.ask("POST", path, &shopper, &card("o-1", 500)).await;
        assert_eq!((answer.status, &answer.body["error"]), (403, &json!("forbidden")), "{path}");
    }
    assert_eq!(
        service.get("/api/payments?order_id=o-1").await.body["items"],
        json!([]),
        "and nothing is kept"
    );
    assert_eq!(pay(&service, "k", &card("o-1", 500)).await.status, 201, "a service does");
}

/// What `order` relies on: its own tests hold it to the same file.
#[tokio::test]
async fn what_order_relies_on_is_so() {
    let contract: Value =
        serde_json::from_str(include_str!("../../order/tests/contracts/payment.json")).unwrap();
    for (n, interaction) in contract["interactions"].as_array().unwrap().iter().enumerate() {
        let service = service(&[]).await;
        behave(&service, interaction["given"].clone()).await;
        let (request, expected) = (&interaction["request"], &interaction["response"]);
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let answer =
            service.ask(method, path, &[("idempotency-key", &format!("k-{n}"))], &request["body"]).await;
        assert_eq!(json!(answer.status), expected["status"], "{}: {answer:?}", interaction["name"]);
        for (name, value) in expected["body"].as_object().unwrap() {
            let got = &answer.body[name];
            let is_made_up = matches!(name.as_str(), "id" | "message");
            assert!(
                got.is_string() && (is_made_up || got == value),
                "{}: {name} is {got}",
                interaction["name"]
            );
        }
    }
}

#[tokio::test]
async fn the_contract_is_kept() {
    service(&[]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
