//! Dead letters: events that a subscriber refused too often. They are kept until somebody has looked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bus::{BusError, Letter};
use super::{Bus, Event, Outbox};
use crate::clock::now_ms;
use crate::database::Database;
use crate::failure::{Failure, FailureBody};
use crate::request::{Params, Part};

/// So many are shown.
const LETTERS_MAX: usize = 100;

/// An event that was refused too often.
#[derive(Serialize, ToSchema)]
struct DeadLetter {
    event: Event,
    subscriber: String,
    attempts: i64,
    last_error: String,
}

#[derive(Serialize, ToSchema)]
struct DeadLetters {
    items: Vec<DeadLetter>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct To {
    /// Only to this subscriber.
    subscriber: Option<String>,
}

/// Where dead letters are: with who tells, or, if there is a broker, with who hears.
#[derive(Clone)]
pub(crate) struct DeadLetterBox {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
    /// The service, and the broker that has what it refused.
    pub(crate) bus: Option<(&'static str, Arc<Bus>)>,
}

pub(crate) fn routes(letters: DeadLetterBox) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(replay)).with_state(letters)
}

/// The dead letters, the oldest hundred.
#[utoipa::path(get, path = "/dead-letters", tag = "events", responses((status = 200, body = DeadLetters)))]
async fn list(State(letters): State<DeadLetterBox>) -> Result<Json<DeadLetters>, Failure> {
    let mut items = letters.untold().await?;
    items.extend(letters.unheard().await?);
    items.truncate(LETTERS_MAX);
    Ok(Json(DeadLetters { items }))
}

impl DeadLetterBox {
    /// What subscribers refused.
    async fn untold(&self) -> Result<Vec<DeadLetter>, Failure> {
        let statement = "SELECT o.body, d.subscriber, d.attempts, d.last_error FROM delivery d \
                         JOIN outbox o ON o.id = d.event_id WHERE d.state = 'dead' ORDER BY d.event_id LIMIT 100";
        let rows = sqlx::query(statement).fetch_all(self.database.pool()).await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let body: String = row.try_get("body")?;
            let event = serde_json::from_str(&body).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let last_error: Option<String> = row.try_get("last_error")?;
            items.push(DeadLetter {
                event,
                subscriber: row.try_get("subscriber")?,
                attempts: row.try_get("attempts")?,
                last_error: last_error.unwrap_or_default(),
            });
        }
        Ok(items)
    }

    /// What the service itself refused, and the broker keeps.
    async fn unheard(&self) -> Result<Vec<DeadLetter>, Failure> {
        let Some((service, bus)) = &self.bus else { return Ok(Vec::new()) };
        let mut items = Vec::new();
        for Letter { event } in bus.letters().await? {
            let row = sqlx::query("SELECT attempts, error FROM refusal WHERE event_id = $1")
                .bind(&event.id)
                .fetch_optional(self.database.pool())
                .await?;
            let (attempts, last_error) = match row {
                Some(row) => (row.try_get("attempts")?, row.try_get("error")?),
                None => (0, "it cannot be read, or its hearing was cut off each time".to_owned()),
            };
            items.push(DeadLetter { event, subscriber: (*service).to_owned(), attempts, last_error });
        }
        Ok(items)
    }

    async fn tell_again(&self, id: &str, to: &str) -> Result<bool, Failure> {
        let mut write = self.database.write().await?;
        let statement = "UPDATE delivery SET state = 'waiting', attempts = 0, next_at = $1, lease_until = 0 \
                         WHERE event_id = $2 AND state = 'dead' AND ($3 = '' OR subscriber = $3)";
        let sent = sqlx::query(statement).bind(now_ms()).bind(id).bind(to).execute(&mut *write).await?;
        let dead = self.outbox.readdress(&mut write).await?;
        if dead > 0 && dead == sent.rows_affected() {
            return Err(Failure::conflict("unknown_subscriber", "nobody is told under this name any more"));
        }
        write.rings(self.outbox.bell.clone());
        write.commit().await?;
        Ok(sent.rows_affected() > 0)
    }

    async fn hear_again(&self, id: &str, to: &str) -> Result<bool, Failure> {
        match &self.bus {
            Some((service, bus)) if to.is_empty() || to == *service => Ok(bus.replay(id).await?),
            _ => Ok(false),
        }
    }
}

/// The broker is away, or it is not what we think.
impl From<BusError> for Failure {
    fn from(error: BusError) -> Self {
        tracing::warn!(%error, "the broker failed");
        Self::unavailable("bus_unavailable", "the broker does not answer")
    }
}

/// Sends one again.
#[utoipa::path(post, path = "/dead-letters/{id}/replay", tag = "events", params(("id" = String, Path), To),
    responses((status = 202, description = "it is sent again"), (status = 404, body = FailureBody)))]
async fn replay(
    State(letters): State<DeadLetterBox>,
    Part(id): Part<String>,
    Params(to): Params<To>,
) -> Result<StatusCode, Failure> {
    let to = to.subscriber.unwrap_or_default();
    let told = letters.tell_again(&id, &to).await?;
    let heard = letters.hear_again(&id, &to).await?;
    if told || heard { Ok(StatusCode::ACCEPTED) } else { Err(Failure::not_found("dead letter")) }
}
