//! Events between two services: none lost, none done twice, none refused for ever.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::testing::{Tried, until};
use chassis::{App, Chassis, Failure, StartError, Write};
use serde_json::json;
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;

const NONE: Migrator = Migrator::DEFAULT;

/// Notes what it hears, unless it is told to refuse.
struct Note {
    refuses: Arc<AtomicBool>,
}

#[async_trait]
impl Consumer for Note {
    fn wants(&self) -> &'static [&'static str] {
        &["order.*"]
    }

    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure> {
        let made = "CREATE TABLE IF NOT EXISTS heard (id TEXT, kind TEXT)";
        sqlx::query(made).execute(&mut **write).await?;
        sqlx::query("INSERT INTO heard VALUES ($1, $2)")
            .bind(&event.id)
            .bind(&event.kind)
            .execute(&mut **write)
            .await?;
        if self.refuses.load(Ordering::SeqCst) { Err(Failure::invalid("not today")) } else { Ok(()) }
    }
}

async fn listener(refuses: &Arc<AtomicBool>) -> Tried {
    let refuses = refuses.clone();
    let assemble = async move |_: &Chassis| -> Result<App, StartError> {
        Ok(App::new(OpenApiRouter::new()).hears(Note { refuses: refuses.clone() }))
    };
    Tried::start("listener", &NONE, &[], assemble).await.unwrap()
}

async fn teller(to: &str) -> Tried {
    let assemble = async |_: &Chassis| -> Result<App, StartError> { Ok(App::new(OpenApiRouter::new())) };
    Tried::start("teller", &NONE, &[("EVENTS_TO", &format!("listener={to}"))], assemble).await.unwrap()
}

async fn tell(teller: &Tried, kind: &str) -> Event {
    let event = Event::now(kind, "o-1", json!({ "order_id": "o-1" }));
    let mut write = teller.chassis().database.write().await.unwrap();
    teller.chassis().outbox.put(&mut write, event.clone()).await.unwrap();
    write.commit().await.unwrap();
    event
}

async fn heard(listener: &Tried) -> i64 {
    let count = "SELECT CAST(COUNT(*) AS BIGINT) FROM heard";
    sqlx::query_scalar(count).fetch_one(listener.chassis().database.pool()).await.unwrap_or(0)
}

async fn in_state(teller: &Tried, state: &str) -> i64 {
    sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state = $1")
        .bind(state)
        .fetch_one(teller.chassis().database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_committed_is_told_and_what_is_not_is_not() {
    let listener = listener(&Arc::default()).await;
    let teller = teller(&listener.url()).await;
    let mut undone = teller.chassis().database.write().await.unwrap();
    let never = Event::now("order.placed", "o-0", json!({}));
    teller.chassis().outbox.put(&mut undone, never).await.unwrap();
    drop(undone);
    for _ in 0..20 {
        tell(&teller, "order.placed").await;
    }
    tell(&teller, "user.registered").await;
    until("all are told", async || in_state(&teller, "done").await == 21).await;
    assert_eq!(heard(&listener).await, 20, "the one nobody asked for is not kept, the one undone never came");
}

#[tokio::test]
async fn what_comes_twice_is_done_once() {
    let listener = listener(&Arc::default()).await;
    let event = Event::now("order.placed", "o-1", json!({}));
    let body = serde_json::to_value(&event).unwrap();
    let (one, other) =
        tokio::join!(listener.post("/events", body.clone()), listener.post("/events", body.clone()));
    assert_eq!((one.status, other.status), (204, 204));
    assert_eq!(listener.post("/events", body).await.status, 204);
    assert_eq!(heard(&listener).await, 1);
}

#[tokio::test]
async fn a_subscriber_that_is_away_gets_everything_when_it_is_back() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let teller = teller(&format!("http://{address}")).await;
    for _ in 0..10 {
        tell(&teller, "order.placed").await;
    }
    until("it was tried", async || {
        let tried = "SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE last_error IS NOT NULL";
        sqlx::query_scalar::<_, i64>(tried).fetch_one(teller.chassis().database.pool()).await.unwrap() > 0
    })
    .await;
    assert_eq!(in_state(&teller, "dead").await, 0);
    let assemble = async |_: &Chassis| -> Result<App, StartError> {
        Ok(App::new(OpenApiRouter::new()).hears(Note { refuses: Arc::default() }))
    };
    let listen = address.to_string();
    let listener = Tried::start("listener", &NONE, &[("LISTEN", &listen)], assemble).await.unwrap();
    until("all are told", async || in_state(&teller, "done").await == 10).await;
    assert_eq!(heard(&listener).await, 10);
}

#[tokio::test]
async fn what_is_refused_too_often_is_a_dead_letter_that_can_be_sent_again() {
    let refuses = Arc::new(AtomicBool::new(true));
    let listener = listener(&refuses).await;
    let teller = teller(&listener.url()).await;
    let event = tell(&teller, "order.placed").await;
    // Its patience is minutes; the test has none.
    until("it is dead", async || {
        sqlx::query("UPDATE delivery SET next_at = 0")
            .execute(teller.chassis().database.pool())
            .await
            .unwrap();
        in_state(&teller, "dead").await == 1
    })
    .await;
    assert_eq!(heard(&listener).await, 0, "what a refusal had begun is undone");
    let letters = teller.get("/dead-letters").await.body;
    assert_eq!(letters["items"][0]["event"]["id"], event.id);
    assert_eq!(letters["items"][0]["attempts"], 8);
    assert!(letters["items"][0]["last_error"].as_str().unwrap().contains("not today"), "{letters}");
    refuses.store(false, Ordering::SeqCst);
    let replay = format!("/dead-letters/{}/replay", event.id);
    assert_eq!(teller.post(&replay, json!(null)).await.status, 202);
    until("it is heard", async || heard(&listener).await == 1).await;
    assert_eq!(teller.get("/dead-letters").await.body["items"], json!([]));
    assert_eq!(teller.post(&replay, json!(null)).await.status, 404);
}
