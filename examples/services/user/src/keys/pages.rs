//! What the world asks of the keys.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use chassis::{Caller, Failure, FailureBody, now_ms, rfc3339};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Keys;
use super::key::Jwk;

/// The public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// The key that signs next.
#[derive(Serialize, ToSchema)]
struct Next {
    kid: String,
    /// When it begins to.
    signs_at: String,
}

pub(crate) fn routes(keys: Keys) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(jwks)).routes(routes!(rotate)).with_state(keys)
}

/// The public keys: whoever has them can check our tokens.
#[utoipa::path(get, path = "/jwks.json", tag = "keys", responses(
    (status = 200, description = "a JSON Web Key Set; Cache-Control says how long to keep it", body = Jwks),
    (status = 503, description = "the database does not answer", body = FailureBody)))]
async fn jwks(State(keys): State<Keys>) -> Result<impl IntoResponse, Failure> {
    let cache = format!("public, max-age={}", keys.life.max_age_seconds());
    let published = keys.published().await?;
    let jwks = Jwks { keys: published.keys.iter().map(|key| key.jwk.clone()).collect() };
    Ok(([(header::CACHE_CONTROL, cache)], Json(jwks)))
}

/// For operators: publishes the next key now; it signs after its grace. Asked again before that, it is the same one.
#[utoipa::path(post, path = "/keys/rotate", tag = "keys", responses(
    (status = 200, description = "the key that signs next", body = Next),
    (status = 403, description = "a user asks who is no admin", body = FailureBody),
    (status = 503, description = "the database does not answer", body = FailureBody)))]
async fn rotate(State(keys): State<Keys>, caller: Option<Caller>) -> Result<Json<Next>, Failure> {
    if let Some(caller) = caller {
        caller.must_be("admin")?;
    }
    let (dates, key) = keys.rotate(now_ms()).await?;
    Ok(Json(Next { kid: key.kid.clone(), signs_at: rfc3339(dates.signs_at) }))
}
