//! What is said when something happens. Events come in any order and more than once: see `stage.rs` for the first, and
//! the key of a message for the second.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::{Failure, Write, now_ms};
use serde::Deserialize;
use tokio::sync::Notify;

use crate::addressee::{Addressee, Channel};
use crate::messages::{Message, forget};
use crate::stage::Stage;
use crate::template::Template;
use crate::words::Values;

const SMS_MAX: usize = 160;
const LINE_MAX: usize = 200;

/// Hears what shoppers are told of.
pub(crate) struct Listener {
    pub(crate) bell: Arc<Notify>,
}

/// What is read of an event, of whatever kind; there is more in it.
#[derive(Deserialize)]
struct Happening {
    /// An order, a shipment.
    user_id: Option<String>,
    order_id: Option<String>,
    #[serde(default)]
    total_cents: i64,
    #[serde(default)]
    currency: String,
    reason: Option<String>,
    #[serde(default)]
    tracking: String,
    /// A user.
    id: Option<String>,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
}

#[async_trait]
impl Consumer for Listener {
    fn wants(&self) -> &'static [&'static str] {
        &["order.*", "shipment.*", "user.registered"]
    }

    #[tracing::instrument(skip_all, fields(otel.name = format!("hear {}", event.kind), event.subject))]
    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure> {
        let Some(stage) = Stage::of(&event.kind) else { return Ok(()) };
        let happening: Happening = event.read()?;
        let user = if stage.topic() == "user" { &happening.id } else { &happening.user_id };
        let user_id = user.as_deref().filter(|id| !id.is_empty());
        let user_id = user_id.ok_or_else(|| Failure::invalid(format!("{}: whose is it?", event.kind)))?;
        if stage.topic() == "user" {
            let (email, name) = (line(&happening.email), line(&happening.name));
            Addressee::meet(write, user_id, &email, &name).await?;
        }
        let Some(was_delayed) = reach(write, stage, &event.subject).await? else {
            tracing::info!(kind = event.kind, subject = event.subject, "old news");
            return Ok(());
        };
        let addressee = Addressee::find(&mut **write, user_id).await?;
        let template = Template::find(&mut **write, stage.template(was_delayed), None).await?;
        let values = values(&happening, &addressee);
        let subject = line(&template.say(&template.subject, &values)?);
        for (channel, recipient) in addressee.ways() {
            let text = match channel {
                Channel::Mail => template.say(&template.text, &values)?,
                Channel::Push | Channel::Sms => {
                    template.say(&template.short, &values)?.chars().take(SMS_MAX).collect()
                }
            };
            let message = Message {
                event_id: &event.id,
                channel,
                user_id,
                template: &template.name,
                version: template.version,
                recipient,
                subject: &subject,
                text: &text,
                order_id: happening.order_id.as_deref(),
            };
            message.put(write).await?;
        }
        forget(write, user_id).await?;
        write.rings(self.bell.clone());
        Ok(())
    }
}

/// Notes that this stage is reached, and says if its shopper was told to wait. `None` if a later one was reached before.
async fn reach(write: &mut Write, stage: Stage, subject: &str) -> Result<Option<bool>, sqlx::Error> {
    let reach = "INSERT INTO journey (topic, subject, stage, delayed, at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (topic, subject) DO UPDATE SET stage = excluded.stage, at = excluded.at, \
                 delayed = CASE WHEN excluded.delayed = 1 THEN 1 ELSE journey.delayed END \
                 WHERE journey.stage < excluded.stage RETURNING delayed";
    let delayed: Option<i64> = sqlx::query_scalar(reach)
        .bind(stage.topic())
        .bind(subject)
        .bind(stage.rank)
        .bind(i64::from(stage.is_delay()))
        .bind(now_ms())
        .fetch_optional(&mut **write)
        .await?;
    Ok(delayed.map(|delayed| delayed == 1))
}

fn values(happening: &Happening, addressee: &Addressee) -> Values {
    let name = if addressee.name.is_empty() { "there" } else { &addressee.name };
    let cents = happening.total_cents;
    Values::from([
        ("email", addressee.email.clone()),
        ("name", name.to_owned()),
        ("order_id", happening.order_id.clone().unwrap_or_default()),
        ("reason", happening.reason.clone().unwrap_or_default()),
        ("total", format!("{}.{:02} {}", cents / 100, cents % 100, happening.currency)),
        ("tracking", happening.tracking.clone()),
    ])
}

/// One line of it: a name with a line break in it must not begin another header of a mail.
fn line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LINE_MAX).collect()
}
