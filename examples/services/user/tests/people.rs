//! People over HTTP: they register, sign in, and see what is theirs to see.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::testing::{Answer, Tried};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";

async fn service(settings: &[(&str, &str)]) -> Tried {
    Tried::start("user", &user::MIGRATIONS, settings, user::assemble).await.unwrap()
}

fn ada(password: &str) -> Value {
    json!({ "email": " Ada@Example.COM", "name": " Ada Lovelace ", "password": password })
}

async fn login(service: &Tried, email: &str, password: &str) -> Answer {
    service.post("/api/users/login", json!({ "email": email, "password": password })).await
}

async fn as_user(service: &Tried, who: (&str, &str), method: &str, path: &str, body: Value) -> Answer {
    service.ask(method, path, &[("x-user-id", who.0), ("x-user-roles", who.1)], &body).await
}

async fn events(service: &Tried) -> Vec<Value> {
    let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM outbox ORDER BY id")
        .fetch_all(service.chassis().database.pool())
        .await
        .unwrap();
    bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

#[tokio::test]
async fn who_registers_can_sign_in_and_others_hear_of_it() {
    let service = service(&[("SEED", "none")]).await;
    let made = service.post("/api/users", ada(PASSWORD)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.body["email"], "ada@example.com");
    assert_eq!((&made.body["name"], &made.body["roles"]), (&json!("Ada Lovelace"), &json!(["customer"])));
    assert!(!made.body.to_string().contains("argon2"), "what is kept of the password stays here");

    let again = service.post("/api/users", ada("another password")).await;
    assert_eq!((again.status, &again.body["error"]), (409, &json!("email_taken")));
    let told = events(&service).await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["type"], &told[0]["subject"]), (&json!("user.registered"), &json!(id)));
    assert_eq!(told[0]["data"], json!({ "id": id, "email": "ada@example.com", "name": "Ada Lovelace" }));

    let signed_in = login(&service, "ADA@example.com ", PASSWORD).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(
        (&signed_in.body["token_type"], &signed_in.body["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(signed_in.body["user"], made.body);
    assert_eq!(signed_in.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn of_many_who_register_one_email_at_once_one_gets_it() {
    let service = service(&[("SEED", "none")]).await;
    let answers =
        futures_util::future::join_all((0..8).map(|_| service.post("/api/users", ada(PASSWORD)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 7, "{answers:?}");
    assert_eq!(events(&service).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_its_fields() {
    let service = service(&[("SEED", "none")]).await;
    for (field, value) in [
        ("email", json!("ada")),
        ("name", json!("")),
        ("name", json!("a".repeat(121))),
        ("password", json!("too short")),
        ("password", json!("a".repeat(129))),
    ] {
        let mut body = ada(PASSWORD);
        body[field] = value;
        let answer = service.post("/api/users", body).await;
        assert_eq!((answer.status, &answer.body["error"]), (400, &json!("invalid_request")));
        assert!(answer.body["details"][field].is_string(), "{answer:?}");
    }
    assert_eq!(service.post("/api/users", json!({ "email": "ada@example.com" })).await.status, 400);
    assert_eq!(login(&service, "ada@example.com", &"a".repeat(1025)).await.status, 400);
}

#[tokio::test]
async fn a_wrong_password_and_nobody_are_answered_alike() {
    let service = service(&[]).await;
    let wrong = login(&service, "ada@shop.example", "wrong").await;
    let nobody = login(&service, "nobody@shop.example", "wrong").await;
    assert_eq!((wrong.status, &wrong.body["error"]), (401, &json!("wrong_credentials")));
    assert_eq!((nobody.status, &nobody.body), (401, &wrong.body));
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_who_knows_does_not() {
    let service = service(&[("LOGIN_TRIES", "3")]).await;
    for _ in 0..6 {
        assert_eq!(login(&service, "ada@shop.example", PASSWORD).await.status, 200);
    }
    for email in ["ada@shop.example", "nobody@shop.example"] {
        for _ in 0..3 {
            assert_eq!(login(&service, email, "wrong").await.status, 401);
        }
        let answer = login(&service, email, PASSWORD).await;
        assert_eq!((answer.status, &answer.body["error"]), (429, &json!("too_many_tries")), "{email}");
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
    }
    assert_eq!(login(&service, "staff@shop.example", PASSWORD).await.status, 200, "others are not concerned");
}

#[tokio::test]
async fn everybody_sees_and_changes_themselves() {
    let service = service(&[]).await;
    let made = service.post("/api/users", ada(PASSWORD)).await.body;
    let me = (made["id"].as_str().unwrap(), "customer");
    assert_eq!(service.get("/api/users/me").await.status, 401);
    assert_eq!(as_user(&service, me, "GET", "/api/users/me", json!(null)).await.body, made);
    assert_eq!(
        as_user(&service, ("gone", "customer"), "GET", "/api/users/me", json!(null)).await.status,
        404
    );

    let patch = async |body| as_user(&service, me, "PATCH", "/api/users/me", body).await;
    assert_eq!(patch(json!({ "name": "Countess" })).await.body["name"], "Countess");
    let alone = patch(json!({ "password": "a new password" })).await;
    assert_eq!((alone.status, alone.body["details"]["current_password"].is_string()), (400, true));
    let guessed = patch(json!({ "password": "a new password", "current_password": "guessed" })).await;
    assert_eq!((guessed.status, &guessed.body["error"]), (403, &json!("wrong_password")));
    let changed = patch(json!({ "password": "a new password", "current_password": PASSWORD })).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("Countess")));
    assert_eq!(login(&service, "ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(login(&service, "ada@example.com", "a new password").await.status, 200);
}

#[tokio::test]
async fn of_others_staff_see_all_services_what_they_need_and_customers_nothing() {
    let service = service(&[]).await;
    let made = service.post("/api/users", ada(PASSWORD)).await.body;
    let path = format!("/api/users/{}", made["id"].as_str().unwrap());
    assert_eq!(as_user(&service, ("u-9", "staff"), "GET", &path, json!(null)).await.body, made);
    assert_eq!(
        as_user(&service, (made["id"].as_str().unwrap(), "customer"), "GET", &path, json!(null)).await.status,
        200
    );
    assert_eq!(as_user(&service, ("u-9", "customer"), "GET", &path, json!(null)).await.status, 403);
    let known = json!({ "id": made["id"], "name": "Ada Lovelace", "roles": ["customer"], "active": true });
    assert_eq!(service.get(&path).await.body, known);
    assert_eq!(service.get("/api/users/nobody").await.status, 404);
}

#[tokio::test]
async fn admins_say_who_may_do_what() {
    let service = service(&[]).await;
    let made = service.post("/api/users", ada(PASSWORD)).await.body;
    let path = format!("/api/users/{}/roles", made["id"].as_str().unwrap());
    let put = async |who, path: &str, body| as_user(&service, who, "PUT", path, body).await;
    assert_eq!(put(("u-9", "staff"), &path, json!({ "roles": ["staff"] })).await.status, 403);
    assert_eq!(put(("u-9", "admin"), &path, json!({ "roles": [] })).await.status, 400);
    assert_eq!(put(("u-9", "admin"), &path, json!({ "roles": ["king"] })).await.status, 400);
    assert_eq!(
        put(("u-9", "admin"), "/api/users/nobody/roles", json!({ "roles": ["staff"] })).await.status,
        404
    );
    let both = put(("u-9", "admin"), &path, json!({ "roles": ["staff", "customer", "staff"] })).await;
    assert_eq!((both.status, &both.body["roles"]), (200, &json!(["customer", "staff"])));

    let own = put((made["id"].as_str().unwrap(), "admin"), &path, json!({ "roles": ["staff"] })).await;
    assert_eq!((own.status, &own.body["error"]), (409, &json!("own_admin_role")));

    let out = put(("u-9", "admin"), &path, json!({ "roles": ["customer"], "active": false })).await;
    assert_eq!(out.body["active"], false);
    let refused = login(&service, "ada@example.com", PASSWORD).await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("wrong_credentials")));
}

#[tokio::test]
async fn a_shop_begins_with_those_it_is_told_to() {
    let demo = service(&[]).await;
    for (email, role) in [("ada", "customer"), ("staff", "staff"), ("admin", "admin")] {
        let signed_in = login(&demo, &format!("{email}@shop.example"), PASSWORD).await;
        assert_eq!((signed_in.status, &signed_in.body["user"]["roles"]), (200, &json!([role])));
    }
    let own =
        [("SEED", "none"), ("ADMIN_EMAIL", "Root@Own.example"), ("ADMIN_PASSWORD", "a password of mine")];
    let real = service(&own).await;
    assert_eq!(login(&real, "ada@shop.example", PASSWORD).await.status, 401);
    let admin = login(&real, "root@own.example", "a password of mine").await;
    assert_eq!(admin.body["user"]["roles"], json!(["admin"]));
    let start = Tried::start("user", &user::MIGRATIONS, &own[..2], user::assemble).await;
    assert!(start.err().unwrap().to_string().contains("ADMIN_PASSWORD"));
}

#[tokio::test]
async fn who_registered_the_admins_email_first_does_not_become_one() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("db").display());
    let first = service(&[("SEED", "none"), ("DATABASE_URL", &url)]).await;
    assert_eq!(first.post("/api/users", ada(PASSWORD)).await.status, 201);
    first.stop().await;
    let admin =
        [("DATABASE_URL", url.as_str()), ("ADMIN_EMAIL", "ada@example.com"), ("ADMIN_PASSWORD", PASSWORD)];
    let second = service(&admin).await;
    let signed_in = login(&second, "ada@example.com", PASSWORD).await;
    assert_eq!(signed_in.body["user"]["roles"], json!(["customer"]));
    assert_eq!(
        login(&second, "admin@shop.example", PASSWORD).await.status,
        401,
        "only a new shop is given users"
    );
    second.stop().await;
}

#[tokio::test]
async fn the_contract_is_kept() {
    service(&[("SEED", "none")]).await.keeps_its_contract(env!("CARGO_MANIFEST_DIR")).await;
}
