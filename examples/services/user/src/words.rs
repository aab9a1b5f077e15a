//! What people may call themselves, and how a password may be.

use std::collections::BTreeMap;

use chassis::Failure;
use serde::Deserialize;
use utoipa::ToSchema;

/// RFC 5321 section 4.5.3.1: 64 before the `@`, 254 in all.
const LOCAL_MAX: usize = 64;
const EMAIL_MAX: usize = 254;
const NAME_MAX: usize = 120;
const PASSWORD_MIN: usize = 10;
const PASSWORD_MAX: usize = 128;

/// What is wrong, by field.
#[derive(Default)]
pub(crate) struct Wrong(BTreeMap<&'static str, &'static str>);

/// Somebody new.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewUser {
    /// Large and small letters are the same.
    #[schema(max_length = 254)]
    pub(crate) email: String,
    #[schema(max_length = 120)]
    pub(crate) name: String,
    #[schema(min_length = 10, max_length = 128)]
    pub(crate) password: String,
}

impl Wrong {
    /// The email as it is compared.
    pub(crate) fn email(&mut self, text: &str) -> String {
        let email = normal(text);
        if !is_email(&email) {
            self.0.insert("email", "is an address like ada@shop.example, of at most 254 letters");
        }
        email
    }

    /// The name without blanks around it.
    pub(crate) fn name(&mut self, text: &str) -> String {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
            self.0.insert("name", "is one line of 1 to 120 characters");
        }
        name.to_owned()
    }

    /// A password is taken as it is: blanks count.
    pub(crate) fn password(&mut self, text: &str) {
        if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&text.chars().count()) {
            self.0.insert("password", "has 10 to 128 characters");
        }
    }

    /// Something of the caller's own.
    pub(crate) fn add(&mut self, field: &'static str, problem: &'static str) {
        self.0.insert(field, problem);
    }

    /// 400 with all of it, if there is any.
    pub(crate) fn done(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Failure::invalid("some fields cannot be taken as they are").with(self.0))
    }
}

impl NewUser {
    /// The same as it is kept, or what is wrong with each field.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let mut wrong = Wrong::default();
        let (email, name) = (wrong.email(&self.email), wrong.name(&self.name));
        wrong.password(&self.password);
        wrong.done()?;
        Ok(Self { email, name, password: self.password })
    }
}

/// The email as it is compared. By the letter of the law what is before the `@` may tell large from small letters; no
/// mail server does, and people do not.
pub(crate) fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Only what is surely wrong is refused. Whether mail arrives is known when one has arrived.
fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    let is_odd =
        |letter: char| letter.is_whitespace() || letter.is_control() || "<>(),;:\\\"@".contains(letter);
    email.len() <= EMAIL_MAX
        && (1..=LOCAL_MAX).contains(&local.len())
        && !email.replacen('@', "", 1).contains(is_odd)
        && domain.contains('.')
        && domain.split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::{NewUser, is_email, normal};

    #[test]
    fn an_email_is_the_same_in_large_and_small_letters() {
        assert_eq!(normal(" Ada@Shop.EXAMPLE "), "ada@shop.example");
        for good in ["ada@shop.example", "a.b+c@x.y.z", "jürgen@bücher.example"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@shop.example", "a".repeat(65));
        for bad in [
            "",
            "ada",
            "@shop.example",
            "ada@",
            "ada@shop",
            "a b@shop.example",
            "a@b@shop.example",
            "ada@shop..example",
            "<ada@shop.example>",
            "ada@shop.example\n.x",
            &long,
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let user = |email: &str, name: &str, password: &str| {
            NewUser { email: email.into(), name: name.into(), password: password.into() }.checked()
        };
        assert!(user("ada@shop.example", "Ada", "correct horse").is_ok());
        let failure = user("ada", " ", "short").err().unwrap();
        let named: Vec<_> = failure.body().details.as_object().unwrap().keys().cloned().collect();
        assert_eq!(named, ["email", "name", "password"]);
    }
}
