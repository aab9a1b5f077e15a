//! What the world asks of it.

use axum::Json;
use axum::extract::State;
use chassis::{Body, Caller, Database, Failure, FailureBody, Page, Params, Part};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::addressee::{Addressee, Preferences};
use crate::messages::{self, Notification};
use crate::stage::values_of;
use crate::template::{NewTemplate, Template};

/// Some of what was said.
#[derive(Serialize, ToSchema)]
struct List {
    items: Vec<Notification>,
    page: i64,
    size: i64,
    total: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct At {
    /// This version, if it is still kept; else the one in use.
    version: Option<i64>,
}

pub(crate) fn routes(database: Database) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(preferences, prefer))
        .routes(routes!(template, edit))
        .with_state(database)
}

/// What the caller was told, newest first; the last 200.
#[utoipa::path(get, path = "/api/notifications", tag = "notifications", params(Page), responses(
    (status = 200, description = "a page of it", body = List),
    (status = 400, description = "the page is no number", body = FailureBody),
    (status = 401, description = "nobody is signed in", body = FailureBody)))]
async fn list(
    State(database): State<Database>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Json<List>, Failure> {
    let (items, total) = messages::list(&database, &caller.id, page).await?;
    Ok(Json(List { items, page: page.number(), size: page.size(), total }))
}

/// How the caller wants to be told.
#[utoipa::path(get, path = "/api/notifications/preferences", tag = "notifications", responses(
    (status = 200, description = "mail and push, unless they said otherwise", body = Preferences),
    (status = 401, description = "nobody is signed in", body = FailureBody)))]
async fn preferences(State(database): State<Database>, caller: Caller) -> Result<Json<Preferences>, Failure> {
    Ok(Json(Addressee::find(database.pool(), &caller.id).await?.preferences))
}

/// Says how the caller wants to be told from now on.
#[utoipa::path(put, path = "/api/notifications/preferences", tag = "notifications", request_body = Preferences,
    responses(
        (status = 200, description = "it is kept", body = Preferences),
        (status = 400, description = "`details` names the fields that are wrong", body = FailureBody),
        (status = 401, description = "nobody is signed in", body = FailureBody)))]
async fn prefer(
    State(database): State<Database>,
    caller: Caller,
    Body(preferences): Body<Preferences>,
) -> Result<Json<Preferences>, Failure> {
    let preferences = preferences.checked()?;
    Addressee::prefer(&database, &caller.id, &preferences).await?;
    Ok(Json(preferences))
}

/// What is said when something happens. For staff.
#[utoipa::path(get, path = "/api/notifications/templates/{name}", tag = "templates",
    params(("name" = String, Path, example = "order.completed"), At), responses(
        (status = 200, description = "the template", body = Template),
        (status = 400, description = "the version is no number", body = FailureBody),
        (status = 401, description = "nobody is signed in", body = FailureBody),
        (status = 403, description = "this is for staff", body = FailureBody),
        (status = 404, description = "there is no such template, or not this version", body = FailureBody)))]
async fn template(
    State(database): State<Database>,
    caller: Caller,
    Part(name): Part<String>,
    Params(at): Params<At>,
) -> Result<Json<Template>, Failure> {
    caller.must_be("staff")?;
    values_of(&name).ok_or_else(|| Failure::not_found("template"))?;
    Ok(Json(Template::find(database.pool(), &name, at.version).await?))
}

/// Says it in other words from now on. For admins.
#[utoipa::path(put, path = "/api/notifications/templates/{name}", tag = "templates", request_body = NewTemplate,
    params(("name" = String, Path, example = "order.completed")), responses(
        (status = 200, description = "a new version is in use", body = Template),
        (status = 400, description = "`bad_template`: `details` has field, line, column and why", body = FailureBody),
        (status = 401, description = "nobody is signed in", body = FailureBody),
        (status = 403, description = "this is for admins", body = FailureBody),
        (status = 404, description = "there is no such template", body = FailureBody),
        (status = 409, description = "`edited`: somebody was faster", body = FailureBody)))]
async fn edit(
    State(database): State<Database>,
    caller: Caller,
    Part(name): Part<String>,
    Body(new): Body<NewTemplate>,
) -> Result<Json<Template>, Failure> {
    caller.must_be("admin")?;
    Ok(Json(Template::put(&database, &name, &caller.id, &new).await?))
}
