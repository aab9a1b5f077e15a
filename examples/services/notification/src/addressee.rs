//! Who is written to, where, and how they want it.

use std::collections::BTreeMap;

use chassis::{Database, Failure, Write};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};
use utoipa::ToSchema;

/// How a message gets to somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Channel {
    Mail,
    Push,
    Sms,
}

/// How somebody wants to be told.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Preferences {
    pub(crate) mail: bool,
    pub(crate) push: bool,
    /// This needs a `phone`.
    pub(crate) sms: bool,
    /// `+49301234567`, or empty.
    #[serde(default)]
    #[schema(pattern = r"^(\+[0-9]{7,15})?$")]
    pub(crate) phone: String,
}

/// Somebody.
#[derive(Clone, Debug)]
pub(crate) struct Addressee {
    user_id: String,
    pub(crate) email: String,
    /// Empty as long as they have not been heard of.
    pub(crate) name: String,
    pub(crate) preferences: Preferences,
}

impl Channel {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Push => "push",
            Self::Sms => "sms",
        }
    }
}

impl Default for Preferences {
    fn default() -> Self {
        Self { mail: true, push: true, sms: false, phone: String::new() }
    }
}

impl Preferences {
    /// The same, or what is wrong with it.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let mut wrong = BTreeMap::new();
        let digits = self.phone.strip_prefix('+').unwrap_or_default();
        let is_number =
            (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !self.phone.is_empty() && !is_number {
            wrong.insert("phone", "is '+' and 7 to 15 digits");
        }
        if self.sms && self.phone.is_empty() {
            wrong.insert("sms", "needs a phone");
        }
        if wrong.is_empty() {
            Ok(self)
        } else {
            Err(Failure::invalid("these preferences cannot be kept").with(wrong))
        }
    }
}

impl Addressee {
    /// The one with this id. Of whom nothing is known yet, the defaults are true.
    pub(crate) async fn find<'e>(
        from: impl Executor<'e, Database = Any>,
        user_id: &str,
    ) -> Result<Self, sqlx::Error> {
        let row = sqlx::query("SELECT * FROM addressee WHERE user_id = $1")
            .bind(user_id)
            .fetch_optional(from)
            .await?;
        row.map_or_else(
            || {
                Ok(Self {
                    user_id: user_id.to_owned(),
                    email: String::new(),
                    name: String::new(),
                    preferences: Preferences::default(),
                })
            },
            |row| Self::read(&row),
        )
    }

    /// Keeps where somebody is reached.
    pub(crate) async fn meet(
        write: &mut Write,
        user_id: &str,
        email: &str,
        name: &str,
    ) -> Result<(), sqlx::Error> {
        let known = Preferences::default();
        let put = "INSERT INTO addressee (user_id, email, name, phone, mail, push, sms) \
                   VALUES ($1, $2, $3, '', $4, $5, $6) \
                   ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, name = excluded.name";
        sqlx::query(put)
            .bind(user_id)
            .bind(email)
            .bind(name)
            .bind(i64::from(known.mail))
            .bind(i64::from(known.push))
            .bind(i64::from(known.sms))
            .execute(&mut **write)
            .await
            .map(|_| ())
    }

    /// Keeps how somebody wants to be told.
    pub(crate) async fn prefer(
        database: &Database,
        user_id: &str,
        preferences: &Preferences,
    ) -> Result<(), sqlx::Error> {
        let mut write = database.write().await?;
        let put = "INSERT INTO addressee (user_id, email, name, phone, mail, push, sms) \
                   VALUES ($1, '', '', $2, $3, $4, $5) ON CONFLICT (user_id) DO UPDATE SET \
                   phone = excluded.phone, mail = excluded.mail, push = excluded.push, sms = excluded.sms";
        sqlx::query(put)
            .bind(user_id)
            .bind(&preferences.phone)
            .bind(i64::from(preferences.mail))
            .bind(i64::from(preferences.push))
            .bind(i64::from(preferences.sms))
            .execute(&mut *write)
            .await?;
        write.commit().await
    }

    /// How they are told, and to where. Whose address has not been heard of is known to the house that carries the mail
    /// by their id, as phones that are pushed to are.
    pub(crate) fn ways(&self) -> Vec<(Channel, &str)> {
        let wants = &self.preferences;
        let email = if self.email.is_empty() { &self.user_id } else { &self.email };
        let ways = [
            (wants.mail, Channel::Mail, email),
            (wants.push, Channel::Push, &self.user_id),
            (wants.sms, Channel::Sms, &wants.phone),
        ];
        ways.into_iter().filter(|(is_wanted, ..)| *is_wanted).map(|(_, way, to)| (way, to.as_str())).collect()
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let wants = |name: &str| row.try_get::<i64, _>(name).map(|value| value != 0);
        Ok(Self {
            user_id: row.try_get("user_id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            preferences: Preferences {
                mail: wants("mail")?,
                push: wants("push")?,
                sms: wants("sms")?,
                phone: row.try_get("phone")?,
            },
        })
    }
}
