//! A shopper: knows the shop by its contract and nothing else, signs in, looks, buys, and waits for what was promised.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::answer::{Answer, silence, understood, word};
use super::figures::{Figures, Kind, Outcome};
use super::orders::{Orders, Placed};

/// A shopper waits a little longer than the shop's own deadlines; what takes longer is no answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The gateway closes connections that say nothing for a minute. Who gives them up earlier never asks on one that is just
/// being closed.
const IDLE_FOR: Duration = Duration::from_secs(20);
/// What a shopper pays with.
const CARD: &str = "tok_visa";

/// What all shoppers share.
#[derive(Clone, Debug)]
pub struct Street {
    shop: Arc<str>,
    client: Client,
    /// What they have seen.
    pub figures: Arc<Figures>,
    /// What they have bought.
    pub orders: Arc<Orders>,
}

/// One shopper.
#[derive(Debug)]
pub struct Customer {
    street: Street,
    email: String,
    /// How the shop knows them again: the monolith by a cookie, the user service by a token.
    known: Mutex<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    token: Option<String>,
    cookie: Option<String>,
}

impl Street {
    /// A street that leads to the shop at this address.
    pub fn new(shop: &str) -> Self {
        let client =
            Client::builder().timeout(PATIENCE).pool_idle_timeout(IDLE_FOR).build().unwrap_or_default();
        Self { shop: shop.into(), client, figures: Arc::default(), orders: Arc::default() }
    }

    /// Somebody who has never been here.
    pub fn stranger(&self) -> Customer {
        self.known(&format!("{}@shoppers.example", Uuid::new_v4().simple()))
    }

    /// Somebody with an account. All have the same password; it is a demo.
    pub fn known(&self, email: &str) -> Customer {
        Customer { street: self.clone(), email: email.to_owned(), known: Mutex::default() }
    }
}

impl Customer {
    fn get(&self, path: &str) -> RequestBuilder {
        self.street.client.get(format!("{}{path}", self.street.shop))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.street.client.post(format!("{}{path}", self.street.shop))
    }

    /// Makes an account, and signs in.
    pub async fn register(&self) -> Answer {
        let body = json!({ "email": self.email, "name": "A Shopper", "password": "correct horse battery" });
        let answer = self.ask(Kind::Register, self.post("/api/users").json(&body)).await;
        if matches!(answer.outcome, Outcome::Fine(_)) { self.log_in().await } else { answer }
    }

    /// Signs in.
    pub async fn log_in(&self) -> Answer {
        let body = json!({ "email": self.email, "password": "correct horse battery" });
        let answer = self.ask(Kind::LogIn, self.post("/api/users/login").json(&body)).await;
        if let Some(token) = answer.body.get("access_token").and_then(Value::as_str) {
            self.known.lock().await.token = Some(token.to_owned());
        }
        answer
    }

    /// Is known to the shop.
    pub async fn is_known(&self) -> bool {
        let known = self.known.lock().await;
        known.token.is_some() || known.cookie.is_some()
    }

    /// The token the shop has given, if it has.
    pub async fn token(&self) -> Option<String> {
        self.known.lock().await.token.clone()
    }

    /// Looks at something.
    pub async fn look(&self, kind: Kind, path: &str) -> Answer {
        self.ask(kind, self.get(path)).await
    }

    /// The products on a page of the catalogue.
    pub async fn browse(&self, page: usize) -> Vec<String> {
        let answer = self.look(Kind::Browse, &format!("/api/products?page={page}&size=20")).await;
        let items = answer.body.get("items").and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| word(item.get("id")?)).collect()
    }

    /// Buys one of each, under a key of its own. What was promised is written down.
    pub async fn order(&self, products: &[String]) -> Answer {
        self.order_traced(products, &Uuid::new_v4().simple().to_string()).await
    }

    /// The same, under a trace id of the shopper's own: 32 hexadecimal digits.
    pub async fn order_traced(&self, products: &[String], trace: &str) -> Answer {
        let items: Vec<_> = products.iter().map(|id| json!({ "product_id": id, "quantity": 1 })).collect();
        let body = json!({ "items": items, "payment": { "type": "card", "token": CARD } });
        let key = Uuid::new_v4().to_string();
        let request = self.post("/api/orders").header("idempotency-key", &key).json(&body);
        // A caller from outside may name a trace; whether it is recorded is for the gateway to say.
        let request = request.header("traceparent", format!("00-{trace}-{:016x}-00", fastrand::u64(1..)));
        let answer = self.ask(Kind::Order, request).await;
        if matches!(answer.status, 201 | 202)
            && let Some(id) = answer.body.get("id").and_then(word)
        {
            let status = answer.body.get("status").and_then(word).unwrap_or_default();
            self.street.orders.note(Placed { id, key, status });
        }
        answer
    }

    /// Says how many there are of a product, for who may.
    pub(super) async fn fill(&self, product: &str, shelf: &Value) -> reqwest::Result<StatusCode> {
        let request =
            self.street.client.put(format!("{}/api/inventory/{product}", self.street.shop)).json(shelf);
        Ok(request.bearer_auth(self.token().await.unwrap_or_default()).send().await?.status())
    }

    /// Asks once how an order stands: by the address the shop has given.
    pub async fn poll(&self, placed: &Answer) -> Answer {
        let id = placed.body.get("id").and_then(word).unwrap_or_default();
        let given = placed.headers.get(LOCATION).and_then(|place| place.to_str().ok());
        let path = given
            .filter(|place| place.starts_with('/'))
            .map_or_else(|| format!("/api/orders/{id}"), str::to_owned);
        self.look(Kind::Poll, &path).await
    }

    async fn ask(&self, kind: Kind, mut request: RequestBuilder) -> Answer {
        let known = self.known.lock().await.clone();
        if let Some(token) = known.token {
            request = request.bearer_auth(token);
        }
        if let Some(cookie) = known.cookie {
            request = request.header(COOKIE, cookie);
        }
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                match response.bytes().await {
                    Ok(bytes) => understood(kind, status, headers, &bytes),
                    Err(error) => silence(&error),
                }
            }
            Err(error) => silence(&error),
        };
        self.street.figures.count(kind, answer.outcome.clone(), began.elapsed());
        self.remember(&answer.headers).await;
        answer
    }

    /// Cookies of the monolith's session and of the gateway's side of a migration: as a browser keeps them.
    async fn remember(&self, headers: &HeaderMap) {
        let fresh =
            headers.get_all(SET_COOKIE).iter().filter_map(|field| field.to_str().ok()?.split(';').next());
        let fresh: Vec<_> = fresh.map(str::trim).collect();
        if fresh.is_empty() {
            return;
        }
        let mut known = self.known.lock().await;
        let old = known.cookie.take().unwrap_or_default();
        let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
        let kept = old
            .split("; ")
            .filter(|pair| !pair.is_empty() && fresh.iter().all(|new| name(new) != name(pair)));
        known.cookie = Some(kept.chain(fresh.iter().copied()).collect::<Vec<_>>().join("; "));
    }
}
