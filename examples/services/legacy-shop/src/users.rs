//! `/api/users`: register, sign in, profiles, roles.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use chassis::{Body, Caller, Failure, FailureBody, Part};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shop;
use crate::accounts::{NewAccount, ROLES, User, is_name};
use crate::session::{self, SessionId, USER_MS};

#[derive(Deserialize, ToSchema)]
struct NewUser {
    email: String,
    name: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct Credentials {
    email: String,
    password: String,
}

/// The session's id, told as if it were a token; the same id is in the cookie.
#[derive(Serialize, ToSchema)]
struct SignedIn {
    access_token: String,
    token_type: String,
    expires_in: i64,
    user: User,
}

#[derive(Deserialize, ToSchema)]
struct Changes {
    name: String,
}

#[derive(Deserialize, ToSchema)]
struct NewRoles {
    roles: Vec<String>,
}

pub(crate) fn routes() -> OpenApiRouter<Shop> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(me, change_me))
        .routes(routes!(one))
        .routes(routes!(set_roles))
}

/// Opens an account.
#[utoipa::path(post, path = "/api/users", tag = "users", request_body = NewUser,
    responses((status = 201, body = User), (status = 400, body = FailureBody),
        (status = 409, body = FailureBody, description = "the mail address has an account")))]
async fn register(State(shop): State<Shop>, Body(new): Body<NewUser>) -> Result<impl IntoResponse, Failure> {
    let user = shop.open_account(NewAccount::of(&new.email, &new.name, &new.password)?).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Signs in: begins a session.
#[utoipa::path(post, path = "/api/users/login", tag = "users", request_body = Credentials,
    responses((status = 200, body = SignedIn), (status = 401, body = FailureBody),
        (status = 429, body = FailureBody, description = "too many wrong passwords")))]
async fn login(
    State(shop): State<Shop>,
    headers: HeaderMap,
    Body(with): Body<Credentials>,
) -> Result<impl IntoResponse, Failure> {
    let user = shop.who_has(&with.email, &with.password).await?;
    let visitor = SessionId::of_cookie(&headers);
    let id = session::sign_in(&shop.database, &user.id, visitor.as_ref()).await?;
    let cookie = [(header::SET_COOKIE, id.cookie(shop.secure_cookies))];
    let (access_token, token_type) = (id.text().to_owned(), "Bearer".to_owned());
    Ok((cookie, Json(SignedIn { access_token, token_type, expires_in: USER_MS / 1000, user })))
}

/// The caller's profile.
#[utoipa::path(get, path = "/api/users/me", tag = "users",
    responses((status = 200, body = User), (status = 401, body = FailureBody), (status = 404, body = FailureBody)))]
async fn me(State(shop): State<Shop>, caller: Caller) -> Result<Json<User>, Failure> {
    shop.user(&caller.id).await?.map(Json).ok_or_else(|| Failure::not_found("user"))
}

/// Changes the caller's profile.
#[utoipa::path(patch, path = "/api/users/me", tag = "users", request_body = Changes,
    responses((status = 200, body = User), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 404, body = FailureBody)))]
async fn change_me(
    State(shop): State<Shop>,
    caller: Caller,
    Body(changes): Body<Changes>,
) -> Result<Json<User>, Failure> {
    let name = changes.name.trim();
    if !is_name(name) {
        let details = serde_json::json!({ "name": "1 to 120 letters" });
        return Err(Failure::invalid("this is no name").with(details));
    }
    let mut write = shop.database.write().await?;
    let query = "UPDATE users SET name = $1 WHERE id = $2";
    sqlx::query(query).bind(name).bind(&caller.id).execute(&mut *write).await?;
    write.commit().await?;
    shop.user(&caller.id).await?.map(Json).ok_or_else(|| Failure::not_found("user"))
}

/// The profile of anybody, for staff.
#[utoipa::path(get, path = "/api/users/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = User), (status = 401, body = FailureBody), (status = 403, body = FailureBody),
        (status = 404, body = FailureBody)))]
async fn one(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
) -> Result<Json<User>, Failure> {
    if caller.id != id {
        caller.must_be("staff")?;
    }
    shop.user(&id).await?.map(Json).ok_or_else(|| Failure::not_found("user"))
}

/// Says what somebody may do. Sessions know the roles of their user from the database, so it holds at once.
#[utoipa::path(put, path = "/api/users/{id}/roles", tag = "users", request_body = NewRoles,
    params(("id" = String, Path)),
    responses((status = 200, body = User), (status = 400, body = FailureBody), (status = 401, body = FailureBody),
        (status = 403, body = FailureBody), (status = 404, body = FailureBody)))]
async fn set_roles(
    State(shop): State<Shop>,
    caller: Caller,
    Part(id): Part<String>,
    Body(new): Body<NewRoles>,
) -> Result<Json<User>, Failure> {
    caller.must_be("admin")?;
    let mut roles = new.roles;
    roles.sort();
    roles.dedup();
    if roles.is_empty() || roles.iter().any(|role| !ROLES.contains(&role.as_str())) {
        let details = serde_json::json!({ "roles": format!("one or more of {}", ROLES.join(", ")) });
        return Err(Failure::invalid("there are no such roles").with(details));
    }
    let mut write = shop.database.write().await?;
    let query = "UPDATE users SET roles = $1 WHERE id = $2";
    sqlx::query(query).bind(roles.join(" ")).bind(&id).execute(&mut *write).await?;
    write.commit().await?;
    shop.user(&id).await?.map(Json).ok_or_else(|| Failure::not_found("user"))
}
