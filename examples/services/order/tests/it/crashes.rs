//! The service is killed, at every step and at any moment. Afterwards the books of all three services are counted: no
//! order lost, nobody charged twice, no stock gone astray.

use std::process::Stdio;
use std::time::Duration;

use chassis::testing::{Tried, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::neighbours::Neighbours;

/// The order service as a process of its own, with real payments and a real inventory beside it.
struct World {
    neighbours: Neighbours,
    inventory: Tried,
    payment: Tried,
    directory: TempDir,
    client: reqwest::Client,
}

struct Process {
    child: Child,
    url: String,
}

impl World {
    async fn new(stock: i64) -> Self {
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
        Self {
            neighbours: Neighbours::start().await,
            inventory,
            payment,
            directory: tempfile::tempdir().unwrap(),
            client: reqwest::Client::new(),
        }
    }

    async fn start(&self, crash_at: Option<&str>) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop-order"));
        let database = format!("sqlite://{}", self.directory.path().join("orders").display());
        command.env("LISTEN", "127.0.0.1:0").env("DATABASE_URL", database);
        // Drivers that died are missed soon, so that a test need not wait for them.
        command.env("SAGA_LEASE_MS", "400");
        command.env("USER_URL", self.neighbours.url()).env("PRODUCT_URL", self.neighbours.url());
        command.env("INVENTORY_URL", self.inventory.url()).env("PAYMENT_URL", self.payment.url());
        if let Some(place) = crash_at {
            command.env("CRASH_AT", place);
        }
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
    async fn place(&self, process: &Process, key: &str, token: &str) -> Option<(u16, Value)> {
        let body = json!({ "items": [{ "product_id": "p-1", "quantity": 2 }], "payment": { "type": "card", "token": token } });
        let request = self.client.post(format!("{}/api/orders", process.url)).json(&body);
        let request = request.header("x-user-id", "u-1").header("idempotency-key", key);
        let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }

    async fn ends(&self, process: &Process, key: &str, token: &str) -> (u16, Value) {
        let mut last = None;
        until(&format!("the order of {key} ends"), async || {
            last = self.place(process, key, token).await;
            last.as_ref().is_some_and(|(status, _)| *status != 202 && *status < 500)
        })
        .await;
        last.unwrap()
    }

    async fn stock(&self) -> (i64, i64) {
        let body = self.inventory.get("/api/inventory/p-1").await.body;
        (body["on_hand"].as_i64().unwrap(), body["reserved"].as_i64().unwrap())
    }

    async fn books(&self) -> Value {
        self.payment.get("/simulator/books").await.body
    }

    async fn orders(&self, process: &Process) -> i64 {
        let request =
            self.client.get(format!("{}/api/orders?size=1", process.url)).header("x-user-id", "u-1");
        request.send().await.unwrap().json::<Value>().await.unwrap()["total"].as_i64().unwrap()
    }
}

/// Crashes at this place, starts again, and sees what came of the order.
async fn crash_and_look(place: &str, token: &str) -> (World, (u16, Value)) {
    let world = World::new(10).await;
    let mut process = world.start(Some(place)).await;
    assert_eq!(world.place(&process, "k-1", token).await, None, "{place}: it crashed");
    process.child.wait().await.unwrap();
    let process = world.start(None).await;
    let end = world.ends(&process, "k-1", token).await;
    until("the list follows", async || world.orders(&process).await == 1).await;
    (world, end)
}

#[tokio::test]
async fn killed_at_every_step_forward_an_order_is_completed_once() {
    let places = [
        "check:before",
        "check:after",
        "checked:saved",
        "reserve:before",
        "reserve:after",
        "stock_reserved:saved",
        "charge:before",
        "charge:after",
        "paid:saved",
        "confirm:before",
        "confirm:after",
        "completed:saved",
    ];
    for place in places {
        let (world, (status, body)) = crash_and_look(place, "tok_visa").await;
        assert_eq!((status, &body["status"]), (201, &json!("completed")), "{place}: {body}");
        assert_eq!(
            world.books().await,
            json!({ "charges": 1, "orders": 1, "doubled": 0, "cents": 500 }),
            "{place}"
        );
        assert_eq!(world.stock().await, (8, 0), "{place}");
    }
}

#[tokio::test]
async fn killed_at_every_step_back_an_order_is_undone_whole() {
    let places = [
        "closing:saved",
        "void:before",
        "void:after",
        "payment_voided:saved",
        "release:before",
        "release:after",
        "stock_released:saved",
        "rejected:saved",
    ];
    for place in places {
        let (world, (status, body)) = crash_and_look(place, "tok_declined").await;
        assert_eq!((status, &body["error"]), (402, &json!("payment_declined")), "{place}: {body}");
        assert_eq!(world.books().await["charges"], 0, "{place}");
        assert_eq!(world.stock().await, (10, 0), "{place}");
    }
}

#[tokio::test]
async fn killed_at_any_moment_no_order_is_lost_and_none_is_paid_twice() {
    const ORDERS: usize = 60;
    let world = World::new(2 * 40).await;
    let keys: Vec<_> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    for life in 0..4 {
        let mut process = world.start(None).await;
        let placing = futures_util::future::join_all(
            keys.iter().map(async |key| world.place(&process, key, "tok_visa").await),
        );
        // Each life is a little longer than the one before.
        let _killed_first = tokio::time::timeout(Duration::from_millis(60 + 90 * life), placing).await;
        process.child.kill().await.unwrap();
    }
    let process = world.start(None).await;
    let ends =
        futures_util::future::join_all(keys.iter().map(|key| world.ends(&process, key, "tok_visa"))).await;
    let count = |status| ends.iter().filter(|end| end.0 == status).count();
    assert_eq!((count(201), count(409)), (40, 20), "{ends:?}");
    assert_eq!(world.books().await, json!({ "charges": 40, "orders": 40, "doubled": 0, "cents": 20_000 }));
    assert_eq!(world.stock().await, (0, 0));
    until("the list follows", async || world.orders(&process).await == i64::try_from(ORDERS).unwrap()).await;
}
