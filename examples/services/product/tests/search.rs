//! Search over HTTP: what is found, in which order, and that it is never of yesterday.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::Tried;
use serde_json::{Value, json};

async fn empty() -> Tried {
    Tried::start("product", &product::MIGRATIONS, &[("SEED", "none")], product::assemble).await.unwrap()
}

fn draft(name: &str, description: &str, category: &str, tags: &[&str]) -> Value {
    json!({ "name": name, "description": description, "category": category, "price_cents": 100, "currency": "EUR",
            "tags": tags })
}

const STAFF: [(&str, &str); 3] = [("x-user-id", "u-1"), ("x-user-roles", "staff"), ("if-match", "*")];

async fn add(service: &Tried, draft: Value) -> String {
    let made = service.ask("POST", "/api/products", &STAFF, &draft).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

async fn change(service: &Tried, id: &str, draft: Value) -> u16 {
    service.ask("PUT", &format!("/api/products/{id}"), &STAFF, &draft).await.status
}

/// The names of what is found. What stands in `q` stands in the address.
async fn found(service: &Tried, q: &str) -> Vec<String> {
    let answer = service.get(&format!("/api/search?q={q}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let name = |item: &Value| item["name"].as_str().unwrap().to_owned();
    answer.body["items"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn a_word_in_the_name_says_more_than_in_tags_category_and_description() {
    let service = empty().await;
    add(&service, draft("D", "All about figs.", "x", &[])).await;
    add(&service, draft("C", "", "figs", &[])).await;
    add(&service, draft("B", "", "x", &["figs"])).await;
    add(&service, draft("Figs", "", "x", &[])).await;
    add(&service, draft("Figs again", "Figs.", "x", &["figs"])).await;
    add(&service, draft("Figs, figs, figs", "", "x", &[])).await;
    add(&service, draft("Plums", "", "x", &[])).await;
    let order = ["Figs again", "Figs", "Figs, figs, figs", "B", "C", "D"];
    assert_eq!(found(&service, "figs").await, order, "and to say it three times is to say it once");
    let page = service.get("/api/search?q=figs&size=2&page=2").await.body;
    let names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(
        (names, &page["page"], &page["size"]),
        (vec![json!("Figs, figs, figs"), json!("B")], &json!(2), &json!(2))
    );
}

#[tokio::test]
async fn all_words_have_to_be_there_and_the_last_may_be_a_beginning() {
    let service = empty().await;
    for name in ["Cast iron pan", "Cast iron teapot", "Iron nails", "Teapot", "Tea"] {
        add(&service, draft(name, "", "x", &[])).await;
    }
    assert_eq!(found(&service, "iron+cast").await, ["Cast iron pan", "Cast iron teapot"]);
    assert_eq!(found(&service, "iron+tea").await, ["Cast iron teapot"]);
    assert_eq!(found(&service, "cas+teapot").await, [""; 0], "only the last word is a beginning");
    assert_eq!(found(&service, "te").await, ["Cast iron teapot", "Teapot", "Tea"]);
    assert_eq!(found(&service, "tea").await, ["Tea", "Cast iron teapot", "Teapot"], "the whole word first");
    assert_eq!(found(&service, "tea+").await, ["Tea"], "a blank says that the word is whole");
    assert_eq!(found(&service, "t").await, [""; 0], "one letter is no beginning");
    assert_eq!(found(&service, "iron+iron+iron").await.len(), 3);
}

#[tokio::test]
async fn accents_and_capitals_are_not_looked_at() {
    let service = empty().await;
    add(&service, draft("Crème brûlée", "", "x", &[])).await;
    add(&service, draft("Straßenkarte von ŁÓDŹ", "", "x", &[])).await;
    add(&service, draft("Δίσκος για τσάι", "", "x", &[])).await;
    for (q, name) in [
        ("creme+brulee", "Crème brûlée"),
        ("CR%C3%88ME+BR%C3%9B", "Crème brûlée"),
        ("strassen", "Straßenkarte von ŁÓDŹ"),
        ("lodz", "Straßenkarte von ŁÓDŹ"),
        ("%CE%94%CE%AF%CF%83", "Δίσκος για τσάι"),
        ("straßenkarte", "Straßenkarte von ŁÓDŹ"),
        ("%CE%B4%CE%AF%CF%83%CE%BA%CE%BF", "Δίσκος για τσάι"),
    ] {
        assert_eq!(found(&service, q).await, [name], "{q}");
    }
}

#[tokio::test]
async fn what_means_something_to_a_database_means_nothing_here() {
    let service = empty().await;
    add(&service, draft("100% wool_blanket", "", "x", &[])).await;
    for q in ["%25%25a", "__+wool", "%27+OR+1=1", "wo%25"] {
        let answer = service.get(&format!("/api/search?q={q}")).await;
        assert!(answer.status == 200 || answer.status == 400, "{q}: {answer:?}");
    }
    assert_eq!(found(&service, "wool_bl").await, ["100% wool_blanket"]);
    assert_eq!(found(&service, "o%25l").await, [""; 0]);
    assert_eq!(service.get("/api/search?q=%3F!").await.status, 400);
    assert_eq!(service.get("/api/search").await.status, 400);
    assert_eq!(service.get(&format!("/api/search?q={}", "a".repeat(201))).await.status, 400);
}

#[tokio::test]
async fn a_changed_product_is_found_by_what_it_is_and_not_by_what_it_was() {
    let service = empty().await;
    let id = add(&service, draft("Red lamp", "", "x", &["light"])).await;
    assert_eq!(change(&service, &id, draft("Blue lamp", "", "x", &[])).await, 200);
    assert_eq!(found(&service, "blue+lamp").await, ["Blue lamp"]);
    assert_eq!(found(&service, "red").await, [""; 0]);
    assert_eq!(found(&service, "light").await, [""; 0]);
}

#[tokio::test]
async fn the_words_and_the_product_change_together_or_not_at_all() {
    let service = empty().await;
    let id = add(&service, draft("Red lamp", "", "x", &[])).await;
    let database = service.chassis().database.clone();
    // The words cannot be written any more: the change of the product has to be undone with them.
    sqlx::query("ALTER TABLE word RENAME TO hidden").execute(database.pool()).await.unwrap();
    assert_eq!(change(&service, &id, draft("Blue lamp", "", "x", &[])).await, 500);
    let blue = service.ask("POST", "/api/products", &STAFF, &draft("Blue chair", "", "x", &[])).await;
    assert_eq!(blue.status, 500);
    sqlx::query("ALTER TABLE hidden RENAME TO word").execute(database.pool()).await.unwrap();
    let kept = service.get("/api/products").await;
    assert_eq!((&kept.body["total"], &kept.body["items"][0]["name"]), (&json!(1), &json!("Red lamp")));
    assert_eq!(found(&service, "red").await, ["Red lamp"]);
    assert_eq!(found(&service, "blue").await, [""; 0]);
}

#[tokio::test]
async fn the_seeded_shop_can_be_searched() {
    let service = Tried::start("product", &product::MIGRATIONS, &[], product::assemble).await.unwrap();
    assert_eq!(found(&service, "espresso+roast").await, ["Espresso roast, whole beans"]);
    assert_eq!(found(&service, "chefs").await, ["Chef's knife, 20 cm"]);
    assert_eq!(found(&service, "cast+iron+pa").await, ["Cast iron pan, 26 cm"]);
}
