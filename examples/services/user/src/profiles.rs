//! Who somebody is, and who may see and change it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chassis::{Body, Caller, Failure, FailureBody, Part};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::accounts::{Accounts, Change, Profile, Role};
use crate::passwords::Passwords;
use crate::words::Wrong;

/// The people of the shop.
#[derive(Clone)]
pub(crate) struct People {
    pub(crate) accounts: Accounts,
    pub(crate) passwords: Passwords,
}

/// What one changes of oneself; what is left out stays.
#[derive(Deserialize, ToSchema)]
struct OwnChange {
    #[schema(max_length = 120)]
    name: Option<String>,
    /// A new password; `current_password` has to come with it.
    #[schema(min_length = 10, max_length = 128)]
    password: Option<String>,
    current_password: Option<String>,
}

/// What somebody may do.
#[derive(Deserialize, ToSchema)]
struct NewRoles {
    /// One to three.
    roles: Vec<Role>,
    /// May they sign in? Stays as it is unless told.
    active: Option<bool>,
}

/// Somebody, as another service sees them: no more than it needs.
#[derive(Serialize, ToSchema)]
struct Known {
    id: String,
    name: String,
    roles: Vec<Role>,
    active: bool,
}

/// Somebody, as far as the one who asks may see.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Seen {
    Known(Known),
    Profile(Profile),
}

pub(crate) fn routes(people: People) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(me, change_me))
        .routes(routes!(one))
        .routes(routes!(set_roles))
        .with_state(people)
}

/// Who I am.
#[utoipa::path(get, path = "/api/users/me", tag = "users", responses(
    (status = 200, description = "the caller", body = Profile),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 404, description = "the account is gone", body = FailureBody)))]
async fn me(State(people): State<People>, caller: Caller) -> Result<Json<Profile>, Failure> {
    Ok(Json(people.accounts.of_id(&caller.id).await?.profile()))
}

/// Changes my name or my password.
#[utoipa::path(patch, path = "/api/users/me", tag = "users", request_body = OwnChange, responses(
    (status = 200, description = "the caller, changed", body = Profile),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "`wrong_password`: the current password is another", body = FailureBody),
    (status = 404, description = "the account is gone", body = FailureBody),
    (status = 503, description = "too many register or sign in at this moment", body = FailureBody)))]
async fn change_me(
    State(people): State<People>,
    caller: Caller,
    Body(new): Body<OwnChange>,
) -> Result<Json<Profile>, Failure> {
    let mut wrong = Wrong::default();
    let mut change = Change { name: new.name.map(|name| wrong.name(&name)), ..Change::default() };
    if let Some(password) = &new.password {
        wrong.password(password);
        if new.current_password.is_none() {
            wrong.add("current_password", "is needed for a new password");
        }
    }
    wrong.done()?;
    if let (Some(password), Some(current)) = (new.password, new.current_password) {
        let account = people.accounts.of_id(&caller.id).await?;
        if !people.passwords.is(current, Some(&account.password)).await? {
            let why = "the current password is another";
            return Err(Failure::new(StatusCode::FORBIDDEN, "wrong_password", why));
        }
        change.password = Some(people.passwords.hash(password).await?);
    }
    Ok(Json(people.accounts.change(&caller.id, change).await?.profile()))
}

/// Who somebody is. Staff see all of it, other services what they need.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", params(("id" = String, Path)), responses(
    (status = 200, description = "all of it for staff; id, name, roles and active for services", body = Seen),
    (status = 403, description = "it is somebody else, and the caller is not of the staff", body = FailureBody),
    (status = 404, description = "there is no such user", body = FailureBody)))]
async fn one(
    State(people): State<People>,
    caller: Option<Caller>,
    Part(id): Part<String>,
) -> Result<Json<Seen>, Failure> {
    if let Some(caller) = &caller
        && caller.id != id
    {
        caller.must_be("staff")?;
    }
    let account = people.accounts.of_id(&id).await?;
    Ok(Json(match caller {
        Some(_) => Seen::Profile(account.profile()),
        None => Seen::Known(Known {
            id: account.id,
            name: account.name,
            roles: account.roles,
            active: account.active,
        }),
    }))
}

/// Says what somebody may do, and whether they may come in. Tokens they have keep what they say until they expire.
#[utoipa::path(put, path = "/api/users/{id}/roles", tag = "users", params(("id" = String, Path)),
    request_body = NewRoles, responses(
    (status = 200, description = "the user, changed", body = Profile),
    (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody),
    (status = 403, description = "the caller is no admin", body = FailureBody),
    (status = 404, description = "there is no such user", body = FailureBody),
    (status = 409, description = "`own_admin_role`: somebody has to stay admin", body = FailureBody)))]
async fn set_roles(
    State(people): State<People>,
    caller: Caller,
    Part(id): Part<String>,
    Body(new): Body<NewRoles>,
) -> Result<Json<Profile>, Failure> {
    caller.must_be("admin")?;
    let mut roles = new.roles;
    roles.sort_unstable();
    roles.dedup();
    let mut wrong = Wrong::default();
    if roles.is_empty() {
        wrong.add("roles", "is at least one role");
    }
    wrong.done()?;
    // An admin can only be unmade by another one, so there always is one.
    if caller.id == id && (!roles.contains(&Role::Admin) || new.active == Some(false)) {
        return Err(Failure::conflict("own_admin_role", "ask another admin to take yours away"));
    }
    let change = Change { roles: Some(roles), active: new.active, ..Change::default() };
    let account = people.accounts.change(&id, change).await?;
    tracing::info!(user = id, by = caller.id, "roles changed");
    Ok(Json(account.profile()))
}
