//! Accounts: who has registered, and signing in. The API (`users.rs`) and the pages share it.

use chassis::{Failure, now_ms};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use crate::told::{row_id, time};
use crate::{Shop, notifications};

pub(crate) const ROLES: [&str; 3] = ["admin", "customer", "staff"];

/// Somebody with an account.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
    #[sqlx(try_from = "String")]
    pub(crate) roles: Roles,
    #[serde(serialize_with = "time")]
    #[schema(value_type = String)]
    pub(crate) created_at: i64,
}

/// What somebody may do here.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Roles(Vec<String>);

impl From<String> for Roles {
    fn from(text: String) -> Self {
        Self(text.split(' ').map(str::to_owned).collect())
    }
}

/// What an account is opened with, checked.
pub(crate) struct NewAccount {
    email: String,
    name: String,
    password: String,
}

impl NewAccount {
    pub(crate) fn of(email: &str, name: &str, password: &str) -> Result<Self, Failure> {
        let (email, name) = (normal(email), name.trim().to_owned());
        let mut wrong = serde_json::Map::new();
        if !is_address(&email) {
            wrong.insert("email".to_owned(), "this is no mail address".into());
        }
        if !is_name(&name) {
            wrong.insert("name".to_owned(), "1 to 120 letters".into());
        }
        if !(10..=128).contains(&password.chars().count()) {
            wrong.insert("password".to_owned(), "10 to 128 letters".into());
        }
        if wrong.is_empty() {
            return Ok(Self { email, name, password: password.to_owned() });
        }
        Err(Failure::invalid("an account needs a mail address, a name and a password").with(wrong))
    }
}

impl Shop {
    /// Opens an account for a customer.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn open_account(&self, new: NewAccount) -> Result<User, Failure> {
        let password = self.passwords.hash(&new.password).await?;
        let (id, created_at) = (row_id(), now_ms());
        let mut write = self.database.write().await?;
        let opened = sqlx::query(
            "INSERT INTO users (id, email, name, roles, password, created_at) \
             VALUES ($1, $2, $3, 'customer', $4, $5) ON CONFLICT (email) DO NOTHING",
        )
        .bind(&id)
        .bind(&new.email)
        .bind(&new.name)
        .bind(password)
        .bind(created_at)
        .execute(&mut *write)
        .await?;
        if opened.rows_affected() == 0 {
            return Err(Failure::conflict("email_taken", "there is an account with this mail address"));
        }
        notifications::tell(&mut write, &id, "user.registered", None).await?;
        write.commit().await?;
        let roles = Roles::from("customer".to_owned());
        Ok(User { id, email: new.email, name: new.name, roles, created_at })
    }

    /// The user with this mail address and password: the same 401 whichever of the two is wrong.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn who_has(&self, email: &str, password: &str) -> Result<User, Failure> {
        let wrong = || {
            let status = axum::http::StatusCode::UNAUTHORIZED;
            Failure::new(status, "wrong_credentials", "the mail address or the password is wrong")
        };
        let email = normal(email);
        if !is_address(&email) || password.chars().count() > 128 {
            return Err(wrong());
        }
        let known: Option<(String, String)> =
            sqlx::query_as("SELECT id, password FROM users WHERE email = $1")
                .bind(&email)
                .fetch_optional(self.database.pool())
                .await?;
        let hash = known.as_ref().map(|(_, hash)| hash.as_str());
        match (self.passwords.verify(&email, password, hash).await?, &known) {
            (true, Some((id, _))) => self.user(id).await?.ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }

    /// The user of this id.
    pub(crate) async fn user(&self, id: &str) -> Result<Option<User>, Failure> {
        let query = "SELECT id, email, name, roles, created_at FROM users WHERE id = $1";
        Ok(sqlx::query_as(query).bind(id).fetch_optional(self.database.pool()).await?)
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 120 && !name.contains(char::is_control)
}

fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

fn is_address(email: &str) -> bool {
    let parts = email.split_once('@');
    let whole =
        parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'));
    whole
        && email.len() <= 254
        && !email.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}
