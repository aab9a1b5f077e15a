//! What a trace of an order shows, as a collector gets it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use chassis::testing::{Tried, until};
use chassis::{App, Chassis, StartError};
use sqlx::migrate::Migrator;
use utoipa_axum::router::OpenApiRouter;

use crate::world::World;

type Got = Arc<Mutex<Vec<u8>>>;

async fn collect(State(got): State<Got>, spans: Bytes) {
    got.lock().unwrap().extend_from_slice(&spans);
}

#[tokio::test]
async fn a_trace_shows_every_step_with_what_it_was_about_and_what_came_of_it() {
    let got = Got::default();
    let routes = Router::new().route("/v1/traces", post(collect)).with_state(got.clone());
    let assemble = async move |_: &Chassis| -> Result<App, StartError> {
        Ok(App::new(OpenApiRouter::new()).also(routes.clone()))
    };
    let collector = Tried::start("collector", &Migrator::DEFAULT, &[], assemble).await.unwrap();
    let world = World::new(10).await;
    let process = world.start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url())]).await;
    let (status, order) = world.place(&process, "k-1", "tok_visa").await.unwrap();
    assert_eq!(status, 201, "{order}");
    let spans = ["take down", "check user", "fetch product batch", "reserve stock", "charge payment", "save"];
    let attributes = ["user.id", "products", "order.id", "amount_cents", "order.status"];
    let events = ["user checked", "priced", "reserved", "charged"];
    let ids = [order["id"].as_str().unwrap(), order["payment_id"].as_str().unwrap()];
    // Text stands in it as it is, whatever is around it.
    let shows = |text: &str| got.lock().unwrap().windows(text.len()).any(|part| part == text.as_bytes());
    for text in spans.iter().chain(&attributes).chain(&events).chain(&ids) {
        until(&format!("the trace shows {text}"), async || shows(text)).await;
    }
}
