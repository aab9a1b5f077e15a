//! The queue of a service: what it is to hear waits there, whether the service has ever been there or not.

use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::{BusError, DEAD, EVENTS};

/// So many returns to the queue, and the broker takes it for dead: told eight times, as without a broker.
pub(super) const RETURNS_MAX: i64 = 7;
/// A queue that nobody empties ends here; the broker then refuses what is told, and it stays in the outbox.
const MESSAGES_MAX: i64 = 1_000_000;

/// Declares the queue of this service, and lets these kinds get there, beside those that do already. Who hears and who
/// tells declare the same: whoever comes second finds it there.
pub(super) async fn declare_queue(channel: &Channel, service: &str, kinds: &[&str]) -> Result<(), BusError> {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), RETURNS_MAX.into());
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    arguments.insert("x-dead-letter-routing-key".into(), text(service));
    // Else the broker lets go of a dead letter before the other queue has it.
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-max-length".into(), MESSAGES_MAX.into());
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(service.into(), durable, arguments).await?;
    for kind in kinds {
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(service.into(), EVENTS.into(), (*kind).into(), options, none).await?;
    }
    Ok(())
}
