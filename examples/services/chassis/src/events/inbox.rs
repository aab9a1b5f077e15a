//! Hears what others tell. What was heard is noted in the transaction of what is done about it: twice told, once done.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Consumer, Event, is_wanted};
use crate::clock::now_ms;
use crate::database::Database;
use crate::failure::{Failure, FailureBody};
use crate::request::Body;

/// Where events come in.
#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) database: Database,
    pub(crate) consumer: Arc<dyn Consumer>,
}

impl Inbox {
    /// Notes why it was refused, for whoever will look at it as a dead letter.
    pub(super) async fn note_refusal(&self, event: &Event, why: &str) -> Result<(), sqlx::Error> {
        let statement = "INSERT INTO refusal (event_id, attempts, error, at) VALUES ($1, 1, $2, $3) \
                         ON CONFLICT (event_id) DO UPDATE SET attempts = refusal.attempts + 1, error = $2, at = $3";
        let mut write = self.database.write().await?;
        sqlx::query(statement).bind(&event.id).bind(why).bind(now_ms()).execute(&mut *write).await?;
        write.commit().await
    }

    /// Does what follows from it, once.
    pub(crate) async fn hear(&self, event: &Event) -> Result<(), Failure> {
        if !is_wanted(self.consumer.wants(), &event.kind) {
            return Ok(());
        }
        let mut write = self.database.write().await?;
        let noted = sqlx::query("INSERT INTO inbox (event_id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&event.id)
            .bind(now_ms())
            .execute(&mut *write)
            .await?;
        if noted.rows_affected() == 0 {
            return Ok(());
        }
        self.consumer.hear(&mut write, event).await?;
        write.commit().await?;
        tracing::info!(event = event.id, kind = event.kind, subject = event.subject, "heard");
        Ok(())
    }
}

pub(crate) fn routes(database: Database, consumer: Arc<dyn Consumer>) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(hear)).with_state(Inbox { database, consumer })
}

/// Hears an event.
#[utoipa::path(post, path = "/events", tag = "events", request_body = Event,
    responses((status = 204, description = "heard"), (status = 400, body = FailureBody)))]
async fn hear(State(inbox): State<Inbox>, Body(event): Body<Event>) -> Result<StatusCode, Failure> {
    inbox.hear(&event).await.map_err(|failure| {
        if failure.is_passing() || failure.status().is_client_error() {
            return failure;
        }
        // It went wrong inside, over this event. Who tells takes that for a refusal, and does not tell it for ever.
        Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "event_failed", failure.body().message.clone())
    })?;
    Ok(StatusCode::NO_CONTENT)
}
