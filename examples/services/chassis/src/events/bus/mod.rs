//! RabbitMQ, when `BUS_URL` says where it is. What is told goes to a durable exchange, by kind; each service that hears
//! has a durable queue of its own there, and a second one for what it refused too often.
//!
//! Who is told has a queue from the first event on: the teller declares it too (`EVENTS_TO`), so a service that has never
//! been there misses nothing. What no queue wants comes back, and waits.
//!
//! Nobody trusts the broker with more than it has confirmed: an event stays in the outbox until then, and a message
//! stays in the queue until what follows from it is committed. So it may go away and come back at any time.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use lapin::options::ExchangeDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use tokio::sync::Mutex;

use super::{Event, traceparent};

mod follow;
mod letters;
mod link;
mod queue;

pub(super) use letters::Letter;
use link::Link;

/// Everything told in the shop.
const EVENTS: &str = "shop.events";
/// Everything refused too often.
const DEAD: &str = "shop.dead";
const PERSISTENT: u8 = 2;
/// A broker that does not answer in this time is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// A connection over which nothing comes for two of these is gone, though nobody has said so.
const HEARTBEAT_SECONDS: u16 = 10;

/// The broker, as one service sees it.
pub(crate) struct Bus {
    service: &'static str,
    uri: AMQPUri,
    /// Whom it tells.
    tells: Vec<String>,
    /// For telling and for dead letters; hearing has a connection of its own, so neither holds up the other.
    link: Mutex<Option<Arc<Link>>>,
    /// Who looks at dead letters hides them from others for that time.
    looking: Mutex<()>,
    /// What keeps the service from hearing, if it wants to hear.
    deaf: StdMutex<Option<String>>,
}

/// What the broker could not do for us.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    #[error("{0}")]
    Lapin(#[from] lapin::Error),
    #[error("the broker would not keep it")]
    NotKept,
    /// Nobody who wants it has ever been there, or was named by who tells.
    #[error("no queue wants it")]
    Unwanted,
    #[error("the broker does not answer")]
    Silent,
    #[error("the queue is gone")]
    Unqueued,
}

impl Bus {
    pub(crate) fn new(service: &'static str, mut uri: AMQPUri, tells: Vec<String>) -> Self {
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        let (link, looking) = Default::default();
        Self { service, uri, tells, link, looking, deaf: StdMutex::default() }
    }

    /// Is it there, and do we hear?
    pub(crate) async fn answers(&self) -> Result<(), String> {
        self.link().await.map_err(|error| error.to_string())?;
        self.deaf.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Tells it. It is told when the broker has it on disk; who is to hear it is the broker's business from then on.
    pub(super) async fn tell(&self, event: &Event) -> Result<(), BusError> {
        let body = serde_json::to_vec(event).unwrap_or_default();
        let mut headers = FieldTable::default();
        headers.insert("traceparent".into(), AMQPValue::LongString(traceparent().into()));
        let properties = BasicProperties::default()
            .with_app_id(event.source.as_str().into())
            .with_content_type("application/cloudevents+json".into())
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers)
            .with_message_id(event.id.as_str().into())
            .with_type(event.kind.as_str().into());
        self.publish(EVENTS, &event.kind, &body, properties).await
    }

    async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), BusError> {
        let link = self.link().await?;
        let sent = within(async {
            if exchange == EVENTS {
                link.bind(&self.tells, key).await?;
            }
            link.publish(exchange, key, body, properties).await
        })
        .await;
        if matches!(sent, Err(BusError::Lapin(_) | BusError::Silent)) {
            self.forget(&link).await;
        }
        sent
    }

    async fn link(&self) -> Result<Arc<Link>, BusError> {
        let mut kept = self.link.lock().await;
        if let Some(link) = kept.as_ref().filter(|link| link.is_up()) {
            return Ok(link.clone());
        }
        *kept = None;
        let link = within(async { Ok(Arc::new(Link::open(self.connect().await?).await?)) }).await?;
        *kept = Some(link.clone());
        Ok(link)
    }

    /// A link that failed once is not tried again.
    async fn forget(&self, link: &Arc<Link>) {
        let mut kept = self.link.lock().await;
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, link)) {
            *kept = None;
        }
    }

    async fn connect(&self) -> Result<Connection, BusError> {
        let properties = ConnectionProperties::default().with_connection_name(self.service.into());
        Ok(Connection::connect_uri(self.uri.clone(), properties).await?)
    }
}

async fn declare_exchanges(channel: &Channel) -> Result<(), BusError> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    channel.exchange_declare(DEAD.into(), ExchangeKind::Direct, durable, FieldTable::default()).await?;
    Ok(())
}

async fn within<T>(answer: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    tokio::time::timeout(ANSWER_WITHIN, answer).await.unwrap_or(Err(BusError::Silent))
}
