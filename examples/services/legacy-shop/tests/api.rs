//! The JSON API of the monolith: what it sells, to whom, and the edges it is known for.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::HashSet;

use chassis::testing::{Answer, Tried};
use serde_json::{Value, json};

async fn shop() -> Tried {
    shop_with(&[]).await
}

async fn shop_with(settings: &[(&str, &str)]) -> Tried {
    Tried::start("legacy-shop", &legacy_shop::MIGRATIONS, settings, legacy_shop::assemble).await.unwrap()
}

async fn token(shop: &Tried, who: &str) -> String {
    let email = format!("{who}@shop.example");
    let body = json!({ "email": email, "password": "correct horse battery" });
    let answer = shop.post("/api/users/login", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("Bearer {}", answer.body["access_token"].as_str().unwrap())
}

async fn as_user(shop: &Tried, user: &str, method: &str, path: &str, body: Value) -> Answer {
    shop.ask(method, path, &[("x-user-id", user), ("x-user-roles", "customer")], &body).await
}

async fn as_staff(shop: &Tried, method: &str, path: &str, body: Value) -> Answer {
    shop.ask(method, path, &[("x-user-id", "u-staff"), ("x-user-roles", "staff")], &body).await
}

fn order_of(items: &[(&str, i64)]) -> Value {
    let items: Vec<_> = items.iter().map(|(id, n)| json!({ "product_id": id, "quantity": n })).collect();
    json!({ "items": items, "payment": { "type": "card", "token": "tok_visa" } })
}

async fn on_hand(shop: &Tried, product: &str) -> i64 {
    shop.get(&format!("/api/inventory/{product}")).await.body["on_hand"].as_i64().unwrap()
}

async fn counted(shop: &Tried, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(shop.chassis().database.pool()).await.unwrap()
}

#[tokio::test]
async fn the_catalogue_is_that_of_the_product_service() {
    let shop = shop().await;
    let first = shop.get("/api/products?size=20").await.body;
    assert_eq!((&first["page"], &first["size"], &first["total"]), (&json!(1), &json!(20), &json!(52)));
    let item = &first["items"][0];
    assert_eq!(
        (&item["id"], &item["name"], &item["price_cents"], &item["currency"]),
        (&json!("p-001"), &json!("Espresso roast, whole beans"), &json!(1450), &json!("EUR"))
    );
    let tea = shop.get("/api/products?category=tea").await.body;
    assert_eq!((&tea["total"], &tea["items"][0]["id"]), (&json!(6), &json!("p-009")));
    let some = shop.get("/api/products?ids=p-003,p-001,p-999").await.body;
    assert_eq!(
        (&some["items"][0]["id"], &some["items"][1]["id"]),
        (&json!("p-003"), &json!("p-001")),
        "as they were asked for"
    );
    assert_eq!(some["missing"], json!(["p-999"]));
    assert_eq!(shop.get("/api/products/p-999").await.status, 404);
    let many = vec!["p-001"; 101].join(",");
    assert_eq!(shop.get(&format!("/api/products?ids={many}")).await.status, 400);
    let found = shop.get("/api/search?q=cast%20ir").await.body;
    let ids: Vec<_> = found["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, [json!("p-013"), json!("p-018")], "the last word may be unfinished");
    assert_eq!(shop.get("/api/search?q=cas%20iron").await.body["total"], 0, "the others may not");
    assert_eq!(shop.get("/api/search?q=%25").await.body["total"], 0, "nothing in a query is a pattern");
    assert_eq!(shop.get("/api/search?q=chefs").await.body["items"][0]["id"], "p-015");
    let set = shop.get("/api/search?q=set&size=2&page=2").await.body;
    assert_eq!((&set["total"], set["items"].as_array().unwrap().len()), (&json!(4), 2));
    assert_eq!(shop.get("/api/search?q=TEAPOT").await.body["items"][0]["id"], "p-013");
}

#[tokio::test]
async fn somebody_registers_and_signs_in() {
    let shop = shop().await;
    let new = json!({ "email": " Eve@Shop.Example ", "name": "Eve", "password": "long enough for this" });
    let made = shop.post("/api/users", new.clone()).await;
    assert_eq!((made.status, &made.body["email"]), (201, &json!("eve@shop.example")), "{made:?}");
    assert_eq!(made.body["roles"], json!(["customer"]));
    assert_eq!(shop.post("/api/users", new).await.status, 409);
    let bad = shop.post("/api/users", json!({ "email": "eve", "name": "", "password": "short" })).await;
    let fields: HashSet<_> = bad.body["details"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, HashSet::from(["email".into(), "name".into(), "password".into()]));
    let with = json!({ "email": "eve@shop.example", "password": "long enough for this" });
    let session = shop.post("/api/users/login", with).await;
    assert_eq!(
        (&session.body["token_type"], &session.body["user"]["name"]),
        (&json!("Bearer"), &json!("Eve"))
    );
    let cookie = session.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(pair.strip_prefix("shop_session="), session.body["access_token"].as_str());
    let me = shop.ask("GET", "/api/users/me", &[("cookie", pair)], &Value::Null).await;
    assert_eq!((me.status, &me.body), (200, &made.body));
    let changed = shop.ask("PATCH", "/api/users/me", &[("cookie", pair)], &json!({ "name": "Eva" })).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("Eva")));
    let forged = [("cookie", pair), ("sec-fetch-site", "cross-site")];
    let forged = shop.ask("PATCH", "/api/users/me", &forged, &json!({ "name": "Eva" })).await;
    assert_eq!((forged.status, &forged.body["error"]), (403, &json!("cross_site")));
    assert_eq!(shop.get("/api/users/me").await.status, 401);
    let kept = counted(&shop, "SELECT CAST(COUNT(*) AS BIGINT) FROM sessions WHERE LENGTH(id) = 64").await;
    let id = pair.strip_prefix("shop_session=").unwrap();
    let plain: i64 = sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM sessions WHERE id = $1")
        .bind(id)
        .fetch_one(shop.chassis().database.pool())
        .await
        .unwrap();
    assert_eq!((kept, plain), (1, 0), "the database knows the hash of the id only");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer_and_not_for_ever() {
    let shop = shop().await;
    let wrong = async |email: &str| {
        shop.post("/api/users/login", json!({ "email": email, "password": "not this one" })).await
    };
    let (known, unknown) = (wrong("ada@shop.example").await, wrong("bob@shop.example").await);
    assert_eq!((known.status, &known.body), (401, &unknown.body));
    for _ in 0..9 {
        assert_eq!(wrong("ada@shop.example").await.status, 401);
        assert_eq!(wrong("bob@shop.example").await.status, 401);
    }
    assert_eq!(wrong("ada@shop.example").await.status, 429);
    assert_eq!(wrong("bob@shop.example").await.status, 429, "nobody learns who has an account");
}

#[tokio::test]
async fn a_session_says_who_asks_and_so_does_the_gateway_where_it_can_be_trusted() {
    let shop = shop().await;
    let (ada, admin) = (token(&shop, "ada").await, token(&shop, "admin").await);
    let with = async |token: &str, method: &str, path: &str, body: Value| {
        shop.ask(method, path, &[("authorization", token)], &body).await.status
    };
    assert_eq!(with(&ada, "GET", "/api/users/me", Value::Null).await, 200);
    assert_eq!(with(&ada, "GET", "/api/analytics/totals", Value::Null).await, 403);
    let roles = json!({ "roles": ["staff", "customer"] });
    assert_eq!(with(&ada, "PUT", "/api/users/u-ada/roles", roles.clone()).await, 403);
    assert_eq!(with(&admin, "PUT", "/api/users/u-ada/roles", json!({ "roles": ["king"] })).await, 400);
    assert_eq!(with(&admin, "PUT", "/api/users/u-ada/roles", roles).await, 200);
    assert_eq!(with(&ada, "GET", "/api/analytics/totals", Value::Null).await, 200, "it holds at once");
    assert_eq!(as_staff(&shop, "GET", "/api/users/u-ada", Value::Null).await.body["name"], "Ada");
    let claims_roles = [("authorization", ada.as_str()), ("x-user-roles", "admin")];
    let claimed =
        shop.ask("PUT", "/api/users/u-ada/roles", &claims_roles, &json!({ "roles": ["admin"] })).await;
    assert_eq!(claimed.status, 403, "roles without a user are nobody's");
    let open = shop_with(&[("TRUST_GATEWAY", "no")]).await;
    assert_eq!(as_staff(&open, "GET", "/api/analytics/totals", Value::Null).await.status, 401);
    let public = shop_with(&[("LISTEN", "0.0.0.0:0")]).await;
    assert_eq!(as_staff(&public, "GET", "/api/analytics/totals", Value::Null).await.status, 401);
}

#[tokio::test]
async fn an_order_takes_stock_money_and_a_parcel_at_once() {
    let shop = shop().await;
    let before = on_hand(&shop, "p-002").await;
    let body = order_of(&[("p-002", 2), ("p-001", 1), ("p-002", 1)]);
    let headers = [("x-user-id", "u-7"), ("idempotency-key", "k-1")];
    let made = shop.ask("POST", "/api/orders", &headers, &body).await;
    assert_eq!((made.status, &made.body["status"]), (201, &json!("completed")), "{made:?}");
    assert_eq!(made.body["total_cents"], 3 * 1690 + 1450);
    assert_eq!(made.body["items"][1], json!({ "product_id": "p-002", "quantity": 3, "unit_cents": 1690 }));
    assert_eq!(on_hand(&shop, "p-002").await, before - 3);
    let id = made.body["id"].as_str().unwrap().to_owned();
    assert_eq!(made.headers["location"], format!("/api/orders/{id}").as_str());
    let again = shop.ask("POST", "/api/orders", &headers, &body).await;
    assert_eq!((again.status, &again.body["id"]), (201, &json!(id)), "the same key is the same order");
    let other = shop.ask("POST", "/api/orders", &headers, &order_of(&[("p-001", 1)])).await;
    assert_eq!((other.status, &other.body["error"]), (422, &json!("key_reused")));
    assert_eq!(on_hand(&shop, "p-002").await, before - 3);
    for path in ["payments", "shipments"] {
        let listed = as_user(&shop, "u-7", "GET", &format!("/api/{path}?order_id={id}"), Value::Null).await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 1, "{path}");
        let others = as_user(&shop, "u-8", "GET", &format!("/api/{path}?order_id={id}"), Value::Null).await;
        assert_eq!(others.body["items"], json!([]), "{path} of others");
    }
    let told = as_user(&shop, "u-7", "GET", "/api/notifications", Value::Null).await.body;
    assert_eq!((&told["total"], &told["items"][0]["template"]), (&json!(1), &json!("order.completed")));
    let path = format!("/api/orders/{id}");
    assert_eq!(as_user(&shop, "u-8", "GET", &path, Value::Null).await.status, 404);
    assert_eq!(as_user(&shop, "u-7", "GET", "/api/orders", Value::Null).await.body["total"], 1);
    let events = as_user(&shop, "u-7", "GET", &format!("{path}/events"), Value::Null).await.body;
    assert_eq!(events["items"][1]["kind"], "order.completed");
    assert_eq!(shop.post("/api/orders", body).await.status, 401);
}

#[tokio::test]
async fn what_cannot_be_ordered_leaves_nothing_taken() {
    let shop = shop().await;
    as_staff(&shop, "PUT", "/api/inventory/p-002", json!({ "on_hand": 2 })).await;
    let before = on_hand(&shop, "p-001").await;
    let short = as_user(&shop, "u-7", "POST", "/api/orders", order_of(&[("p-001", 5), ("p-002", 3)])).await;
    assert_eq!((short.status, &short.body["error"]), (409, &json!("out_of_stock")));
    assert_eq!(short.body["details"], json!([{ "product_id": "p-002", "wanted": 3, "available": 2 }]));
    let mut declined = order_of(&[("p-001", 5)]);
    declined["payment"]["token"] = json!("tok_declined");
    let declined = as_user(&shop, "u-7", "POST", "/api/orders", declined).await;
    assert_eq!((declined.status, &declined.body["error"]), (402, &json!("payment_declined")));
    assert_eq!(on_hand(&shop, "p-001").await, before);
    assert_eq!(counted(&shop, "SELECT CAST(COUNT(*) AS BIGINT) FROM payments").await, 0);
    let mine = as_user(&shop, "u-7", "GET", "/api/orders", Value::Null).await.body;
    assert_eq!(
        (&mine["items"][0]["status"], &mine["items"][0]["reason"]),
        (&json!("rejected"), &json!("payment_declined"))
    );
    for wrong in [
        order_of(&[]),
        order_of(&[("p-001", 0)]),
        order_of(&[("p-001", -3)]),
        order_of(&[("p-001", 60), ("p-001", 60)]),
        order_of(&[("p-999", 1)]),
        json!({ "items": [{ "product_id": "p-001", "quantity": 1 }], "payment": { "type": "card" } }),
    ] {
        assert_eq!(as_user(&shop, "u-7", "POST", "/api/orders", wrong.clone()).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn parallel_checkouts_never_sell_more_than_there_is() {
    let shop = shop().await;
    for product in ["p-010", "p-011"] {
        as_staff(&shop, "PUT", &format!("/api/inventory/{product}"), json!({ "on_hand": 40 })).await;
    }
    let one = async |number: usize| {
        // Half of them the other way round: they must not wait for each other crosswise.
        let items = if number.is_multiple_of(2) {
            [("p-010", 1), ("p-011", 1)]
        } else {
            [("p-011", 1), ("p-010", 1)]
        };
        as_user(&shop, &format!("u-{number}"), "POST", "/api/orders", order_of(&items)).await.status
    };
    let shoppers = futures_util::future::join_all((0..100).map(one)).await;
    let sold = shoppers.iter().filter(|status| **status == 201).count();
    let refused = shoppers.iter().filter(|status| **status == 409).count();
    assert_eq!((sold, refused), (40, 60));
    assert_eq!((on_hand(&shop, "p-010").await, on_hand(&shop, "p-011").await), (0, 0));
    for sql in [
        "SELECT CAST(COUNT(*) AS BIGINT) FROM payments",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM shipments",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM orders WHERE status = 'completed'",
        "SELECT CAST(SUM(quantity) AS BIGINT) FROM order_items i JOIN orders o ON o.id = i.order_id \
         WHERE o.status = 'completed' AND product_id = 'p-010'",
    ] {
        assert_eq!(counted(&shop, sql).await, 40, "{sql}");
    }
}

#[tokio::test]
async fn one_key_sent_by_many_at_once_is_one_order() {
    let shop = shop().await;
    let before = on_hand(&shop, "p-001").await;
    let one = async |_| {
        let headers = [("x-user-id", "u-7"), ("idempotency-key", "the same")];
        shop.ask("POST", "/api/orders", &headers, &order_of(&[("p-001", 1)])).await
    };
    let answers = futures_util::future::join_all((0..20).map(one)).await;
    let ids: HashSet<_> = answers.iter().map(|answer| answer.body["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(on_hand(&shop, "p-001").await, before - 1);
}

#[tokio::test]
async fn an_order_is_called_off_until_it_has_left_the_house() {
    let shop = shop().await;
    let before = on_hand(&shop, "p-001").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = as_user(&shop, "u-7", "POST", "/api/orders", order_of(&[("p-001", 2)])).await;
        ids.push(made.body["id"].as_str().unwrap().to_owned());
    }
    let off = as_user(&shop, "u-7", "POST", &format!("/api/orders/{}/cancel", ids[0]), Value::Null).await;
    assert_eq!((off.status, &off.body["status"]), (200, &json!("cancelled")));
    assert_eq!(on_hand(&shop, "p-001").await, before - 2);
    let paid = as_user(&shop, "u-7", "GET", &format!("/api/payments?order_id={}", ids[0]), Value::Null).await;
    assert_eq!(paid.body["items"][0]["refunded_cents"], 2900);
    let again = as_user(&shop, "u-7", "POST", &format!("/api/orders/{}/cancel", ids[0]), Value::Null).await;
    assert_eq!(again.status, 409);
    let sent =
        as_user(&shop, "u-7", "GET", &format!("/api/shipments?order_id={}", ids[1]), Value::Null).await;
    let shipment = format!("/api/shipments/{}", sent.body["items"][0]["id"].as_str().unwrap());
    assert_eq!(as_user(&shop, "u-7", "POST", &format!("{shipment}/dispatch"), Value::Null).await.status, 403);
    assert_eq!(as_staff(&shop, "POST", &format!("{shipment}/deliver"), Value::Null).await.status, 409);
    assert_eq!(as_staff(&shop, "POST", &format!("{shipment}/dispatch"), Value::Null).await.status, 200);
    let late = as_user(&shop, "u-7", "POST", &format!("/api/orders/{}/cancel", ids[1]), Value::Null).await;
    assert_eq!((late.status, &late.body["error"]), (409, &json!("not_cancellable")));
    assert_eq!(
        as_staff(&shop, "POST", &format!("{shipment}/deliver"), Value::Null).await.body["status"],
        "delivered"
    );
    let payment =
        as_user(&shop, "u-7", "GET", &format!("/api/payments?order_id={}", ids[1]), Value::Null).await;
    let refund = format!("/api/payments/{}/refund", payment.body["items"][0]["id"].as_str().unwrap());
    assert_eq!(as_user(&shop, "u-7", "POST", &refund, json!({})).await.status, 403);
    assert_eq!(
        as_staff(&shop, "POST", &refund, json!({ "amount_cents": 900 })).await.body["refunded_cents"],
        900
    );
    assert_eq!(as_staff(&shop, "POST", &refund, json!({ "amount_cents": 2001 })).await.status, 409);
    assert_eq!(as_staff(&shop, "POST", &refund, json!({})).await.body["status"], "refunded");
    assert_eq!(as_staff(&shop, "POST", &refund, json!({})).await.status, 409);
}

#[tokio::test]
async fn what_shoppers_say_and_buy_is_told_to_others() {
    let shop = shop().await;
    let say = async |user: &str, rating: i64| {
        let body = json!({ "product_id": "p-001", "rating": rating, "title": "So", "text": "it is" });
        as_user(&shop, user, "POST", "/api/reviews", body).await
    };
    assert_eq!(say("u-7", 6).await.status, 400);
    let said = say("u-7", 5).await;
    assert_eq!((said.status, say("u-7", 4).await.status, say("u-8", 2).await.status), (201, 409, 201));
    let figures = shop.get("/api/reviews/summary/p-001").await.body;
    assert_eq!(figures["histogram"], json!([0, 1, 0, 0, 1]));
    assert_eq!((&figures["count"], &figures["average"]), (&json!(2), &json!(3.5)));
    assert_eq!(shop.get("/api/reviews?product_id=p-001").await.body["total"], 2);
    let path = format!("/api/reviews/{}", said.body["id"].as_str().unwrap());
    assert_eq!(as_user(&shop, "u-8", "DELETE", &path, Value::Null).await.status, 403);
    assert_eq!(as_user(&shop, "u-7", "DELETE", &path, Value::Null).await.status, 204);
    as_user(&shop, "u-7", "POST", "/api/orders", order_of(&[("p-001", 1), ("p-006", 9)])).await;
    as_user(&shop, "u-8", "POST", "/api/orders", order_of(&[("p-001", 1)])).await;
    let beside = shop.get("/api/recommendations?product_id=p-001").await.body;
    assert_eq!(
        (&beside["items"][0]["product_id"], &beside["items"][0]["reason"]),
        (&json!("p-006"), &json!("bought together"))
    );
    let mine = as_user(&shop, "u-8", "GET", "/api/recommendations", Value::Null).await.body;
    assert_eq!(mine["items"][0]["product_id"], "p-006", "and not what they have");
    assert_eq!(
        shop.get("/api/recommendations?product_id=p-050").await.body["items"][0]["reason"],
        "best seller"
    );
    let totals = as_staff(&shop, "GET", "/api/analytics/totals", Value::Null).await.body;
    assert_eq!((&totals["orders"], &totals["revenue_cents"]), (&json!(2), &json!(2 * 1450 + 9 * 2400)));
    let sales = as_staff(&shop, "GET", "/api/analytics/sales?days=7", Value::Null).await.body;
    assert_eq!(sales["items"][0]["revenue_cents"], totals["revenue_cents"]);
    let best = as_staff(&shop, "GET", "/api/analytics/products", Value::Null).await.body;
    assert_eq!(
        (&best["items"][0]["product_id"], &best["items"][0]["quantity"]),
        (&json!("p-006"), &json!(9))
    );
    assert_eq!(as_staff(&shop, "GET", "/api/analytics/funnel", Value::Null).await.body["completed"], 2);
    let quote = shop.get("/api/shipments/quote?country=de&items=3").await.body;
    assert_eq!(quote["price_cents"], 580);
}

#[tokio::test]
async fn staff_keep_the_catalogue() {
    let shop = shop().await;
    let mut product = json!({ "id": "p-100", "name": "Moka pot", "description": "For three.", "category": "coffee",
                              "price_cents": 3200, "currency": "EUR", "tags": ["moka"] });
    assert_eq!(as_user(&shop, "u-7", "POST", "/api/products", product.clone()).await.status, 403);
    assert_eq!(as_staff(&shop, "POST", "/api/products", product.clone()).await.status, 201);
    assert_eq!(as_staff(&shop, "POST", "/api/products", product.clone()).await.status, 409);
    assert_eq!(on_hand(&shop, "p-100").await, 0);
    (product["name"], product["tags"]) = (json!("Percolator"), json!(["steel"]));
    assert_eq!(
        as_staff(&shop, "PUT", "/api/products/p-100", product.clone()).await.body["tags"],
        json!(["steel"])
    );
    assert_eq!(shop.get("/api/search?q=percolator").await.body["items"][0]["id"], "p-100");
    assert_eq!(
        shop.get("/api/search?q=moka").await.body["items"].as_array().unwrap().len(),
        1,
        "the coffee for it"
    );
    product["price_cents"] = json!(-1);
    let wrong = as_staff(&shop, "PUT", "/api/products/p-100", product).await;
    assert_eq!((wrong.status, &wrong.body["details"]), (400, &json!({ "price_cents": "0 to 100000000" })));
}

#[tokio::test]
async fn the_contract_is_kept() {
    shop().await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
