//! Who asks the JSON API. The gateway says it in `x-user-id` and `x-user-roles`; here a session is turned into the same two
//! headers, so that what follows asks one question only ([`chassis::Caller`]).
//!
//! **What the trust in the headers rests on.** Anybody can write a header. The gateway removes both from what comes from
//! outside and sets them from a token it has verified, and nobody but the gateway can reach this port: it listens on
//! loopback. When `LISTEN` is another address that no longer holds, so the headers are then removed here, unless
//! `TRUST_GATEWAY=yes` says that the network lets nobody else in.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chassis::{Failure, now_ms};

use crate::Shop;
use crate::session::SessionId;

const USER: HeaderName = HeaderName::from_static("x-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-user-roles");

/// Around every route of the API.
pub(crate) async fn identify(State(shop): State<Shop>, mut request: Request, next: Next) -> Response {
    if !shop.trusts_gateway || !request.headers().contains_key(USER) {
        request.headers_mut().remove(USER);
        request.headers_mut().remove(ROLES);
        if let Err(failure) = by_session(&shop, &mut request).await {
            return failure.into_response();
        }
    }
    next.run(request).await
}

async fn by_session(shop: &Shop, request: &mut Request) -> Result<(), Failure> {
    let token = SessionId::of_token(request.headers());
    let cookie = SessionId::of_cookie(request.headers());
    if token.is_none() && cookie.is_some() && is_forged(request.method(), request.headers()) {
        let message = "another site sent this with your cookie";
        return Err(Failure::new(StatusCode::FORBIDDEN, "cross_site", message));
    }
    let Some(id) = token.or(cookie) else { return Ok(()) };
    let user: Option<(String, String)> = sqlx::query_as(
        "SELECT u.id, u.roles FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $1 AND s.expires_at > $2",
    )
    .bind(id.row())
    .bind(now_ms())
    .fetch_optional(shop.database.pool())
    .await?;
    if let Some((id, roles)) = user
        && let (Ok(id), Ok(roles)) = (HeaderValue::from_str(&id), HeaderValue::from_str(&roles))
    {
        request.headers_mut().insert(USER, id);
        request.headers_mut().insert(ROLES, roles);
    }
    Ok(())
}

/// A browser adds the cookie by itself, so a page of another site could have made it ask. `SameSite=Lax` keeps the cookie
/// out of that; this is for the browsers and the sister domains for which it does not.
fn is_forged(method: &Method, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !method.is_safe() && site.is_some_and(|site| site != b"same-origin" && site != b"none")
}
