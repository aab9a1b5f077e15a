//! The dead letters of a service that hears: in a queue of the broker, where they can be seen and sent again.

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::Value;

use super::{Bus, BusError, DEAD, within};
use crate::events::Event;

/// More than these nobody looks at in one go; who sends some again sees others.
const LETTERS_MAX: usize = 100;
/// As many as nobody has looked after for a long time.
const KEPT_MAX: i64 = 100_000;
/// What is no event is shown so far.
const EXCERPT_MAX: usize = 1000;

/// An event that the service refused too often.
pub(in crate::events) struct Letter {
    pub(in crate::events) event: Event,
}

impl Bus {
    fn dead_queue(&self) -> String {
        format!("{}.dead", self.service)
    }

    pub(super) async fn declare_dead(&self, channel: &Channel) -> Result<(), BusError> {
        let queue = self.dead_queue();
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        // Not a quorum queue: those count how often a message was looked at, and newer brokers drop it after twenty.
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), KEPT_MAX.into());
        // When it is full the letters wait where they come from.
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(queue.as_str().into(), DEAD.into(), self.service.into(), options, none).await?;
        Ok(())
    }

    /// The oldest hundred.
    pub(in crate::events) async fn letters(&self) -> Result<Vec<Letter>, BusError> {
        let _turn = self.looking.lock().await;
        let channel = self.dead_channel().await?;
        let found = within(self.look(&channel)).await?;
        put_back(&channel).await?;
        Ok(found.iter().map(|delivery| Letter { event: event_of(delivery) }).collect())
    }

    /// Puts it into the service's own queue again, and there only: others have heard it. Was it there?
    pub(in crate::events) async fn replay(&self, id: &str) -> Result<bool, BusError> {
        let _turn = self.looking.lock().await;
        let channel = self.dead_channel().await?;
        let found = within(self.look(&channel)).await?;
        let letter = found.iter().find(|delivery| event_of(delivery).id == id);
        if let Some(letter) = letter {
            let properties = without_history(&letter.properties);
            self.publish("", self.service, &letter.data, properties).await?;
            // Between these two it is there twice; the inbox takes one of them.
            letter.acker.ack(BasicAckOptions::default()).await?;
        }
        put_back(&channel).await?;
        Ok(letter.is_some())
    }

    /// One for each look: if the look is cut off, the channel goes, and what it held is in the queue again.
    async fn dead_channel(&self) -> Result<Channel, BusError> {
        let link = self.link().await?;
        within(async {
            let channel = link.connection.create_channel().await?;
            self.declare_dead(&channel).await?;
            Ok(channel)
        })
        .await
    }

    async fn look(&self, channel: &Channel) -> Result<Vec<Delivery>, BusError> {
        let queue = self.dead_queue();
        let mut found = Vec::new();
        while found.len() < LETTERS_MAX {
            match channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await? {
                Some(message) => found.push(message.delivery),
                None => break,
            }
        }
        Ok(found)
    }
}

/// Everything that this channel holds.
async fn put_back(channel: &Channel) -> Result<(), BusError> {
    within(async {
        channel.basic_nack(0, BasicNackOptions { multiple: true, requeue: true }).await?;
        Ok(channel.close(200, "seen".into()).await?)
    })
    .await
}

/// It begins anew: what the broker noted about its death is left out.
fn without_history(properties: &BasicProperties) -> BasicProperties {
    let headers = properties.headers().iter().flat_map(|headers| headers.inner().iter());
    let mut kept = FieldTable::default();
    for (name, value) in headers.filter(|(name, _)| !name.as_str().starts_with("x-")) {
        kept.insert(name.clone(), value.clone());
    }
    properties.clone().with_headers(kept)
}

/// A message that is no event is shown as one that has no more to it than its text.
fn event_of(delivery: &Delivery) -> Event {
    serde_json::from_slice(&delivery.data).unwrap_or_else(|_| {
        let word = |word: &Option<lapin::types::ShortString>, otherwise: &str| {
            word.as_ref().map_or_else(|| otherwise.to_owned(), |word| word.as_str().to_owned())
        };
        let text = String::from_utf8_lossy(&delivery.data).chars().take(EXCERPT_MAX).collect();
        Event {
            specversion: "1.0".to_owned(),
            id: word(delivery.properties.message_id(), "unreadable"),
            source: word(delivery.properties.app_id(), ""),
            kind: word(delivery.properties.kind(), "unreadable"),
            subject: String::new(),
            time: String::new(),
            data: Value::String(text),
        }
    })
}
