//! A product as the staff write it, and what may be written.

use std::collections::BTreeMap;

use chassis::Failure;
use serde::Deserialize;
use utoipa::ToSchema;

const PRICE_MAX_CENTS: i64 = 100_000_000;
const TAGS_MAX: usize = 20;

/// All there is to say of a product.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct Draft {
    /// In a line.
    #[schema(max_length = 200)]
    pub(crate) name: String,
    /// At length, or nothing.
    #[serde(default)]
    #[schema(max_length = 4000)]
    pub(crate) description: String,
    /// Small letters, digits and `-`.
    #[schema(max_length = 40)]
    pub(crate) category: String,
    #[schema(minimum = 0, maximum = 100_000_000)]
    pub(crate) price_cents: i64,
    /// Three capital letters (ISO 4217).
    #[schema(min_length = 3, max_length = 3)]
    pub(crate) currency: String,
    /// Each as a category is written; 20 at most.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub(crate) tags: Vec<String>,
}

impl Draft {
    /// The same as it is kept, or what is wrong with each field.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let (name, description) = (self.name.trim().to_owned(), self.description.trim().to_owned());
        let mut tags = self.tags;
        tags.sort_unstable();
        tags.dedup();
        let mut wrong = BTreeMap::new();
        if name.is_empty() || name.chars().count() > 200 || name.contains(char::is_control) {
            wrong.insert("name", "is one line of 1 to 200 characters");
        }
        let is_odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
        if description.chars().count() > 4000 || description.contains(is_odd) {
            wrong.insert("description", "is at most 4000 characters, none of them for machines");
        }
        if !is_label(&self.category) {
            wrong.insert("category", "is 1 to 40 small letters, digits or '-'");
        }
        if !(0..=PRICE_MAX_CENTS).contains(&self.price_cents) {
            wrong.insert("price_cents", "is 0 to 100000000");
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            wrong.insert("currency", "is three capital letters");
        }
        if tags.len() > TAGS_MAX || !tags.iter().all(|tag| is_label(tag)) {
            wrong.insert("tags", "are at most 20, each 1 to 40 small letters, digits or '-'");
        }
        if !wrong.is_empty() {
            return Err(Failure::invalid("the product cannot be taken as it is").with(wrong));
        }
        let Self { category, price_cents, currency, .. } = self;
        Ok(Self { name, description, category, price_cents, currency, tags })
    }
}

/// Can a category or a tag be called this?
fn is_label(text: &str) -> bool {
    let is_plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
    (1..=40).contains(&text.len()) && text.bytes().all(is_plain)
}
