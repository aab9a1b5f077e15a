//! The catalogue over HTTP: who looks, who asks again, and who changes what another has changed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::{Answer, Tried};
use serde_json::{Value, json};

async fn service(settings: &[(&str, &str)]) -> Tried {
    Tried::start("product", &product::MIGRATIONS, settings, product::assemble).await.unwrap()
}

fn fig() -> Value {
    json!({ "name": "Dried figs", "description": "From Izmir.", "category": "pantry", "price_cents": 650,
            "currency": "EUR", "tags": ["fruit", "dried", "fruit"] })
}

async fn as_staff(service: &Tried, method: &str, path: &str, more: &[(&str, &str)], body: &Value) -> Answer {
    let mut headers = vec![("x-user-id", "u-1"), ("x-user-roles", "staff")];
    headers.extend_from_slice(more);
    service.ask(method, path, &headers, body).await
}

fn tag(answer: &Answer) -> &str {
    answer.headers["etag"].to_str().unwrap()
}

fn ids(answer: &Answer) -> Vec<&str> {
    answer.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_new_shop_has_something_to_sell() {
    let service = service(&[]).await;
    let all = service.get("/api/products?size=100").await;
    assert_eq!((all.status, &all.body["total"], ids(&all).len()), (200, &json!(52), 52));
    assert_eq!(all.headers["cache-control"], "public, max-age=10");
    assert_eq!(all.body["items"][0]["name"], "Espresso roast, whole beans");
    assert!(all.body["items"][0]["updated_at"].as_str().unwrap().ends_with('Z'));
    assert!(all.body.get("missing").is_none());

    let second = service.get("/api/products?category=coffee&size=3&page=2").await;
    assert_eq!(ids(&second), ["p-004", "p-005", "p-006"]);
    assert_eq!(
        (&second.body["total"], &second.body["page"], &second.body["size"]),
        (&json!(8), &json!(2), &json!(3))
    );
    let nothing = service.get("/api/products?category=cars").await;
    assert_eq!((&nothing.body["items"], &nothing.body["total"]), (&json!([]), &json!(0)));

    let categories = service.get("/api/categories").await.body["items"].clone();
    assert_eq!(categories[0], json!({ "name": "books", "products": 7 }));
    let sum: i64 = categories.as_array().unwrap().iter().map(|one| one["products"].as_i64().unwrap()).sum();
    assert_eq!(sum, 52);
    assert_eq!(service.get("/api/products/p-999").await.status, 404);
}

#[tokio::test]
async fn a_batch_comes_in_the_order_asked_and_names_what_is_missing() {
    let service = service(&[]).await;
    let some = service.get("/api/products?ids=p-003,nope,p-001,,p-003").await;
    assert_eq!((ids(&some), &some.body["missing"]), (vec!["p-003", "p-001"], &json!(["nope"])));
    assert_eq!(some.body["total"], 2);
    assert_eq!(some.headers["cache-control"], "no-cache", "an order is made of these prices");
    let list = |n: usize| (0..n).map(|n| format!("x{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(service.get(&format!("/api/products?ids={}", list(100))).await.status, 200);
    assert_eq!(service.get(&format!("/api/products?ids={}", list(101))).await.status, 400);
    assert_eq!(service.get("/api/products?ids=,").await.status, 400);
}

#[tokio::test]
async fn staff_add_and_change_and_others_do_not() {
    let service = service(&[("SEED", "none")]).await;
    assert_eq!(service.post("/api/products", fig()).await.status, 401);
    let customer = [("x-user-id", "u-1"), ("x-user-roles", "customer")];
    assert_eq!(service.ask("POST", "/api/products", &customer, &fig()).await.status, 403);
    assert_eq!(service.ask("PUT", "/api/products/p-001", &customer, &fig()).await.status, 403);

    let made = as_staff(&service, "POST", "/api/products", &[], &fig()).await;
    assert_eq!((made.status, &made.body["tags"]), (201, &json!(["dried", "fruit"])));
    let path = made.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(path, format!("/api/products/{}", made.body["id"].as_str().unwrap()));
    let seen = service.get(&path).await;
    assert_eq!((&seen.body, tag(&seen)), (&made.body, tag(&made)));

    for (field, value) in [
        ("name", json!(" ")),
        ("description", json!("a".repeat(4001))),
        ("category", json!("Pantry & more")),
        ("price_cents", json!(-1)),
        ("currency", json!("eur")),
        ("tags", json!(["two words"])),
    ] {
        let mut body = fig();
        body[field] = value;
        let answer = as_staff(&service, "POST", "/api/products", &[], &body).await;
        assert_eq!((answer.status, answer.body["details"][field].is_string()), (400, true), "{field}");
    }
    assert_eq!(service.get("/api/products").await.body["total"], 1);
}

#[tokio::test]
async fn who_changes_says_which_version_they_have_seen() {
    let service = service(&[]).await;
    let path = "/api/products/p-001";
    let first = tag(&service.get(path).await).to_owned();
    let put = async |more: &[(&str, &str)]| as_staff(&service, "PUT", path, more, &fig()).await;
    let blind = put(&[]).await;
    assert_eq!((blind.status, &blind.body["error"]), (428, &json!("version_required")));

    let changed = put(&[("if-match", &first)]).await;
    assert_eq!(
        (changed.status, &changed.body["name"], &changed.body["id"]),
        (200, &json!("Dried figs"), &json!("p-001"))
    );
    assert_ne!(tag(&changed), first);
    let late = put(&[("if-match", &first)]).await;
    assert_eq!((late.status, &late.body["error"]), (412, &json!("version_changed")));
    assert_eq!(put(&[("if-match", tag(&changed))]).await.status, 200);
    assert_eq!(put(&[("if-match", "*")]).await.status, 200, "who does not care may say so");
    let nowhere = as_staff(&service, "PUT", "/api/products/p-999", &[("if-match", "*")], &fig()).await;
    assert_eq!(nowhere.status, 404);
}

#[tokio::test]
async fn of_many_who_saw_the_same_version_one_changes_it() {
    let service = service(&[]).await;
    let path = "/api/products/p-001";
    let seen = tag(&service.get(path).await).to_owned();
    let headers = [("if-match", seen.as_str())];
    let body = fig();
    let all = (0..20).map(|_| as_staff(&service, "PUT", path, &headers, &body));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 19, "{answers:?}");
}

#[tokio::test]
async fn who_asks_again_is_told_that_nothing_has_changed_until_something_has() {
    let service = service(&[]).await;
    let again =
        async |path: &str, tag: &str| service.ask("GET", path, &[("if-none-match", tag)], &json!(null)).await;
    let paths = [
        "/api/products",
        "/api/products?ids=p-001",
        "/api/products/p-001",
        "/api/categories",
        "/api/search?q=roast",
    ];
    let mut tags = Vec::new();
    for path in paths {
        let tag = tag(&service.get(path).await).to_owned();
        let same = again(path, &tag).await;
        assert_eq!(
            (same.status, same.headers["etag"].to_str().unwrap(), &same.body),
            (304, tag.as_str(), &json!(null)),
            "{path}"
        );
        assert!(same.headers.contains_key("cache-control"), "{path}");
        tags.push(tag);
    }
    as_staff(&service, "PUT", "/api/products/p-001", &[("if-match", "*")], &fig()).await;
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(again(path, tag).await.status, 200, "{path}");
    }
    let other = tag(&service.get("/api/products/p-002").await).to_owned();
    as_staff(&service, "PUT", "/api/products/p-001", &[("if-match", "*")], &fig()).await;
    assert_eq!(again("/api/products/p-002", &other).await.status, 304, "a product is not its neighbour");
}

#[tokio::test]
async fn the_contract_is_kept() {
    service(&[("SEED", "none")]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
