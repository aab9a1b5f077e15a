//! The accounts in the database.

use std::fmt;

use chassis::events::{Event, Outbox};
use chassis::{Database, Failure, now_ms, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;
use uuid::Uuid;

/// What somebody may do in the shop.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// All of it.
    Admin,
    /// Buys.
    Customer,
    /// Works here.
    Staff,
}

/// Somebody.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
    /// What is kept of the password.
    pub(crate) password: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) active: bool,
    pub(crate) created_at: i64,
}

/// Somebody, as they and the staff see them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Profile {
    id: String,
    email: String,
    name: String,
    roles: Vec<Role>,
    active: bool,
    created_at: String,
}

/// What changes of an account; the rest stays.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) roles: Option<Vec<Role>>,
    pub(crate) active: Option<bool>,
}

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct Accounts {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
}

impl Accounts {
    /// Makes an account and tells others of it; `None` if the email has one. What is kept of the password comes
    /// ready: hashing takes longer than a transaction should.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn make(
        &self,
        email: &str,
        name: &str,
        password: &str,
        roles: &[Role],
    ) -> Result<Option<Account>, sqlx::Error> {
        let mut write = self.database.write().await?;
        let insert = "INSERT INTO account (id, email, name, password, roles, active, created_at) \
                      VALUES ($1, $2, $3, $4, $5, 1, $6) ON CONFLICT (email) DO NOTHING RETURNING *";
        let row = sqlx::query(insert)
            .bind(Uuid::now_v7().to_string())
            .bind(email)
            .bind(name)
            .bind(password)
            .bind(words(roles))
            .bind(now_ms())
            .fetch_optional(&mut *write)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let account = Account::read(&row)?;
        let data = json!({ "id": account.id, "email": account.email, "name": account.name });
        self.outbox.put(&mut write, Event::now("user.registered", &account.id, data)).await?;
        write.commit().await?;
        Ok(Some(account))
    }

    /// The account of this id.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn of_id(&self, id: &str) -> Result<Account, Failure> {
        let row = sqlx::query("SELECT * FROM account WHERE id = $1")
            .bind(id)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(Account::read(&row.ok_or_else(|| Failure::not_found("user"))?)?)
    }

    /// The account of this email, if there is one.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn of_email(&self, email: &str) -> Result<Option<Account>, sqlx::Error> {
        let row = sqlx::query("SELECT * FROM account WHERE email = $1")
            .bind(email)
            .fetch_optional(self.database.pool())
            .await?;
        row.as_ref().map(Account::read).transpose()
    }

    /// Is there nobody yet?
    pub(crate) async fn is_empty(&self) -> Result<bool, sqlx::Error> {
        let some = sqlx::query("SELECT id FROM account LIMIT 1").fetch_optional(self.database.pool()).await?;
        Ok(some.is_none())
    }

    /// Changes an account. In one statement: of two changes at once neither undoes the other's fields.
    #[tracing::instrument(skip_all)]
    pub(crate) async fn change(&self, id: &str, change: Change) -> Result<Account, Failure> {
        let mut write = self.database.write().await?;
        let update = "UPDATE account SET name = COALESCE($2, name), password = COALESCE($3, password), \
                      roles = COALESCE($4, roles), active = COALESCE($5, active) WHERE id = $1 RETURNING *";
        let row = sqlx::query(update)
            .bind(id)
            .bind(change.name)
            .bind(change.password)
            .bind(change.roles.as_deref().map(words))
            .bind(change.active.map(i64::from))
            .fetch_optional(&mut *write)
            .await?;
        let account = Account::read(&row.ok_or_else(|| Failure::not_found("user"))?)?;
        write.commit().await?;
        Ok(account)
    }
}

impl Account {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let roles: String = row.try_get("roles")?;
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            password: row.try_get("password")?,
            roles: roles.split(' ').filter_map(Role::of).collect(),
            active: row.try_get::<i64, _>("active")? != 0,
            created_at: row.try_get("created_at")?,
        })
    }

    pub(crate) fn profile(self) -> Profile {
        let created_at = rfc3339(self.created_at);
        let Self { id, email, name, roles, active, .. } = self;
        Profile { id, email, name, roles, active, created_at }
    }
}

impl Role {
    fn of(word: &str) -> Option<Self> {
        [Self::Admin, Self::Customer, Self::Staff].into_iter().find(|role| role.to_string() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Customer => "customer",
            Self::Staff => "staff",
        })
    }
}

/// Roles as they are kept and as tokens tell them: with spaces between them.
pub(crate) fn words(roles: &[Role]) -> String {
    roles.iter().map(Role::to_string).collect::<Vec<_>>().join(" ")
}
