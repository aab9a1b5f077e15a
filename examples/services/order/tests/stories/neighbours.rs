//! The services an order needs, as small as they can be, and as unwilling as a story wants them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::testing::Tried;
use chassis::{App, Chassis, StartError};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

/// What they know and did.
#[derive(Default)]
pub struct Known {
    /// In stock, by product.
    pub stock: BTreeMap<String, i64>,
    /// Reserved, by order; `None` when released.
    pub reserved: BTreeMap<String, Option<Vec<(String, i64)>>>,
    pub confirmed: Vec<String>,
    /// Charged cents, by key; `None` when voided.
    pub charged: BTreeMap<String, Option<i64>>,
    /// Which of them do not answer: `user`, `product`, `inventory`, `payment`.
    pub away: Vec<&'static str>,
    /// Payments that are made and whose answer is lost.
    pub lose_answers: bool,
    /// Reservations that are confirmed and whose answer is lost.
    pub lose_confirmations: bool,
    /// The next payment has no answer before this rings, and then it is none.
    pub hang: Option<Arc<Notify>>,
    /// Paths that begin so are not known to a proxy on the way.
    pub no_way: Option<&'static str>,
}

type Shared = Arc<Mutex<Known>>;
type Said = (StatusCode, Json<Value>);

/// All four of them at one address.
pub struct Neighbours {
    served: Tried,
    pub known: Shared,
}

impl Neighbours {
    pub async fn start() -> Self {
        let known = Shared::default();
        known.lock().unwrap().stock =
            [("p-1", 10), ("p-2", 1), ("p-free", 10)].map(|(id, n)| (id.to_owned(), n)).into();
        let routes = Router::new()
            .route("/api/users/{id}", get(user))
            .route("/api/products", get(products))
            .route("/api/inventory/reservations", post(reserve))
            .route("/api/inventory/reservations/{id}/confirm", post(confirm))
            .route("/api/inventory/reservations/{id}/release", post(release))
            .route("/api/payments", post(charge))
            .route("/api/payments/void", post(void))
            .layer(from_fn_with_state(known.clone(), way))
            .with_state(known.clone());
        let assemble = async move |_: &Chassis| -> Result<App, StartError> {
            Ok(App::new(OpenApiRouter::new()).also(routes.clone()))
        };
        let served = Tried::start("neighbours", &Migrator::DEFAULT, &[], assemble).await.unwrap();
        Self { served, known }
    }

    /// Where all of them are.
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// An order service among them.
    pub async fn order(&self, settings: &[(&str, &str)]) -> Tried {
        let url = self.served.url();
        let mut all: Vec<_> = ["USER_URL", "PRODUCT_URL", "INVENTORY_URL", "PAYMENT_URL"]
            .map(|name| (name, url.as_str()))
            .into();
        all.extend_from_slice(settings);
        Tried::start("order", &order::MIGRATIONS, &all, order::assemble).await.unwrap()
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap())
    }
}

fn no(status: u16, error: &str) -> Said {
    let body = json!({ "error": error, "message": error, "details": null });
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn yes(body: Value) -> Said {
    (StatusCode::OK, Json(body))
}

async fn way(State(known): State<Shared>, request: Request, next: Next) -> Response {
    let no_way = known.lock().unwrap().no_way;
    match no_way {
        Some(path) if request.uri().path().starts_with(path) => no(404, "no-route").into_response(),
        _ => next.run(request).await,
    }
}

async fn user(State(known): State<Shared>, Path(id): Path<String>) -> Said {
    if known.lock().unwrap().away.contains(&"user") {
        return no(503, "away");
    }
    match id.as_str() {
        "nobody" => no(404, "not_found"),
        "locked" => yes(json!({ "id": id, "active": false })),
        _ => yes(json!({ "id": id, "active": true })),
    }
}

async fn products(State(known): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Said {
    let known = known.lock().unwrap();
    if known.away.contains(&"product") {
        return no(503, "away");
    }
    let wanted = query["ids"].split(',').filter(|id| known.stock.contains_key(*id));
    let items: Vec<_> =
        wanted.map(|id| json!({ "id": id, "price_cents": if id == "p-free" { 0 } else { 250 }, "currency": "EUR", "name": id })).collect();
    yes(json!({ "items": items }))
}

async fn reserve(State(known): State<Shared>, Json(body): Json<Value>) -> Said {
    let mut known = known.lock().unwrap();
    if known.away.contains(&"inventory") {
        return no(503, "away");
    }
    let id = body["reservation_id"].as_str().unwrap().to_owned();
    match known.reserved.get(&id) {
        Some(Some(_)) => return yes(json!({})),
        Some(None) => return no(409, "released"),
        None => {}
    }
    let item =
        |item: &Value| (item["product_id"].as_str().unwrap().to_owned(), item["quantity"].as_i64().unwrap());
    let items: Vec<_> = body["items"].as_array().unwrap().iter().map(item).collect();
    if items.iter().any(|(product, quantity)| known.stock[product] < *quantity) {
        return no(409, "out_of_stock");
    }
    for (product, quantity) in &items {
        *known.stock.get_mut(product).unwrap() -= quantity;
    }
    known.reserved.insert(id, Some(items));
    yes(json!({}))
}

async fn confirm(State(known): State<Shared>, Path(id): Path<String>) -> Said {
    let mut known = known.lock().unwrap();
    if known.away.contains(&"inventory") {
        return no(503, "away");
    }
    if !matches!(known.reserved.get(&id), Some(Some(_))) {
        return no(409, "reservation_released");
    }
    if !known.confirmed.contains(&id) {
        known.confirmed.push(id);
    }
    if known.lose_confirmations { no(503, "away") } else { yes(json!({})) }
}

async fn release(State(known): State<Shared>, Path(id): Path<String>) -> Said {
    let mut known = known.lock().unwrap();
    if known.away.contains(&"inventory") {
        return no(503, "away");
    }
    if known.confirmed.contains(&id) {
        return no(409, "reservation_confirmed");
    }
    if let Some(Some(items)) = known.reserved.insert(id, None) {
        for (product, quantity) in items {
            *known.stock.get_mut(&product).unwrap() += quantity;
        }
    }
    yes(json!({}))
}

async fn charge(State(known): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Said {
    let hang = known.lock().unwrap().hang.take();
    if let Some(answers) = hang {
        answers.notified().await;
        return no(503, "provider_unavailable");
    }
    let mut known = known.lock().unwrap();
    if known.away.contains(&"payment") {
        return no(503, "provider_unavailable");
    }
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    if body["method"]["token"] == "tok_declined" {
        return no(402, "payment_declined");
    }
    let cents = body["amount_cents"].as_i64();
    if known.charged.entry(key.clone()).or_insert(cents).is_none() {
        return no(409, "payment_voided");
    }
    if known.lose_answers {
        no(503, "provider_unavailable")
    } else {
        yes(json!({ "id": format!("pay-{key}") }))
    }
}

async fn void(State(known): State<Shared>, headers: HeaderMap) -> Said {
    let mut known = known.lock().unwrap();
    if known.away.contains(&"payment") {
        return no(503, "provider_unavailable");
    }
    known.charged.insert(headers["idempotency-key"].to_str().unwrap().to_owned(), None);
    yes(json!({ "status": "voided" }))
}
