//! Orders that go well, that are refused, that have to wait, and that are called off.

use chassis::testing::until;
use serde_json::{Value, json};

use crate::neighbours::Neighbours;
use crate::shopper::{ends_as, id, kinds, place, seen, told, two_of};

#[tokio::test]
async fn an_order_goes_well() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let placed = place(&order, "u-1", "k-1", &two_of("p-1")).await;
    assert_eq!((placed.status, &placed.body["status"]), (201, &json!("completed")), "{placed:?}");
    assert_eq!((&placed.body["total_cents"], &placed.body["currency"]), (&json!(500), &json!("EUR")));
    let id = id(&placed);
    assert_eq!(placed.headers["location"], format!("/api/orders/{id}"));
    let happened = ["placed", "checked", "stock_reserved", "paid", "stock_confirmed", "completed"];
    assert_eq!(kinds(&order, &id).await, happened);
    let history = order.get(&format!("/api/orders/{id}/events")).await.body;
    assert!(!history.to_string().contains("tok_visa"), "what pays is shown to nobody: {history}");
    assert_eq!(told(&order).await, ["order.placed", "order.completed"]);
    neighbours.with(|known| {
        assert_eq!(known.stock["p-1"], 8);
        assert_eq!(known.charged[&id], Some(500));
        assert_eq!(known.confirmed, std::slice::from_ref(&id));
    });
    let list =
        async |user: &str| order.ask("GET", "/api/orders", &[("x-user-id", user)], &Value::Null).await.body;
    until("the list follows", async || list("u-1").await["items"][0]["status"] == "completed").await;
    assert_eq!(list("u-1").await["total"], 1);
    assert_eq!(list("u-2").await["total"], 0, "nobody sees the orders of others");
    let as_other =
        order.ask("GET", &format!("/api/orders/{id}"), &[("x-user-id", "u-2")], &Value::Null).await;
    assert_eq!(as_other.status, 404);
    assert_eq!(order.post("/api/orders", two_of("p-1")).await.status, 401, "nobody orders for nobody");
}

#[tokio::test]
async fn the_same_request_twice_is_one_order() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let bodies = two_of("p-1");
    let answers = futures_util::future::join_all((0..10).map(|_| place(&order, "u-1", "k-1", &bodies))).await;
    let first = id(&answers[0]);
    assert!(answers.iter().all(|answer| id(answer) == first), "{answers:?}");
    ends_as(&order, &first, "completed").await;
    assert_eq!(place(&order, "u-1", "k-1", &two_of("p-1")).await.status, 201, "and so it is later");
    assert_eq!(place(&order, "u-1", "k-1", &two_of("p-2")).await.status, 422, "but not for something else");
    assert_ne!(
        id(&place(&order, "u-2", "k-1", &two_of("p-1")).await),
        first,
        "keys of two users are two keys"
    );
    assert_eq!(neighbours.with(|known| known.charged.len()), 2);
}

#[tokio::test]
async fn what_is_refused_is_undone() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let mut declined = two_of("p-1");
    declined["payment"]["token"] = json!("tok_declined");
    let rows = [
        ("u-1", two_of("p-2"), 409, "out_of_stock"),
        ("u-1", declined, 402, "payment_declined"),
        ("u-1", two_of("p-9"), 422, "unknown_product"),
        ("nobody", two_of("p-1"), 422, "unknown_user"),
        ("locked", two_of("p-1"), 422, "user_inactive"),
    ];
    for (n, (user, body, status, error)) in rows.iter().enumerate() {
        let answer = place(&order, user, &format!("k-{n}"), body).await;
        assert_eq!((answer.status, &answer.body["error"]), (*status, &json!(error)), "{answer:?}");
        assert_eq!(seen(&order, &id(&answer)).await["status"], "rejected");
        assert_eq!(place(&order, user, &format!("k-{n}"), body).await.status, *status, "and so it is later");
    }
    neighbours.with(|known| {
        assert_eq!((known.stock["p-1"], known.stock["p-2"]), (10, 1));
        assert!(known.charged.values().all(Option::is_none), "{:?}", known.charged);
    });
    assert_eq!(told(&order).await.iter().filter(|kind| *kind == "order.rejected").count(), rows.len());
}

#[tokio::test]
async fn what_cannot_be_ordered_is_told_in_words() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    for (pointer, value) in [
        ("/items", json!([])),
        ("/items/0/quantity", json!(0)),
        ("/items/0/quantity", json!(101)),
        ("/items", json!([{ "product_id": "p-1", "quantity": 5 }, { "product_id": "p-1", "quantity": -3 }])),
        ("/items", json!([{ "product_id": "p-1", "quantity": 60 }, { "product_id": "p-1", "quantity": 60 }])),
        ("/items/0/product_id", json!("")),
        ("/items/0/product_id", json!("a,b")),
        ("/items/0/product_id", json!(" ")),
        ("/items/0/product_id", json!("p\u{0}")),
        ("/items/0/product_id", json!("ä".repeat(32))),
        ("/items/0/product_id", json!("p".repeat(65))),
        ("/payment/type", json!("cowrie")),
        ("/payment/token", json!("")),
        ("/payment/token", json!("x\u{0}")),
        ("/payment/token", json!("tok visa")),
        ("/payment/token", json!("schlüssel")),
        ("/payment", json!(null)),
    ] {
        let mut body = two_of("p-1");
        *body.pointer_mut(pointer).unwrap() = value;
        let answer = place(&order, "u-1", "k", &body).await;
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (400, &json!("invalid_request")),
            "{pointer} {answer:?}"
        );
    }
    let unreadable = [("x-user-id", "u-1"), ("idempotency-key", "schlüssel")];
    let answer = order.ask("POST", "/api/orders", &unreadable, &two_of("p-1")).await;
    assert_eq!(answer.status, 400, "a key that is not read would be no key at all");
    assert_eq!(order.get("/api/orders/%00").await.status, 404, "and nothing is called so");
    assert!(told(&order).await.is_empty());
}

#[tokio::test]
async fn what_costs_nothing_needs_no_payment() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let placed = place(&order, "u-1", "k-1", &two_of("p-free")).await;
    assert_eq!((placed.status, &placed.body["total_cents"]), (201, &json!(0)), "{placed:?}");
    neighbours.with(|known| {
        assert!(known.charged.is_empty());
        assert_eq!(known.stock["p-free"], 8);
    });
}

/// A proxy on the way has its own 404s. They say something of the way, and nothing of the order.
#[tokio::test]
async fn a_no_from_the_way_is_not_a_no_from_the_service() {
    for path in ["/api/users", "/api/inventory", "/api/payments"] {
        let neighbours = Neighbours::start().await;
        neighbours.with(|known| known.no_way = Some(path));
        let order = neighbours.order(&[]).await;
        let placed = place(&order, "u-1", "k-1", &two_of("p-1")).await;
        assert_eq!((placed.status, &placed.body["status"]), (202, &json!("delayed")), "{path}: {placed:?}");
        neighbours.with(|known| known.no_way = None);
        ends_as(&order, &id(&placed), "completed").await;
    }
}

#[tokio::test]
async fn what_does_not_answer_delays_an_order_and_loses_none() {
    for (away, reason) in [
        ("user", "waiting_for_catalogue"),
        ("product", "waiting_for_catalogue"),
        ("inventory", "waiting_for_stock"),
        ("payment", "waiting_for_payment"),
    ] {
        let neighbours = Neighbours::start().await;
        neighbours.with(|known| known.away.push(away));
        let order = neighbours.order(&[]).await;
        let placed = place(&order, "u-1", "k-1", &two_of("p-1")).await;
        assert_eq!((placed.status, &placed.body["status"]), (202, &json!("delayed")), "{away}: {placed:?}");
        assert_eq!(placed.body["reason"], reason);
        assert_eq!(told(&order).await, ["order.placed", "order.delayed"], "the shopper is told");
        neighbours.with(|known| known.away.clear());
        let id = id(&placed);
        ends_as(&order, &id, "completed").await;
        assert_eq!(told(&order).await.last().unwrap(), "order.completed");
        neighbours.with(|known| {
            assert_eq!(
                (known.stock["p-1"], known.charged.len(), known.charged[&id]),
                (8, 1, Some(500)),
                "{away}"
            );
        });
        let whys = order
            .ask("GET", &format!("/api/orders/{id}/events"), &[("x-user-id", "u-1")], &Value::Null)
            .await;
        let whys = whys.body.to_string();
        assert!(whys.contains("delayed") && !whys.contains("\"why\""), "not for shoppers: {whys}");
    }
}

#[tokio::test]
async fn a_payment_whose_answer_was_lost_is_not_made_twice() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.lose_answers = true);
    let order = neighbours.order(&[]).await;
    let placed = place(&order, "u-1", "k-1", &two_of("p-1")).await;
    assert_eq!(placed.body["status"], "delayed");
    neighbours.with(|known| known.lose_answers = false);
    ends_as(&order, &id(&placed), "completed").await;
    assert_eq!(neighbours.with(|known| known.charged.clone()), [(id(&placed), Some(500))].into());
}

#[tokio::test]
async fn an_order_is_called_off_and_all_of_it_undone() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.lose_answers = true);
    let order = neighbours.order(&[]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    assert_eq!(neighbours.with(|known| known.charged[&id]), Some(500), "it is charged, and nobody knows");
    let cancel = async |user| {
        let path = format!("/api/orders/{id}/cancel");
        order.ask("POST", &path, &[("x-user-id", user)], &Value::Null).await.status
    };
    assert_eq!(cancel("u-2").await, 404);
    assert_eq!(cancel("u-1").await, 202);
    let ended = ends_as(&order, &id, "cancelled").await;
    assert_eq!(ended["reason"], "cancelled");
    neighbours.with(|known| {
        assert_eq!((known.charged[&id], known.stock["p-1"]), (None, 10));
    });
    assert_eq!(cancel("u-1").await, 409, "once");
    assert_eq!(told(&order).await.last().unwrap(), "order.cancelled");
}

/// Whether the stock was taken is not known, and what was taken cannot be put back: so it goes on to its end.
#[tokio::test]
async fn what_is_paid_is_seen_through_and_cannot_be_called_off() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.lose_confirmations = true);
    let order = neighbours.order(&[]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let path = format!("/api/orders/{id}/cancel");
    let answer = order.ask("POST", &path, &[("x-user-id", "u-1")], &Value::Null).await;
    assert_eq!((answer.status, &answer.body["error"]), (409, &json!("too_late")));
    neighbours.with(|known| known.lose_confirmations = false);
    ends_as(&order, &id, "completed").await;
    neighbours.with(|known| assert_eq!((known.charged[&id], known.stock["p-1"]), (Some(500), 8)));
}

#[tokio::test]
async fn what_is_completed_cannot_be_called_off() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let path = format!("/api/orders/{id}/cancel");
    let answer = order.ask("POST", &path, &[("x-user-id", "u-1")], &Value::Null).await;
    assert_eq!((answer.status, &answer.body["error"]), (409, &json!("too_late")));
}

#[tokio::test]
async fn in_a_promotion_orders_are_taken_down_and_worked_off() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.stock.insert("p-1".to_owned(), 60));
    let order = neighbours.order(&[("WORKERS", "4")]).await;
    assert_eq!(order.ask("PUT", "/promotion", &[], &json!({ "on": true })).await.body["on"], true);
    let body = two_of("p-1");
    let placed = futures_util::future::join_all(
        (0..40).map(async |n| place(&order, &format!("u-{n}"), "k", &body).await),
    )
    .await;
    assert!(placed.iter().all(|answer| answer.status == 202), "{placed:?}");
    let mut ends = Vec::new();
    for answer in &placed {
        let id = id(answer);
        until("it ends", async || {
            let status = seen(&order, &id).await["status"].clone();
            status == "completed" || status == "rejected"
        })
        .await;
        ends.push(seen(&order, &id).await["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(ends.iter().filter(|end| *end == "completed").count(), 30, "60 in stock, two each");
    assert_eq!(neighbours.with(|known| known.stock["p-1"]), 0);
    assert_eq!(neighbours.with(|known| known.charged.len()), 30);
}

/// In a promotion, and when orders pile up because something that is needed is away.
#[tokio::test]
async fn a_full_queue_says_so() {
    for promotion in [true, false] {
        let neighbours = Neighbours::start().await;
        neighbours.with(|known| known.away.push("product"));
        let order = neighbours.order(&[("QUEUE_MAX", "3")]).await;
        order.ask("PUT", "/promotion", &[], &json!({ "on": promotion })).await;
        let mut last = place(&order, "u-1", "k", &two_of("p-1")).await;
        let mut n = 0;
        until("it is full", async || {
            n += 1;
            last = place(&order, "u-1", &format!("k-{n}"), &two_of("p-1")).await;
            last.status == 503
        })
        .await;
        assert_eq!(last.body["error"], "queue_full");
        assert_eq!(last.headers["retry-after"], "1");
        let before = place(&order, "u-1", "k", &two_of("p-1")).await;
        assert_eq!(before.status, 202, "what was taken before is known");
    }
}

/// So that one shopper does not fill the queue for all.
#[tokio::test]
async fn a_shopper_has_so_many_open_orders_and_no_more() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.away.push("product"));
    let order = neighbours.order(&[("OPEN_ORDERS_MAX", "3")]).await;
    let body = two_of("p-1");
    let mut placed = Vec::new();
    for n in 0..3 {
        placed.push(place(&order, "u-1", &format!("k-{n}"), &body).await);
    }
    assert!(placed.iter().all(|answer| answer.status == 202), "{placed:?}");
    let more = place(&order, "u-1", "more", &body).await;
    assert_eq!((more.status, &more.body["error"]), (429, &json!("too_many_orders")), "{more:?}");
    let again = place(&order, "u-1", "k-0", &body).await;
    assert_eq!((again.status, id(&again)), (202, id(&placed[0])), "what was taken before is known");
    assert_eq!(place(&order, "u-2", "more", &body).await.status, 202, "the orders of others are theirs");
    neighbours.with(|known| known.away.clear());
    for answer in &placed {
        ends_as(&order, &id(answer), "completed").await;
    }
    assert_eq!(place(&order, "u-1", "more", &body).await.status, 201, "and there is room again");
}

/// What is kept only to be compared need not be readable; and what an older version kept is compared all the same.
#[tokio::test]
async fn a_request_is_known_again_though_what_it_pays_with_is_not_kept_with_its_key() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    let first = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let database = order.chassis().database.pool();
    let kept =
        sqlx::query_scalar::<_, String>("SELECT request FROM order_key").fetch_one(database).await.unwrap();
    assert!(kept.len() == 64 && kept.bytes().all(|digit| digit.is_ascii_hexdigit()), "a SHA-256: {kept}");
    let clear = r#"[[{"product_id":"p-1","quantity":2}],{"type":"card","token":"tok_visa"}]"#;
    for kept in [kept.as_str(), clear] {
        let mut write = order.chassis().database.write().await.unwrap();
        sqlx::query("UPDATE order_key SET request = $1").bind(kept).execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
        let again = place(&order, "u-1", "k-1", &two_of("p-1")).await;
        assert_eq!((again.status, id(&again)), (201, first.clone()), "{kept}");
        let mut other = two_of("p-1");
        other["payment"]["token"] = json!("tok_other");
        assert_eq!(place(&order, "u-1", "k-1", &other).await.status, 422, "{kept}");
    }
}

#[tokio::test]
async fn the_read_model_can_be_made_again() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[]).await;
    for n in 0..3 {
        place(&order, "u-1", &format!("k-{n}"), &two_of("p-1")).await;
    }
    let staff = [("x-user-id", "s-1"), ("x-user-roles", "staff")];
    let list = async || order.ask("GET", "/api/orders?size=2", &staff, &Value::Null).await.body;
    let is_completed = |order: &Value| order["status"] == "completed";
    until("the list follows", async || {
        let list = list().await;
        list["total"] == 3 && list["items"].as_array().unwrap().iter().all(is_completed)
    })
    .await;
    let before = list().await;
    assert_eq!(before["items"].as_array().unwrap().len(), 2);
    assert_eq!(order.post("/view/rebuild", Value::Null).await.status, 202);
    until("it is there again", async || list().await == before).await;
}

#[tokio::test]
async fn a_service_that_ends_leaves_its_orders_to_the_next() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.away.push("payment"));
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("orders").display());
    let order = neighbours.order(&[("DATABASE_URL", &url)]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    order.stop().await;
    neighbours.with(|known| known.away.clear());
    let order = neighbours.order(&[("DATABASE_URL", &url)]).await;
    ends_as(&order, &id, "completed").await;
    assert_eq!(neighbours.with(|known| known.charged.len()), 1);
}

#[tokio::test]
async fn the_contract_is_kept() {
    let neighbours = Neighbours::start().await;
    neighbours.order(&[]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
