//! What a request carries, read so that a mistake is answered in the shop's own shape.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::failure::Failure;

/// The body, as JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The parameters in the path.
#[derive(Debug)]
pub struct Part<T>(pub T);

/// The parameters after the question mark.
#[derive(Debug)]
pub struct Params<T>(pub T);

/// Which part of a long list.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// From 1.
    pub page: Option<u32>,
    /// Items on a page, 100 at most; 20 unless told.
    pub size: Option<u32>,
}

impl Page {
    /// The page, from 1.
    pub fn number(self) -> i64 {
        i64::from(self.page.unwrap_or(1).clamp(1, 10_000))
    }

    /// Items on it.
    pub fn size(self) -> i64 {
        i64::from(self.size.unwrap_or(20).clamp(1, 100))
    }

    /// Items before it.
    pub fn offset(self) -> i64 {
        (self.number() - 1) * self.size()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::from_request(request, state).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::invalid(rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Part<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::invalid(rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::invalid(rejection.body_text())),
        }
    }
}

/// The key by which the same request is known when it comes again: `Idempotency-Key`.
#[derive(Clone, Debug)]
pub struct Key(pub String);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let key = parts.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
        if key.is_empty() || key.len() > 200 {
            return Err(Failure::invalid("this needs an Idempotency-Key of at most 200 letters"));
        }
        Ok(Self(key.to_owned()))
    }
}
