//! Hearing: one message at a time, taken off the queue when what follows from it is committed.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::queue::{RETURNS_MAX, declare_queue};
use super::{Bus, BusError, declare_exchanges, within};
use crate::events::context_of;
use crate::events::inbox::Inbox;

/// The first pause before it is told again; each is twice as long. All of them together are some twelve seconds: no
/// longer, since the queue waits.
const RETURN_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

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
            declare_exchanges(&channel).await?;
            self.declare_dead(&channel).await?;
            declare_queue(&channel, self.service, inbox.consumer.wants()).await?;
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
