//! Coming in: who is new registers, who is known signs in and gets a token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::{Body, Failure, FailureBody, now_ms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::{Accounts, Profile, Role};
use crate::passwords::Passwords;
use crate::throttle::Throttle;
use crate::tokens::Tokens;
use crate::words::{NewUser, normal};

/// No email and no password is longer; what is need not be looked at.
const WORD_BYTES_MAX: usize = 1024;

/// What it takes to let somebody in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) tokens: Tokens,
}

/// Who one says one is.
#[derive(Deserialize, ToSchema)]
struct Login {
    email: String,
    password: String,
}

/// What shows it from now on.
#[derive(Serialize, ToSchema)]
struct SignedIn {
    /// For `Authorization: Bearer ...`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    user: Profile,
}

pub(crate) fn routes(door: Door) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(register)).routes(routes!(login)).with_state(door)
}

/// Registers somebody new, as a customer.
#[utoipa::path(post, path = "/api/users", tag = "users", request_body = NewUser, responses(
    (status = 201, description = "welcome; others are told `user.registered`", body = Profile),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 409, description = "`email_taken`", body = FailureBody),
    (status = 503, description = "too many register or sign in at this moment", body = FailureBody)))]
async fn register(
    State(door): State<Door>,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<Profile>), Failure> {
    let new = new.checked()?;
    let taken = || Failure::conflict("email_taken", "there is an account with this email");
    // The database has the last word; this spares the work of a hash that nobody will keep.
    if door.accounts.of_email(&new.email).await?.is_some() {
        return Err(taken());
    }
    let hash = door.passwords.hash(new.password).await?;
    let made = door.accounts.make(&new.email, &new.name, &hash, &[Role::Customer]).await?;
    let account = made.ok_or_else(taken)?;
    tracing::info!(user = account.id, "registered");
    Ok((StatusCode::CREATED, Json(account.profile())))
}

/// Signs somebody in. Whether the email or the password is wrong is not told, in words or by the time it takes.
#[utoipa::path(post, path = "/api/users/login", tag = "users", request_body = Login, responses(
    (status = 200, description = "a token", body = SignedIn),
    (status = 400, description = "it cannot be understood", body = FailureBody),
    (status = 401, description = "`wrong_credentials`", body = FailureBody),
    (status = 429, description = "`too_many_tries` for this email; Retry-After says when", body = FailureBody),
    (status = 503, description = "too many register or sign in at this moment", body = FailureBody)))]
async fn login(State(door): State<Door>, Body(login): Body<Login>) -> Result<Response, Failure> {
    let (email, password) = (normal(&login.email), login.password);
    if email.len() > WORD_BYTES_MAX || password.len() > WORD_BYTES_MAX {
        return Err(Failure::invalid("nobody's email or password is so long"));
    }
    if let Err(seconds) = door.throttle.take(&email, now_ms()) {
        let why = "too many wrong passwords for this account; wait a little";
        let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "too_many_tries", why);
        return Ok(([(header::RETRY_AFTER, seconds.to_string())], failure).into_response());
    }
    let account = door.accounts.of_email(&email).await?;
    let kept = account.as_ref().map(|account| account.password.as_str());
    let is_right = match door.passwords.is(password, kept).await {
        Ok(is_right) => is_right,
        Err(busy) => {
            door.throttle.give_back(&email);
            return Err(busy);
        }
    };
    let Some(account) = account.filter(|account| is_right && account.active) else {
        tracing::info!("a login failed");
        let why = "the email or the password is wrong";
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "wrong_credentials", why));
    };
    door.throttle.give_back(&email);
    let signed_in = SignedIn {
        access_token: door.tokens.sign(&account).await?,
        token_type: "Bearer",
        expires_in: door.tokens.seconds(),
        user: account.profile(),
    };
    // RFC 6749 section 5.1: nobody on the way keeps a token.
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(signed_in)).into_response())
}
