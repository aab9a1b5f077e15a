//! Who asks. The gateway has verified a token and says so in two headers; its sidecar lets nobody else say it.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use crate::failure::Failure;

/// The user a request is made for.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's id: `x-user-id`, from the token's `sub`.
    pub id: String,
    roles: Vec<String>,
}

impl Caller {
    /// Has the caller this role (or is an admin, who has all)?
    pub fn is(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role || own == "admin")
    }

    /// 403 unless the caller has this role.
    pub fn must_be(&self, role: &str) -> Result<(), Failure> {
        if self.is(role) { Ok(()) } else { Err(Failure::forbidden(format!("this is for {role}"))) }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let id = text("x-user-id");
        if id.is_empty() || id.len() > 128 {
            return Err(Failure::unknown_caller());
        }
        let roles = text("x-user-roles").split([' ', ',']).filter(|role| !role.is_empty());
        Ok(Self { id: id.to_owned(), roles: roles.map(str::to_owned).collect() })
    }
}

/// Without a user it is another service that asks: one whose sidecar vouched for it.
impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Failure> {
        if !parts.headers.contains_key("x-user-id") {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}
