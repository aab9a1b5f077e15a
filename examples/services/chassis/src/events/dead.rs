//! Dead letters: events that a subscriber refused too often. They are kept until somebody has looked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Event, Outbox};
use crate::clock::now_ms;
use crate::database::Database;
use crate::failure::{Failure, FailureBody};
use crate::request::{Params, Part};

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

#[derive(Clone)]
struct Letters {
    database: Database,
    outbox: Outbox,
}

pub(crate) fn routes(database: Database, outbox: Outbox) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(replay))
        .with_state(Letters { database, outbox })
}

/// The dead letters, the oldest hundred.
#[utoipa::path(get, path = "/dead-letters", tag = "events", responses((status = 200, body = DeadLetters)))]
async fn list(State(letters): State<Letters>) -> Result<Json<DeadLetters>, Failure> {
    let statement = "SELECT o.body, d.subscriber, d.attempts, d.last_error FROM delivery d \
                     JOIN outbox o ON o.id = d.event_id WHERE d.state = 'dead' ORDER BY d.event_id LIMIT 100";
    let rows = sqlx::query(statement).fetch_all(letters.database.pool()).await?;
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
    Ok(Json(DeadLetters { items }))
}

/// Sends one again.
#[utoipa::path(post, path = "/dead-letters/{id}/replay", tag = "events", params(("id" = String, Path), To),
    responses((status = 202, description = "it is sent again"), (status = 404, body = FailureBody)))]
async fn replay(
    State(letters): State<Letters>,
    Part(id): Part<String>,
    Params(to): Params<To>,
) -> Result<StatusCode, Failure> {
    let mut write = letters.database.write().await?;
    let statement = "UPDATE delivery SET state = 'waiting', attempts = 0, next_at = $1 \
                     WHERE event_id = $2 AND state = 'dead' AND ($3 = '' OR subscriber = $3)";
    let sent = sqlx::query(statement)
        .bind(now_ms())
        .bind(id)
        .bind(to.subscriber.unwrap_or_default())
        .execute(&mut *write)
        .await?;
    write.rings(letters.outbox.bell.clone());
    write.commit().await?;
    if sent.rows_affected() == 0 { Err(Failure::not_found("dead letter")) } else { Ok(StatusCode::ACCEPTED) }
}
