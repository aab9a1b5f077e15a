//! Signing in and out, and opening an account.

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chassis::Failure;
use serde::Deserialize;

use super::visitor::Sent;
use super::{Frame, Trouble, Visitor};
use crate::accounts::NewAccount;
use crate::session;
use crate::{Shop, session::SessionId};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    email: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    frame: Frame,
    name: String,
    email: String,
    wrong: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct NewCustomer {
    name: String,
    email: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn login(visitor: Visitor) -> Response {
    visitor.shown(&LoginPage { frame: visitor.frame(), email: String::new(), wrong: None })
}

pub(super) async fn sign_in(
    State(shop): State<Shop>,
    Sent { visitor, form }: Sent<Credentials>,
) -> Result<Response, Trouble> {
    match shop.who_has(&form.email, &form.password).await {
        Ok(user) => welcome(&shop, &visitor, &user.id).await,
        Err(failure) if failure.status().is_client_error() => {
            let page =
                LoginPage { frame: visitor.frame(), email: form.email, wrong: Some(sentence(&failure)) };
            Ok((failure.status(), visitor.shown(&page)).into_response())
        }
        Err(failure) => Err(failure.into()),
    }
}

pub(super) async fn register(visitor: Visitor) -> Response {
    let (name, email) = (String::new(), String::new());
    visitor.shown(&RegisterPage { frame: visitor.frame(), name, email, wrong: None })
}

pub(super) async fn open(
    State(shop): State<Shop>,
    Sent { visitor, form }: Sent<NewCustomer>,
) -> Result<Response, Trouble> {
    let opened = match NewAccount::of(&form.email, &form.name, &form.password) {
        Ok(new) => shop.open_account(new).await,
        Err(failure) => Err(failure),
    };
    match opened {
        Ok(user) => welcome(&shop, &visitor, &user.id).await,
        Err(failure) if failure.status().is_client_error() => {
            let (name, email, wrong) = (form.name, form.email, Some(sentence(&failure)));
            let page = RegisterPage { frame: visitor.frame(), name, email, wrong };
            Ok((failure.status(), visitor.shown(&page)).into_response())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Ends the session, in the database too: a cookie that somebody has copied is worth nothing after this.
pub(super) async fn sign_out(
    State(shop): State<Shop>,
    Sent { visitor, form: Nothing {} }: Sent<Nothing>,
) -> Result<Response, Trouble> {
    let mut write = shop.database.write().await?;
    session::delete(&mut write, &visitor.session).await?;
    write.commit().await?;
    let cookie = [(header::SET_COOKIE, SessionId::new().cookie(shop.secure_cookies))];
    Ok((cookie, Redirect::to("/")).into_response())
}

async fn welcome(shop: &Shop, visitor: &Visitor, user_id: &str) -> Result<Response, Trouble> {
    let id = session::sign_in(&shop.database, user_id, Some(&visitor.session)).await?;
    let to = if visitor.frame().cart > 0 { "/cart" } else { "/" };
    Ok(([(header::SET_COOKIE, id.cookie(shop.secure_cookies))], Redirect::to(to)).into_response())
}

/// What a person reads: the message, and which fields it is about.
fn sentence(failure: &Failure) -> String {
    let body = failure.body();
    if failure.status() == StatusCode::CONFLICT {
        return format!("{}.", body.message);
    }
    let fields = body.details.as_object().into_iter().flatten();
    let fields: Vec<String> =
        fields.map(|(name, want)| format!("{name}: {}", want.as_str().unwrap_or_default())).collect();
    if fields.is_empty() {
        format!("{}.", body.message)
    } else {
        format!("{} ({}).", body.message, fields.join("; "))
    }
}
