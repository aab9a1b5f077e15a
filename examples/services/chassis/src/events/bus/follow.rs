//! Hearing: one message at a time, taken off the queue when what follows from it is committed.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Bus, BusError, DEAD, EVENTS, declare_exchanges, within};
use crate::events::context_of;
use crate::events::inbox::Inbox;

/// So many returns to the queue, and the broker takes it for dead: told eight times, as without a broker.
const RETURNS_MAX: i64 = 7;
/// The first pause before it is told again; each is twice as long. All of them together are some twelve seconds: no
/// longer, since the queue waits.
const RETURN_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// A queue that nobody empties ends here; the broker then refuses what is told, and it stays in the outbox.
const MESSAGES_MAX: i64 = 1_000_000;

impl Bus {
    /// Hears until the service ends, through whatever happens to the broker.
    pub(crate) async fn follow(&self, inbox: &Inbox, stop: &CancellationToken) {
        let mut pause = PAUSE_MIN;
        self.set_deaf(Some("not connected yet".to_owned()));
        while !stop.is_cancelled() {
            let Err(error) = self.listen(inbox, stop).await else { continue };
            if self.set_deaf(Some(error.to_string())).is_none() {
                pause = PAUSE_MIN;
            }
            tracing::warn!(%error, "nothing is heard from the broker");
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// What kept us from hearing until now.
    fn set_deaf(&self, why: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.deaf.lock().unwrap_or_else(PoisonError::into_inner), why)
    }

    async fn listen(&self, inbox: &Inbox, stop: &CancellationToken) -> Result<(), BusError> {
        let connection = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            connected = within(self.connect()) => connected?,
        };
        let mut deliveries = within(async {
            let channel = connection.create_channel().await?;
            self.declare(&channel, inbox.consumer.wants()).await?;
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            Ok(channel.basic_consume(self.service.into(), "".into(), options, FieldTable::default()).await?)
        })
        .await?;
        self.set_deaf(None);
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                delivery = deliveries.next() => delivery.ok_or(BusError::Unqueued)??,
            };
            self.take(inbox, &delivery, stop).await?;
        }
        within(async { Ok(connection.close(200, "the service ends".into()).await?) }).await
    }

    async fn declare(&self, channel: &Channel, wants: &[&str]) -> Result<(), BusError> {
        declare_exchanges(channel).await?;
        self.declare_dead(channel).await?;
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text("quorum"));
        arguments.insert("x-delivery-limit".into(), RETURNS_MAX.into());
        arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
        arguments.insert("x-dead-letter-routing-key".into(), text(self.service));
        // Else the broker lets go of a dead letter before the other queue has it.
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        arguments.insert("x-max-length".into(), MESSAGES_MAX.into());
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(self.service.into(), durable, arguments).await?;
        for kind in wants {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(
                    self.service.into(),
                    EVENTS.into(),
                    (*kind).into(),
                    options,
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    /// Hears one. An error is the broker's; the message is then still in the queue.
    async fn take(
        &self,
        inbox: &Inbox,
        delivery: &Delivery,
        stop: &CancellationToken,
    ) -> Result<(), BusError> {
        let Ok(event) = serde_json::from_slice(&delivery.data) else {
            tracing::warn!(kind = delivery.routing_key.as_str(), "a message that is no event");
            delivery.acker.reject(BasicRejectOptions { requeue: false }).await?;
            return Ok(());
        };
        let span = tracing::info_span!(
            "hear",
            otel.name = format!("hear {}", delivery.routing_key),
            otel.kind = "consumer",
            event.id = delivery.properties.message_id().as_ref().map(lapin::types::ShortString::as_str),
        );
        let _ = span.set_parent(context_of(traceparent(delivery)));
        let mut pause = PAUSE_MIN;
        let refusal = loop {
            match inbox.hear(&event).instrument(span.clone()).await {
                Ok(()) => {
                    delivery.acker.ack(BasicAckOptions::default()).await?;
                    return Ok(());
                }
                // Not the event's fault: it is not counted, and those behind it would fare no better.
                Err(failure) if failure.is_passing() => {
                    tracing::warn!(parent: &span, %failure, "not heard yet");
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(failure) => break failure.to_string(),
            }
        };
        tracing::warn!(parent: &span, why = refusal, "refused");
        if let Err(error) = inbox.note_refusal(&event, &refusal).await {
            tracing::error!(%error, "why it was refused is not noted");
        }
        let returns = returns(delivery).clamp(0, RETURNS_MAX);
        if returns < RETURNS_MAX {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(RETURN_PAUSE * (1 << returns)) => {}
            }
        }
        delivery.acker.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        Ok(())
    }
}

fn header<'d>(delivery: &'d Delivery, name: &str) -> Option<&'d AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(name)
}

fn traceparent(delivery: &Delivery) -> &str {
    match header(delivery, "traceparent") {
        Some(AMQPValue::LongString(text)) => std::str::from_utf8(text.as_bytes()).unwrap_or_default(),
        _ => "",
    }
}

/// How often it went back to the queue.
fn returns(delivery: &Delivery) -> i64 {
    match header(delivery, "x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        _ => 0,
    }
}
