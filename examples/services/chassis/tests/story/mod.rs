//! A teller and listeners, for the stories about events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(dead_code, reason = "each story takes what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::testing::Tried;
use chassis::{App, Chassis, Failure, StartError, Write};
use serde_json::json;
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;

pub const NONE: Migrator = Migrator::DEFAULT;

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
        use opentelemetry::trace::TraceContextExt;
        use tracing_opentelemetry::OpenTelemetrySpanExt;
        let trace = tracing::Span::current().context().span().span_context().trace_id().to_string();
        sqlx::query("INSERT INTO heard VALUES ($1, $2, $3)")
            .bind(&event.id)
            .bind(&event.kind)
            .bind(trace)
            .execute(&mut **write)
            .await?;
        if event.kind == "order.broken" {
            sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut **write).await?;
        }
        if self.refuses.load(Ordering::SeqCst) { Err(Failure::invalid("not today")) } else { Ok(()) }
    }
}

/// A service that hears. Nothing keeps it from noting an event twice, except what the chassis promises.
pub async fn listener_with(settings: &[(&str, &str)], refuses: &Arc<AtomicBool>) -> Tried {
    listener_named("listener", settings, refuses).await
}

pub async fn listener_named(
    name: &'static str,
    settings: &[(&str, &str)],
    refuses: &Arc<AtomicBool>,
) -> Tried {
    let refuses = refuses.clone();
    let assemble = async move |chassis: &Chassis| -> Result<App, StartError> {
        let made = "CREATE TABLE IF NOT EXISTS heard (id TEXT, kind TEXT, trace TEXT)";
        sqlx::query(made).execute(chassis.database.pool()).await?;
        Ok(App::new(OpenApiRouter::new()).hears(Note { refuses: refuses.clone() }))
    };
    Tried::start(name, &NONE, settings, assemble).await.unwrap()
}

/// A service that tells.
pub async fn teller_with(settings: &[(&str, &str)]) -> Tried {
    let assemble = async |_: &Chassis| -> Result<App, StartError> { Ok(App::new(OpenApiRouter::new())) };
    Tried::start("teller", &NONE, settings, assemble).await.unwrap()
}

pub async fn tell(teller: &Tried, kind: &str) -> Event {
    let event = Event::now(kind, "o-1", json!({ "order_id": "o-1" }));
    let mut write = teller.chassis().database.write().await.unwrap();
    teller.chassis().outbox.put(&mut write, event.clone()).await.unwrap();
    write.commit().await.unwrap();
    event
}

pub async fn number(service: &Tried, count: &'static str) -> i64 {
    sqlx::query_scalar(count).fetch_one(service.chassis().database.pool()).await.unwrap()
}

pub async fn heard(listener: &Tried) -> i64 {
    number(listener, "SELECT CAST(COUNT(*) AS BIGINT) FROM heard").await
}

pub async fn in_state(teller: &Tried, state: &str) -> i64 {
    sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state = $1")
        .bind(state)
        .fetch_one(teller.chassis().database.pool())
        .await
        .unwrap()
}
