//! Tokens and keys, seen by those who check them: the gateway's own rules, and another library's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use chassis::now_ms;
use chassis::testing::{Tried, until};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use policies::identity::cache::{TokenCache, TokenCacheSettings};
use policies::identity::jwks::Keyring;
use policies::identity::keys::KeySet;
use policies::identity::{
    Algorithm, Asked, Audience, Issuer, IssuerSettings, Refused, TokenCheck, install_provider,
};
use policies::time::Now;
use policies::verdict::Denial;
use policies::why::Silent;
use serde_json::{Map, Value, json};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

async fn service(settings: &[(&str, &str)]) -> Tried {
    Tried::start("user", &user::MIGRATIONS, settings, user::assemble).await.unwrap()
}

async fn token(service: &Tried, who: &str) -> String {
    let login = json!({ "email": format!("{who}@shop.example"), "password": "correct horse battery" });
    let answer = service.post("/api/users/login", login).await;
    answer.body["access_token"].as_str().unwrap().to_owned()
}

async fn jwks(service: &Tried) -> Value {
    service.get("/jwks.json").await.body
}

fn kids(jwks: &Value) -> Vec<&str> {
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
}

fn kid(token: &str) -> String {
    decode_header(token).unwrap().kid.unwrap()
}

/// What is signed, and its signature.
fn tokens_apart(token: &str) -> (&str, &str) {
    token.rsplit_once('.').unwrap()
}

/// What the gateway says of the token, with these keys, `later_ms` from now.
fn gateway_says(jwks: &Value, token: &str, later_ms: i64) -> Result<Map<String, Value>, Refused> {
    let issuer = Issuer::compile(&IssuerSettings {
        name: "shop".to_owned(),
        issuers: vec!["http://user.shop.example".to_owned()],
        audience: Audience::OneOf(vec!["shop-api".to_owned()]),
        algorithms: vec![Algorithm::RS256],
        typ: Some("at+jwt".to_owned()),
        ..IssuerSettings::default()
    });
    let keys = KeySet::from_jwks(jwks.to_string().as_bytes()).unwrap();
    assert!(keys.skipped().is_empty(), "{:?}", keys.skipped());
    let (keyring, cache) =
        (Keyring::fixed(keys), TokenCache::new(TokenCacheSettings::default(), [1, 2, 3, 4]));
    let check = TokenCheck { issuer: &issuer.unwrap(), keyring: &keyring, cache: &cache, last: None };
    let now = Now { unix_secs: u64::try_from((now_ms() + later_ms) / 1000).unwrap(), ..Now::default() };
    check.verify(token, now, Asked::Already, &mut Silent).map(|claims| claims.all.clone())
}

/// Lets time pass for the keys.
async fn pass(service: &Tried, ms: i64) {
    sqlx::query("UPDATE signing_key SET published_at = published_at - $1, signs_at = signs_at - $1")
        .bind(ms)
        .execute(service.chassis().database.pool())
        .await
        .unwrap();
}

async fn rotate(service: &Tried) -> String {
    let answer = service.post("/keys/rotate", json!(null)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_gateway_believes_a_token_and_reads_who_it_is() {
    let service = service(&[]).await;
    let other = token(&service, "ada").await;
    let (token, jwks) = (token(&service, "staff").await, jwks(&service).await);
    let claims = gateway_says(&jwks, &token, 0).unwrap();
    let me = service.post(
        "/api/users/login",
        json!({ "email": "staff@shop.example", "password": "correct horse battery" }),
    );
    assert_eq!(claims["sub"], me.await.body["user"]["id"]);
    assert_eq!((&claims["roles"], &claims["aud"]), (&json!("staff"), &json!("shop-api")));
    assert!(claims["scope"].as_str().unwrap().split(' ').any(|scope| scope == "products:write"));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert!(claims["jti"].is_string());

    assert_eq!(gateway_says(&jwks, &token, HOUR), Err(Refused::Denial(Denial::TokenExpired)));
    let (other, _) = tokens_apart(&other);
    let (_, signature) = tokens_apart(&token);
    let forged = gateway_says(&jwks, &format!("{other}.{signature}"), 0);
    assert_eq!(forged, Err(Refused::Denial(Denial::TokenSignature)));
}

#[tokio::test]
async fn another_library_believes_it_too() {
    install_provider();
    let service =
        service(&[("ISSUER", "https://shop.example"), ("AUDIENCE", "shop"), ("TOKEN_SECONDS", "60")]).await;
    let token = token(&service, "ada").await;
    let answer = service.get("/jwks.json").await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    let set: JwkSet = serde_json::from_value(answer.body).unwrap();
    let header = decode_header(&token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut wanted = Validation::new(jsonwebtoken::Algorithm::RS256);
    wanted.set_audience(&["shop"]);
    wanted.set_issuer(&["https://shop.example"]);
    let claims = decode::<Value>(&token, &key, &wanted).unwrap().claims;
    assert_eq!(
        (&claims["roles"], claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()),
        (&json!("customer"), 60)
    );
}

#[tokio::test]
async fn no_token_is_refused_while_keys_are_replaced() {
    let service = service(&[("KEY_CHECK_SECONDS", "1")]).await;
    let (before, old) = (jwks(&service).await, token(&service, "ada").await);
    assert_eq!(kids(&before), [kid(&old)]);

    let next = rotate(&service).await;
    assert_eq!(rotate(&service).await, next, "asked again it is the same one");
    let published = jwks(&service).await;
    assert_eq!(kids(&published), [kid(&old), next.clone()]);
    let graced = token(&service, "ada").await;
    assert_eq!(kid(&graced), kid(&old), "not everybody knows the new key yet, so it does not sign");
    assert!(gateway_says(&before, &graced, 0).is_ok(), "who has the keys of before can check it");

    pass(&service, 600_000).await;
    let new = token(&service, "ada").await;
    assert_eq!(kid(&new), next);
    for token in [&old, &graced, &new] {
        assert!(
            gateway_says(&jwks(&service).await, token, 0).is_ok(),
            "old and new are believed side by side"
        );
    }

    pass(&service, 900_000 + 120_000).await;
    until("the old key is gone", async || kids(&jwks(&service).await) == [next.as_str()]).await;
    assert_eq!(kid(&token(&service, "ada").await), next);
    let late = gateway_says(&before, &old, 900_000 + 120_000);
    assert_eq!(late, Err(Refused::Denial(Denial::TokenExpired)), "nothing it signed still held");
}

#[tokio::test]
async fn a_key_that_has_served_its_time_is_replaced_by_itself() {
    let service = service(&[("KEY_CHECK_SECONDS", "1")]).await;
    let first = kid(&token(&service, "ada").await);
    pass(&service, 7 * DAY - 600_000 - 5_000).await;
    until("the next is published", async || kids(&jwks(&service).await).len() == 2).await;
    assert_eq!(kid(&token(&service, "ada").await), first);
    pass(&service, 600_000).await;
    assert_ne!(kid(&token(&service, "ada").await), first);
}

#[tokio::test]
async fn replicas_share_keys_and_make_one_together() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("db").display());
    let settings = [("DATABASE_URL", url.as_str())];
    let one = service(&settings).await;
    let other = service(&settings).await;
    assert_eq!(jwks(&one).await, jwks(&other).await);
    let (mine, theirs) = tokio::join!(rotate(&one), rotate(&other));
    assert_eq!(mine, theirs);
    assert_eq!(kids(&jwks(&one).await).len(), 2);
    pass(&one, 600_000).await;
    let token = token(&other, "ada").await;
    assert_eq!(kid(&token), mine);
    assert!(gateway_says(&jwks(&one).await, &token, 0).is_ok());
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn only_operators_replace_keys() {
    let service = service(&[("SEED", "none")]).await;
    let ask = async |roles| {
        let caller = [("x-user-id", "u-1"), ("x-user-roles", roles)];
        service.ask("POST", "/keys/rotate", &caller, &json!(null)).await.status
    };
    assert_eq!((ask("customer").await, ask("staff").await, ask("admin").await), (403, 403, 200));
    assert_eq!(service.get("/health").await.body["parts"]["keys"], "ok");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    for (name, value) in [("KEY_SECONDS", "600"), ("TOKEN_SECONDS", "0"), ("KEY_GRACE_SECONDS", "soon")] {
        let start = Tried::start("user", &user::MIGRATIONS, &[(name, value)], user::assemble).await;
        assert!(start.err().unwrap().to_string().contains(name));
    }
}
