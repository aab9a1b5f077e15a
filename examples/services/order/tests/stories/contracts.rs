//! What this service asks of `payment`, and what it makes of the answers, as written in `contracts/payment.json`. The
//! payment service is held to the same file by its own tests: neither needs the other to run.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::routing::any;
use axum::{Json, Router};
use chassis::testing::{Tried, until};
use chassis::{App, Chassis, StartError};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;

use crate::neighbours::Neighbours;

const PAYMENT: &str = include_str!("../contracts/payment.json");

/// Answers as the contract says, and notes what does not fit it.
#[derive(Clone)]
struct Pretend {
    contract: Arc<Value>,
    now: Arc<Mutex<&'static str>>,
    misfits: Arc<Mutex<Vec<String>>>,
}

async fn answer(
    State(pretend): State<Pretend>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let now = *pretend.now.lock().unwrap();
    let void = "a payment that is called off";
    let name = if uri.path().ends_with("/void") { void } else { now };
    let interactions = pretend.contract["interactions"].as_array().unwrap();
    let interaction = interactions.iter().find(|interaction| interaction["name"] == name).unwrap();
    let request = &interaction["request"];
    let mut misfits = pretend.misfits.lock().unwrap();
    if request["method"] != method.as_str() || request["path"] != uri.path() {
        misfits.push(format!("{name}: asked {method} {uri}"));
    }
    if !headers.contains_key("idempotency-key") {
        misfits.push(format!("{name}: without a key"));
    }
    if shape(&request["body"]) != shape(&body) {
        misfits.push(format!("{name}: {body} is not of the shape {}", request["body"]));
    }
    let status = u16::try_from(interaction["response"]["status"].as_u64().unwrap()).unwrap();
    (StatusCode::from_u16(status).unwrap(), Json(interaction["response"]["body"].clone()))
}

/// The members and their types, without their values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Bool(_) => json!("bool"),
        Value::Null => json!("null"),
        Value::Number(_) => json!("number"),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::String(_) => json!("string"),
    }
}

async fn payment(pretend: &Pretend) -> Tried {
    let routes = Router::new()
        .route("/api/payments", any(answer))
        .route("/api/payments/void", any(answer))
        .with_state(pretend.clone());
    let assemble = async move |_: &Chassis| -> Result<App, StartError> {
        Ok(App::new(OpenApiRouter::new()).also(routes.clone()))
    };
    Tried::start("pretend", &Migrator::DEFAULT, &[], assemble).await.unwrap()
}

#[tokio::test]
async fn what_it_asks_of_payment_and_makes_of_the_answers() {
    let pretend = Pretend {
        contract: Arc::new(serde_json::from_str(PAYMENT).unwrap()),
        now: Arc::new(Mutex::new("")),
        misfits: Arc::default(),
    };
    let (neighbours, payment) = (Neighbours::start().await, payment(&pretend).await);
    let order = neighbours.order(&[("PAYMENT_URL", &payment.url())]).await;
    for (n, (interaction, kind, status)) in [
        ("a card that is charged", "card", "completed"),
        ("a card that is declined", "card", "rejected"),
        ("a provider that does not answer", "wallet", "delayed"),
    ]
    .into_iter()
    .enumerate()
    {
        *pretend.now.lock().unwrap() = interaction;
        let body = json!({ "items": [{ "product_id": "p-1", "quantity": 1 }], "payment": { "type": kind, "token": "tok" } });
        let user = format!("u-{n}");
        order.ask("POST", "/api/orders", &[("x-user-id", &user)], &body).await;
        let mine = async || order.ask("GET", "/api/orders", &[("x-user-id", &user)], &Value::Null).await.body;
        until(interaction, async || mine().await["items"][0]["status"] == status).await;
    }
    assert_eq!(*pretend.misfits.lock().unwrap(), Vec::<String>::new());
}
