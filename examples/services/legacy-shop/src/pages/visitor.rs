//! Who looks at a page, and whether a form really comes from one of ours.

use axum::body::{Body, to_bytes};
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use chassis::{Failure, now_ms};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Frame, Trouble, rendered};
use crate::session::SessionId;
use crate::told::local;
use crate::{BODY_BYTES_MAX, Shop};

/// Somebody at the door, signed in or not. Pages ask the cookie only: what a gateway says is for the API.
pub(super) struct Visitor {
    pub(super) session: SessionId,
    pub(super) user: Option<Known>,
    cart: i64,
    is_new: bool,
    secure: bool,
}

/// Who is signed in.
pub(super) struct Known {
    pub(super) id: String,
    name: String,
}

/// A form sent by a page of ours to this visitor: it carries the token of the visitor's session, or it is refused.
pub(super) struct Sent<T> {
    pub(super) visitor: Visitor,
    pub(super) form: T,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    csrf: String,
}

impl Visitor {
    /// The user, or the way to the door.
    pub(super) fn known(&self) -> Result<&Known, Redirect> {
        self.user.as_ref().ok_or_else(|| Redirect::to("/login"))
    }

    pub(super) fn frame(&self) -> Frame {
        let user = self.user.as_ref().map(|user| user.name.clone());
        Frame { user, cart: self.cart, csrf: self.session.form_token(), made: local(now_ms()) }
    }

    /// Shows a page, and hands a new visitor the cookie that the page's forms go with.
    pub(super) fn shown(&self, page: &impl askama::Template) -> Response {
        let page = rendered(page);
        if !self.is_new {
            return page;
        }
        ([(header::SET_COOKIE, self.session.cookie(self.secure))], page).into_response()
    }
}

impl FromRequestParts<Shop> for Visitor {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, Trouble> {
        let secure = shop.secure_cookies;
        let Some(session) = SessionId::of_cookie(&parts.headers) else {
            return Ok(Self { session: SessionId::new(), user: None, cart: 0, is_new: true, secure });
        };
        let row: Option<(i64, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM cart_lines WHERE session_id = s.id), u.id, u.name \
             FROM sessions s LEFT JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND s.expires_at > $2",
        )
        .bind(session.row())
        .bind(now_ms())
        .fetch_optional(shop.database.pool())
        .await?;
        let (cart, id, name) = row.unwrap_or_default();
        let user = id.zip(name).map(|(id, name)| Known { id, name });
        Ok(Self { session, user, cart, is_new: false, secure })
    }
}

impl<T: DeserializeOwned> FromRequest<Shop> for Sent<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, shop: &Shop) -> Result<Self, Trouble> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, shop).await?;
        let body =
            to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Failure::invalid("the form is too large"))?;
        // The token is read on its own, so that no form can forget to be asked for it.
        let again = || Request::from_parts(parts.clone(), Body::from(body.clone()));
        let Form(token) = read::<Token>(again()).await?;
        if visitor.is_new || !visitor.session.made(&token.csrf) {
            let message =
                "This form is too old, or not ours. Go back, load the page again and send it once more.";
            return Err(Failure::new(StatusCode::FORBIDDEN, "forged_form", message).into());
        }
        let Form(form) = read::<T>(again()).await?;
        Ok(Self { visitor, form })
    }
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<Form<T>, Failure> {
    Form::from_request(request, &()).await.map_err(|rejection| Failure::invalid(rejection.body_text()))
}
