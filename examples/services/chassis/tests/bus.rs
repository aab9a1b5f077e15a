//! Events over a real RabbitMQ: heard once, refused not for ever, shared among instances, with their trace.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chassis::servers::{Postgres, Rabbit};
use chassis::testing::until;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod story;
use story::{heard, in_state, listener_named, listener_with, number, tell, teller_with};

/// One broker for all of them; each story has a world of its own in it.
async fn world(name: &str) -> String {
    static BROKER: OnceCell<Rabbit> = OnceCell::const_new();
    let worlds = ["before", "dead", "late", "nobody", "shared", "trace"];
    assert!(worlds.contains(&name));
    BROKER.get_or_init(async || Rabbit::start(&worlds).await.unwrap()).await.url(name)
}

async fn is_well(service: &chassis::testing::Tried) {
    until("it is connected", async || service.get("/health").await.body["status"] == "ok").await;
}

#[tokio::test]
async fn what_is_refused_too_often_is_a_dead_letter_of_who_refused_it() {
    let url = world("dead").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let listener = listener_with(&[("BUS_URL", &url)], &refuses).await;
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    is_well(&listener).await;
    let poison = tell(&teller, "order.placed").await;
    until("it is dead", async || {
        listener.get("/dead-letters").await.body["items"].as_array().is_some_and(|items| !items.is_empty())
    })
    .await;
    assert_eq!(heard(&listener).await, 0, "what a refusal had begun is undone");
    assert_eq!(in_state(&teller, "done").await, 1, "who told it has nothing more to do with it");
    let letters = listener.get("/dead-letters").await.body;
    let letter = &letters["items"][0];
    assert_eq!(letter["event"], serde_json::to_value(poison_of(&poison, letter)).unwrap());
    assert_eq!(letter["attempts"], 8);
    assert_eq!(letter["subscriber"], "listener");
    assert!(letter["last_error"].as_str().unwrap().contains("not today"), "{letters}");
    assert_eq!(teller.get("/dead-letters").await.body["items"], json!([]));

    refuses.store(false, Ordering::SeqCst);
    let after = tell(&teller, "order.placed").await;
    until("the next one is heard: a dead letter holds up nobody", async || heard(&listener).await == 1).await;
    let replay = format!("/dead-letters/{}/replay", poison.id);
    assert_eq!(listener.post(&format!("{replay}?subscriber=other"), Value::Null).await.status, 404);
    assert_eq!(listener.post(&replay, Value::Null).await.status, 202);
    until("it is heard", async || heard(&listener).await == 2).await;
    assert_eq!(listener.get("/dead-letters").await.body["items"], json!([]));
    assert_eq!(listener.post(&replay, Value::Null).await.status, 404);
    assert_ne!(after.id, poison.id);
}

/// As it was told: the outbox filled in who tells.
fn poison_of(event: &chassis::events::Event, letter: &Value) -> chassis::events::Event {
    assert_eq!(letter["event"]["source"], "teller");
    chassis::events::Event { source: "teller".to_owned(), ..event.clone() }
}

#[tokio::test]
async fn instances_share_what_there_is_to_hear() {
    let url = world("shared").await;
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("listener").await.unwrap();
    let settings = [("BUS_URL", url.as_str()), ("DATABASE_URL", database.as_str())];
    let one = listener_with(&settings, &Arc::default()).await;
    let other = listener_with(&settings, &Arc::default()).await;
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    is_well(&one).await;
    is_well(&other).await;
    for _ in 0..60 {
        tell(&teller, "order.placed").await;
    }
    tell(&teller, "user.registered").await;
    until("all that somebody wants are told", async || in_state(&teller, "done").await == 60).await;
    until("all are heard", async || heard(&one).await >= 60).await;
    one.stop().await;
    tell(&teller, "order.placed").await;
    until("the one that is left hears the rest", async || heard(&other).await == 61).await;
    let twice =
        "SELECT CAST(COUNT(*) AS BIGINT) FROM (SELECT id FROM heard GROUP BY id HAVING COUNT(*) > 1) t";
    assert_eq!(number(&other, twice).await, 0);
    other.stop().await;
}

#[tokio::test]
async fn who_was_never_there_hears_what_it_was_told_before() {
    let url = world("before").await;
    // Somebody else hears of it already: the broker does not miss the listener.
    let other = listener_named("other", &[("BUS_URL", &url)], &Arc::default()).await;
    is_well(&other).await;
    let to = "listener=http://127.0.0.1:9,other=http://127.0.0.1:9";
    let teller = teller_with(&[("BUS_URL", &url), ("EVENTS_TO", to)]).await;
    for kind in ["order.placed", "order.completed", "order.placed"] {
        tell(&teller, kind).await;
    }
    until("all are told", async || in_state(&teller, "done").await == 3).await;
    until("they are heard", async || heard(&other).await == 3).await;
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    until("they are heard here too", async || heard(&listener).await == 3).await;
}

#[tokio::test]
async fn what_nobody_has_a_queue_for_waits_and_holds_up_nothing() {
    let url = world("nobody").await;
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    // More than are told at once.
    for _ in 0..20 {
        tell(&teller, "order.placed").await;
    }
    let refused = "SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE last_error IS NOT NULL";
    until("all were tried", async || number(&teller, refused).await == 20).await;
    assert_eq!((in_state(&teller, "waiting").await, in_state(&teller, "dead").await), (20, 0));
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    is_well(&listener).await;
    for _ in 0..20 {
        tell(&teller, "user.registered").await;
    }
    until("all are heard", async || heard(&listener).await == 20).await;
    tell(&teller, "order.placed").await;
    until("nobody waits for what nobody wants", async || heard(&listener).await == 21).await;
    assert_eq!((in_state(&teller, "waiting").await, in_state(&teller, "dead").await), (20, 0));
}

#[tokio::test]
async fn what_waited_without_a_broker_is_told_over_the_broker() {
    let url = world("late").await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("db").display());
    let teller = teller_with(&[("DATABASE_URL", &database)]).await;
    let (dead, waiting) = (tell(&teller, "order.placed").await, tell(&teller, "order.placed").await);
    // As they stand when two subscribers are away, and have long refused the first.
    for (event, state) in [(&dead, "dead"), (&waiting, "waiting")] {
        for subscriber in ["listener", "other"] {
            sqlx::query("INSERT INTO delivery VALUES ($1, $2, $3, 0, 0, 0, '')")
                .bind(&event.id)
                .bind(subscriber)
                .bind(state)
                .execute(teller.chassis().database.pool())
                .await
                .unwrap();
        }
    }
    teller.stop().await;
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    is_well(&listener).await;
    let teller = teller_with(&[("DATABASE_URL", &database), ("BUS_URL", &url)]).await;
    until("what waited is heard", async || heard(&listener).await == 1).await;
    let replay = format!("/dead-letters/{}/replay", dead.id);
    assert_eq!(teller.post(&replay, Value::Null).await.status, 202);
    until("what was dead is heard", async || heard(&listener).await == 2).await;
    until("nothing is left", async || in_state(&teller, "done").await == 2).await;
    assert_eq!((in_state(&teller, "waiting").await, in_state(&teller, "dead").await), (0, 0));
}

#[tokio::test]
async fn the_trace_goes_on_at_who_hears() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let spans = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(spans).init();
    let url = world("trace").await;
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    is_well(&listener).await;
    let span = tracing::info_span!("an order");
    let trace = span.context().span().span_context().trace_id().to_string();
    tell(&teller, "order.placed").instrument(span).await;
    until("it is heard", async || heard(&listener).await == 1).await;
    let carried: String = sqlx::query_scalar("SELECT trace FROM heard")
        .fetch_one(listener.chassis().database.pool())
        .await
        .unwrap();
    assert_eq!(carried, trace);
}

#[tokio::test]
async fn without_a_broker_a_service_serves_and_keeps_what_it_has_to_tell() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("amqp://shop:shop@{nobody}/%2f");
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    let health = teller.get("/health").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("degraded")));
    assert_ne!(health.body["parts"]["bus"], "ok");
    tell(&teller, "order.placed").await;
    until("it was tried", async || {
        number(&teller, "SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE last_error IS NOT NULL").await
            == 1
    })
    .await;
    assert_eq!((in_state(&teller, "waiting").await, in_state(&teller, "dead").await), (1, 0));
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    assert_eq!(listener.get("/dead-letters").await.status, 503, "nobody knows what the broker has");
    let ends = std::time::Instant::now();
    listener.stop().await;
    teller.stop().await;
    assert!(ends.elapsed() < std::time::Duration::from_secs(9), "a broker that is away holds up no end");
}
