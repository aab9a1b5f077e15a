//! Sessions: a random id in a cookie, and a row in the database once there is something to keep (a cart, a user).
//!
//! The database holds a hash of the id, the forms hold a token made from it; neither leads back to the id. A visitor who
//! only looks has an id and no row, so that looking never writes.

use axum::http::{HeaderMap, HeaderValue, header};
use chassis::{Database, Write, now_ms};
use ring::{digest, hmac};
use uuid::Uuid;

pub(crate) const COOKIE: &str = "shop_session";
const ID_LETTERS: usize = 64;
/// A cart without an owner is kept for a day, who signed in stays so for a week.
const GUEST_MS: i64 = 24 * 60 * 60 * 1000;
pub(crate) const USER_MS: i64 = 7 * GUEST_MS;
/// The oldest session of a user ends when another one begins after these.
const PER_USER_MAX: i64 = 200;

/// The id of a session. Whoever knows it is in it.
#[derive(Clone)]
pub(crate) struct SessionId(String);

impl SessionId {
    /// A new one, of 244 random bits.
    pub(crate) fn new() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    /// What looks like one.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let looks = text.len() == ID_LETTERS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        looks.then(|| Self(text.to_owned()))
    }

    /// The one in the request's cookie.
    pub(crate) fn of_cookie(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == COOKIE).and_then(|(_, value)| Self::of(value))
    }

    /// The one that was handed out as an access token.
    pub(crate) fn of_token(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").and_then(Self::of)
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// The key of its row.
    pub(crate) fn row(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref())
    }

    /// What a form must carry: another site can send a form here, but cannot know this.
    pub(crate) fn form_token(&self) -> String {
        hex(hmac::sign(&self.key(), b"form").as_ref())
    }

    /// Is it the token of this session's forms? Compared in constant time.
    pub(crate) fn made(&self, form_token: &str) -> bool {
        // Signed again, because `verify` wants bytes, and a token is text.
        let (key, wanted) = (self.key(), self.form_token());
        let sign = |text: &str| hmac::sign(&key, text.as_bytes());
        hmac::verify(&key, form_token.as_bytes(), sign(&wanted).as_ref()).is_ok()
    }

    /// The cookie that carries it. No script reads it, and other sites' forms do not send it.
    pub(crate) fn cookie(&self, secure: bool) -> HeaderValue {
        let secure = if secure { "; Secure" } else { "" };
        let text = format!(
            "{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}",
            self.0,
            USER_MS / 1000
        );
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes())
    }
}

/// Keeps a visitor's session, so that a cart can be kept in it.
pub(crate) async fn keep_guest(write: &mut Write, id: &SessionId) -> Result<(), sqlx::Error> {
    // One that is over must not come to life again with the user it had.
    let over = "DELETE FROM sessions WHERE id = $1 AND expires_at <= $2";
    sqlx::query(over).bind(id.row()).bind(now_ms()).execute(&mut **write).await?;
    sqlx::query("INSERT INTO sessions (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(id.row())
        .bind(now_ms() + GUEST_MS)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Begins the session of a user. It gets a new id, whatever the visitor's was: an id that somebody else had planted in
/// the browser is worth nothing after this. The cart comes along.
pub(crate) async fn sign_in(
    database: &Database,
    user_id: &str,
    visitor: Option<&SessionId>,
) -> Result<SessionId, sqlx::Error> {
    let id = SessionId::new();
    let mut write = database.write().await?;
    sqlx::query("INSERT INTO sessions (id, user_id, expires_at) VALUES ($1, $2, $3)")
        .bind(id.row())
        .bind(user_id)
        .bind(now_ms() + USER_MS)
        .execute(&mut *write)
        .await?;
    if let Some(visitor) = visitor {
        sqlx::query("UPDATE cart_lines SET session_id = $1 WHERE session_id = $2")
            .bind(id.row())
            .bind(visitor.row())
            .execute(&mut *write)
            .await?;
        delete(&mut write, visitor).await?;
    }
    let too_many = "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
                    (SELECT id FROM sessions WHERE user_id = $1 ORDER BY expires_at DESC LIMIT $2)";
    sqlx::query(too_many).bind(user_id).bind(PER_USER_MAX).execute(&mut *write).await?;
    write.commit().await?;
    Ok(id)
}

/// Ends a session, and its cart with it.
pub(crate) async fn delete(write: &mut Write, id: &SessionId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sessions WHERE id = $1").bind(id.row()).execute(&mut **write).await?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{COOKIE, SessionId};
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn a_form_token_is_good_in_its_own_session_only() {
        let (one, other) = (SessionId::new(), SessionId::new());
        assert!(one.made(&one.form_token()));
        assert!(!one.made(&other.form_token()) && !one.made("") && !one.made(one.text()));
    }

    #[test]
    fn the_id_is_found_among_other_cookies() {
        let id = SessionId::new();
        let mut headers = HeaderMap::new();
        let line = format!("theme=dark; {COOKIE}={}; x", id.text());
        headers.insert("cookie", HeaderValue::from_str(&line).unwrap());
        assert_eq!(SessionId::of_cookie(&headers).unwrap().text(), id.text());
        headers.insert("cookie", HeaderValue::from_static("shop_session=../../etc"));
        assert!(SessionId::of_cookie(&headers).is_none());
    }

    #[test]
    fn the_cookie_is_for_this_site_and_no_script() {
        let cookie = SessionId::new().cookie(true);
        let text = cookie.to_str().unwrap();
        assert!(
            text.contains("HttpOnly") && text.contains("SameSite=Lax") && text.contains("Secure"),
            "{text}"
        );
        assert!(!SessionId::new().cookie(false).to_str().unwrap().contains("Secure"));
    }
}
