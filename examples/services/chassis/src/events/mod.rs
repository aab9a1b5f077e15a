//! What services tell each other: at least once, and done once.
//!
//! A service that changes something and tells of it does both or neither: the event is written to the *outbox* in the
//! transaction of the change (`outbox.rs`). A delivery then takes it to each subscriber until that one has said that it
//! has it (`deliver.rs`), by a POST through the sidecar (`way.rs`), or to a broker until the broker has said so (`bus/`).
//! The subscriber writes the event's id to its *inbox* in the transaction of what it does about it (`inbox.rs`), so an
//! event that comes twice is done once. An event that a subscriber keeps refusing becomes a dead
//! letter, to be looked at and sent again (`dead.rs`).

use std::collections::BTreeMap;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::global;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::{now_ms, rfc3339};
use crate::database::Write;
use crate::failure::Failure;

mod bus;
mod dead;
mod deliver;
mod inbox;
mod outbox;
mod way;

pub(crate) use bus::Bus;
pub(crate) use dead::{DeadLetterBox, routes as dead_letter_routes};
pub(crate) use deliver::Deliveries;
pub(crate) use inbox::{Inbox, routes as inbox_routes};
pub use outbox::Outbox;
pub(crate) use way::Way;

/// Something that happened, as [CloudEvents](https://cloudevents.io) writes it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Event {
    /// The version of CloudEvents.
    pub specversion: String,
    /// Which event: the same each time it is told.
    pub id: String,
    /// Who tells.
    pub source: String,
    /// What happened: `order.completed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it happened to: the id of the order.
    pub subject: String,
    /// When.
    pub time: String,
    /// What there is to know of it.
    pub data: Value,
}

impl Event {
    /// It happened now. Who tells is filled in by the outbox.
    pub fn now(kind: &str, subject: &str, data: impl Serialize) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: Uuid::now_v7().to_string(),
            source: String::new(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            time: rfc3339(now_ms()),
            data: serde_json::to_value(data).unwrap_or(Value::Null),
        }
    }

    /// What there is to know, as the type the subscriber thinks in. An event that cannot be read will never be.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.data.clone())
            .map_err(|error| Failure::invalid(format!("{} cannot be read: {error}", self.kind)))
    }
}

/// What a service does about what others tell.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// The kinds it wants to hear of: `order.completed`, or `order.*`.
    fn wants(&self) -> &'static [&'static str];

    /// Does what follows, within this transaction, in which it is also noted that the event was heard. An error undoes
    /// all of it, and the event comes again.
    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure>;
}

/// Is this kind among the wanted ones?
pub(crate) fn is_wanted(wants: &[&str], kind: &str) -> bool {
    wants.iter().any(|want| match want.strip_suffix('*') {
        Some(beginning) => kind.starts_with(beginning),
        None => *want == kind,
    })
}

/// The trace that is under way, as a header: it is kept beside the event until somebody hears of it.
pub fn traceparent() -> String {
    let mut carrier = BTreeMap::new();
    let context = tracing::Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(&mut carrier));
    });
    carrier.remove("traceparent").unwrap_or_default()
}

/// The trace of which this header speaks.
pub fn context_of(traceparent: &str) -> Context {
    let mut carrier = BTreeMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(&mut carrier)))
}

struct Headers<'h>(&'h mut BTreeMap<String, String>);

impl opentelemetry::propagation::Injector for Headers<'_> {
    fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }
}

impl opentelemetry::propagation::Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
