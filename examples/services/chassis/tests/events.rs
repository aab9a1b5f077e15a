//! Events between two services: none lost, none done twice, none refused for ever. On SQLite and on Postgres.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use chassis::events::Event;
use chassis::servers::Postgres;
use chassis::testing::{Tried, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

mod story;
use story::{heard, in_state, listener_with, number, tell, teller_with};

/// What the two services keep their data in.
#[derive(Clone, Copy, Eq, PartialEq)]
enum On {
    Postgres,
    Sqlite,
}

impl On {
    /// A database of its own for each service; empty means a file.
    async fn database(self) -> String {
        static SERVER: OnceCell<Postgres> = OnceCell::const_new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if self == Self::Sqlite {
            return String::new();
        }
        let server = SERVER.get_or_init(async || Postgres::start().await.unwrap()).await;
        server.database(&format!("d{}", NEXT.fetch_add(1, Ordering::Relaxed))).await.unwrap()
    }

    async fn settings(self, others: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let mut all: Vec<_> = others.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let database = self.database().await;
        if !database.is_empty() {
            all.push(("DATABASE_URL", database));
        }
        all
    }
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

async fn listener_at(on: On, listen: &str, refuses: &Arc<AtomicBool>) -> Tried {
    listener_with(&borrowed(&on.settings(&[("LISTEN", listen)]).await), refuses).await
}

async fn listener(on: On, refuses: &Arc<AtomicBool>) -> Tried {
    listener_at(on, "127.0.0.1:0", refuses).await
}

async fn teller(on: On, to: &str) -> Tried {
    teller_with(&borrowed(&on.settings(&[("EVENTS_TO", &format!("listener={to}"))]).await)).await
}

async fn no_patience(teller: &Tried) {
    sqlx::query("UPDATE delivery SET next_at = 0 WHERE state = 'waiting'")
        .execute(teller.chassis().database.pool())
        .await
        .unwrap();
}

macro_rules! on_both {
    ($($story:ident)*) => {
        mod on_sqlite { $(#[tokio::test] async fn $story() { super::$story(super::On::Sqlite).await; })* }
        mod on_postgres { $(#[tokio::test] async fn $story() { super::$story(super::On::Postgres).await; })* }
    };
}

on_both! {
    what_is_committed_is_told_and_what_is_not_is_not
    what_comes_twice_is_done_once
    a_subscriber_that_is_away_gets_everything_when_it_is_back
    what_is_refused_too_often_is_a_dead_letter_that_can_be_sent_again
    what_goes_wrong_inside_a_subscriber_holds_up_nothing_else
    who_was_too_slow_does_not_overrule_who_took_over
    what_is_cut_off_holds_up_nobody
    what_waits_for_a_broker_that_is_given_up_is_told_without_it
    what_waits_for_a_name_that_nobody_has_any_more_is_a_dead_letter
}

async fn what_is_committed_is_told_and_what_is_not_is_not(on: On) {
    let listener = listener(on, &Arc::default()).await;
    let teller = teller(on, &listener.url()).await;
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

async fn what_comes_twice_is_done_once(on: On) {
    let listener = listener(on, &Arc::default()).await;
    let event = Event::now("order.placed", "o-1", json!({}));
    let body = serde_json::to_value(&event).unwrap();
    let (one, other) =
        tokio::join!(listener.post("/events", body.clone()), listener.post("/events", body.clone()));
    assert_eq!((one.status, other.status), (204, 204));
    assert_eq!(listener.post("/events", body).await.status, 204);
    assert_eq!(heard(&listener).await, 1);
}

async fn a_subscriber_that_is_away_gets_everything_when_it_is_back(on: On) {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let teller = teller(on, &format!("http://{address}")).await;
    for _ in 0..10 {
        tell(&teller, "order.placed").await;
    }
    until("it was tried", async || {
        let tried = "SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE last_error IS NOT NULL";
        sqlx::query_scalar::<_, i64>(tried).fetch_one(teller.chassis().database.pool()).await.unwrap() > 0
    })
    .await;
    assert_eq!(in_state(&teller, "dead").await, 0);
    let listener = listener_at(on, &address.to_string(), &Arc::default()).await;
    until("all are told", async || in_state(&teller, "done").await == 10).await;
    assert_eq!(heard(&listener).await, 10);
}

async fn what_is_refused_too_often_is_a_dead_letter_that_can_be_sent_again(on: On) {
    let refuses = Arc::new(AtomicBool::new(true));
    let listener = listener(on, &refuses).await;
    let teller = teller(on, &listener.url()).await;
    let event = tell(&teller, "order.placed").await;
    // Its patience is minutes; the test has none.
    until("it is dead", async || {
        no_patience(&teller).await;
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

async fn what_goes_wrong_inside_a_subscriber_holds_up_nothing_else(on: On) {
    let listener = listener(on, &Arc::default()).await;
    let teller = teller(on, &listener.url()).await;
    for _ in 0..10 {
        tell(&teller, "order.broken").await;
    }
    tell(&teller, "order.placed").await;
    until("the one that can be heard is heard", async || heard(&listener).await == 1).await;
    until("the others are dead", async || {
        no_patience(&teller).await;
        in_state(&teller, "dead").await == 10
    })
    .await;
    assert_eq!(heard(&listener).await, 1);
}

async fn who_was_too_slow_does_not_overrule_who_took_over(on: On) {
    let subscriber = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let teller = teller(on, &format!("http://{}", subscriber.local_addr().unwrap())).await;
    let answer = async |answer: &str| {
        let (mut call, _) = subscriber.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(call.read(&mut request).await.unwrap() > 0);
        let other = "UPDATE delivery SET state = 'done', attempts = 3, lease_until = 0 WHERE attempts = 0";
        if answer.contains("400") {
            sqlx::query(other).execute(teller.chassis().database.pool()).await.unwrap();
        }
        call.write_all(answer.as_bytes()).await.unwrap();
    };
    tell(&teller, "order.placed").await;
    let body = r#"{"error":"no","message":"no","details":null}"#;
    let no = format!(
        "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    answer(&no).await;
    // The one after it is told when the first is settled.
    tell(&teller, "order.placed").await;
    answer("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    until("both are done", async || in_state(&teller, "done").await == 2).await;
    let taken = "SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE attempts = 3 AND last_error IS NULL";
    assert_eq!(number(&teller, taken).await, 1);
}

async fn what_is_cut_off_holds_up_nobody(on: On) {
    let teller = teller(on, "http://127.0.0.1:9").await;
    let database = &teller.chassis().database;
    for after in 0..60 {
        let cut_off = async {
            let mut write = database.write().await.unwrap();
            for _ in 0..50 {
                let event = Event::now("order.placed", "o-0", json!({}));
                teller.chassis().outbox.put(&mut write, event).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        // Somewhere between its beginning and its end.
        let _ = tokio::time::timeout(std::time::Duration::from_micros(after * 150), cut_off).await;
        if after % 10 == 0 {
            tell(&teller, "order.placed").await;
        }
    }
    assert_eq!(number(&teller, "SELECT CAST(COUNT(*) AS BIGINT) FROM outbox").await, 6);
}

/// One database for a teller that is started again.
async fn kept(on: On, folder: &tempfile::TempDir) -> String {
    match on {
        On::Postgres => on.database().await,
        On::Sqlite => format!("sqlite://{}", folder.path().join("db").display()),
    }
}

async fn what_waits_for_a_broker_that_is_given_up_is_told_without_it(on: On) {
    let folder = tempfile::tempdir().unwrap();
    let database = kept(on, &folder).await;
    let nobody = "amqp://shop:shop@127.0.0.1:9/%2f";
    let teller = teller_with(&[("DATABASE_URL", &database), ("BUS_URL", nobody)]).await;
    for _ in 0..3 {
        tell(&teller, "order.placed").await;
    }
    teller.stop().await;
    let (one, other) = (listener(on, &Arc::default()).await, listener(on, &Arc::default()).await);
    let to = format!("one={},other={}", one.url(), other.url());
    let teller = teller_with(&[("DATABASE_URL", &database), ("EVENTS_TO", &to)]).await;
    until("both hear all", async || heard(&one).await == 3 && heard(&other).await == 3).await;
    until("nothing is left", async || in_state(&teller, "done").await == 6).await;
    assert_eq!((in_state(&teller, "waiting").await, in_state(&teller, "dead").await), (0, 0));
}

async fn what_waits_for_a_name_that_nobody_has_any_more_is_a_dead_letter(on: On) {
    let folder = tempfile::tempdir().unwrap();
    let database = kept(on, &folder).await;
    let start = async |to: &str| teller_with(&[("DATABASE_URL", &database), ("EVENTS_TO", to)]).await;
    let teller = start("old=http://127.0.0.1:9").await;
    let event = tell(&teller, "order.placed").await;
    teller.stop().await;
    let listener = listener(on, &Arc::default()).await;
    let teller = start(&format!("new={}", listener.url())).await;
    tell(&teller, "order.placed").await;
    until("the new one hears", async || heard(&listener).await == 1).await;
    let letters = teller.get("/dead-letters").await.body;
    assert_eq!((&letters["items"][0]["subscriber"], &letters["items"][1]), (&json!("old"), &json!(null)));
    assert_eq!(letters["items"][0]["event"]["id"], event.id);
    let replay = format!("/dead-letters/{}/replay", event.id);
    let answer = teller.post(&replay, json!(null)).await;
    assert_eq!((answer.status, &answer.body["error"]), (409, &json!("unknown_subscriber")));
    assert_eq!(in_state(&teller, "dead").await, 1);
    teller.stop().await;
    // Who gives it its name back can send it again.
    let teller = start(&format!("old={}", listener.url())).await;
    assert_eq!(teller.post(&replay, json!(null)).await.status, 202);
    until("it is heard", async || heard(&listener).await == 2).await;
}
