//! What a service answers when it cannot do what it was asked: one shape everywhere, `{error, message, details}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::peer::CallFailed;

/// Why not.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    body: Box<FailureBody>,
    retry_after: Option<u32>,
}

/// How it is told.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FailureBody {
    /// A word that does not change: programs compare it.
    pub error: String,
    /// A sentence for people.
    pub message: String,
    /// More about it, if there is more.
    #[serde(default)]
    pub details: Value,
}

impl Failure {
    /// With this status, word and sentence.
    pub fn new(status: StatusCode, error: &str, message: impl Into<String>) -> Self {
        let body = FailureBody { error: error.to_owned(), message: message.into(), details: Value::Null };
        Self { status, body: Box::new(body), retry_after: None }
    }

    /// 400: the request cannot be understood.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 401: nobody says who asks.
    pub fn unknown_caller() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unknown_caller", "this needs a signed-in user")
    }

    /// 403: not this caller.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 404: there is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// 409: what is there does not allow it.
    pub fn conflict(error: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, message)
    }

    /// 503: not now.
    pub fn unavailable(error: &str, message: impl Into<String>) -> Self {
        let mut failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, error, message);
        failure.retry_after = Some(1);
        failure
    }

    /// With more about it.
    pub fn with(mut self, details: impl Serialize) -> Self {
        self.body.details = serde_json::to_value(details).unwrap_or(Value::Null);
        self
    }

    /// Is it about this moment rather than about what was asked? Then it is worth asking again, for as long as it takes.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.status,
            StatusCode::GATEWAY_TIMEOUT
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
        )
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// How it is told.
    pub fn body(&self) -> &FailureBody {
        &self.body
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.body.error, self.body.message)
    }
}

impl std::error::Error for Failure {}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&*self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What went wrong inside is for the log; the caller is told that it did.
impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "the database failed");
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
                Self::unavailable("database_unavailable", "the database does not answer")
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong inside"),
        }
    }
}

impl From<CallFailed> for Failure {
    fn from(failed: CallFailed) -> Self {
        tracing::warn!(error = %failed, "a call failed");
        match failed {
            CallFailed::Away { peer, .. } => {
                Self::unavailable("dependency_unavailable", format!("{peer} does not answer"))
            }
            CallFailed::Nonsense { peer, .. } | CallFailed::Refused { peer, .. } => {
                Self::new(StatusCode::BAD_GATEWAY, "dependency_failed", format!("{peer} would not do it"))
            }
        }
    }
}
