//! The order service as processes of their own, which can be killed, and the books that are counted afterwards.

use std::process::Stdio;
use std::time::Duration;

use chassis::testing::{Tried, postgres, until};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection, Row};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::neighbours::Neighbours;

/// The order service as a process of its own, with real payments and a real inventory beside it.
pub struct World {
    neighbours: Neighbours,
    inventory: Tried,
    payment: Tried,
    database: String,
    _directory: TempDir,
    client: reqwest::Client,
}

/// One instance of it.
pub struct Process {
    pub child: Child,
    pub url: String,
}

impl World {
    pub async fn new(stock: i64) -> Self {
        let inventory =
            Tried::start("inventory", &inventory::MIGRATIONS, &[("SEED", "none")], inventory::assemble)
                .await
                .unwrap();
        let settings = [("PROVIDER_DELAY_MS", "5")];
        let payment =
            Tried::start("payment", &payment::MIGRATIONS, &settings, payment::assemble).await.unwrap();
        let staff = [("x-user-id", "s-1"), ("x-user-roles", "staff")];
        let stocked = inventory.ask("PUT", "/api/inventory/p-1", &staff, &json!({ "on_hand": stock })).await;
        assert!(matches!(stocked.status, 200 | 201), "{stocked:?}");
        let directory = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", directory.path().join("orders").display());
        Self {
            neighbours: Neighbours::start().await,
            inventory,
            payment,
            database: postgres().await.unwrap().unwrap_or(file),
            _directory: directory,
            client: reqwest::Client::new(),
        }
    }

    /// The database of an instance whose settings name no other.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Starts an instance with these settings.
    pub async fn start(&self, settings: &[(&str, &str)]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-order"));
        command.env("LISTEN", "127.0.0.1:0").env("DATABASE_URL", self.database());
        // Drivers that died are missed soon, so that a test need not wait for them.
        command.env("SAGA_LEASE_MS", "400");
        command.env("USER_URL", self.neighbours.url()).env("PRODUCT_URL", self.neighbours.url());
        command.env("INVENTORY_URL", self.inventory.url()).env("PAYMENT_URL", self.payment.url());
        command.envs(settings.iter().copied());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it does not start"));
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line["message"] == "serves" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Process { child, url: format!("http://{address}") }
    }

    /// Orders two of p-1, as a client does that asks again under the same key when it gets no answer.
    pub async fn place(&self, process: &Process, key: &str, token: &str) -> Option<(u16, Value)> {
        let body = json!({ "items": [{ "product_id": "p-1", "quantity": 2 }], "payment": { "type": "card", "token": token } });
        let request = self.client.post(format!("{}/api/orders", process.url)).json(&body);
        let request = request.header("x-user-id", "u-1").header("idempotency-key", key);
        let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    pub async fn ends(&self, process: &Process, key: &str, token: &str) -> (u16, Value) {
        let mut last = None;
        until(&format!("the order of {key} ends"), async || {
            last = self.place(process, key, token).await;
            last.as_ref().is_some_and(|(status, _)| *status != 202 && *status < 500)
        })
        .await;
        last.unwrap()
    }

    pub async fn stock(&self) -> (i64, i64) {
        let body = self.inventory.get("/api/inventory/p-1").await.body;
        (body["on_hand"].as_i64().unwrap(), body["reserved"].as_i64().unwrap())
    }

    pub async fn books(&self) -> Value {
        self.payment.get("/simulator/books").await.body
    }

    /// The charges of all orders, as they stand in the provider's books: what became of each, and its cents.
    pub async fn charges(&self) -> Vec<(String, i64)> {
        let rows = sqlx::query("SELECT status, amount_cents - refunded_cents AS cents FROM provider_charge");
        let rows = rows.fetch_all(self.payment.chassis().database.pool()).await.unwrap();
        rows.iter().map(|row| (row.get("status"), row.get("cents"))).collect()
    }

    /// From now on the provider behaves so.
    pub async fn behave(&self, behaviour: Value) {
        assert_eq!(self.payment.ask("PUT", "/simulator", &[], &behaviour).await.status, 200);
    }

    /// The stock of this order goes to somebody else.
    pub async fn release(&self, order: &Value) {
        let path = format!("/api/inventory/reservations/{}/release", order["id"].as_str().unwrap());
        assert_eq!(self.inventory.post(&path, Value::Null).await.status, 200);
    }

    /// The shopper calls it off. There may be no answer, if the service dies of it.
    pub async fn cancel(&self, process: &Process, order: &Value) {
        let url = format!("{}/api/orders/{}/cancel", process.url, order["id"].as_str().unwrap());
        if let Ok(response) = self.client.post(url).header("x-user-id", "u-1").send().await {
            assert_eq!(response.status(), 202);
        }
    }

    pub async fn orders(&self, process: &Process) -> i64 {
        let request =
            self.client.get(format!("{}/api/orders?size=1", process.url)).header("x-user-id", "u-1");
        request.send().await.unwrap().json::<Value>().await.unwrap()["total"].as_i64().unwrap()
    }
}

impl Process {
    /// Waits until it has died of itself.
    pub async fn dies(mut self) {
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.unwrap().unwrap();
    }
}

/// What a database of orders knows of them: how many events there are, and how many orders are under way.
pub async fn progress(database: &str) -> (i64, i64) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(database).await.unwrap();
    let counts = "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM order_event) AS events, \
                  (SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE state = 'open') AS open";
    let row = sqlx::query(counts).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (row.get("events"), row.get("open"))
}
