//! What may be said, and how much of it.

use std::collections::BTreeMap;

use chassis::Failure;
use serde::Deserialize;
use utoipa::ToSchema;

const PRODUCT_MAX: usize = 64;
const TITLE_MAX: usize = 120;
const TEXT_MAX: usize = 4000;

/// What a shopper sends.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct NewReview {
    /// Of which product.
    #[schema(max_length = 64)]
    pub(crate) product_id: String,
    /// 1 to 5 stars.
    #[schema(minimum = 1, maximum = 5)]
    pub(crate) rating: i64,
    /// In a line.
    #[schema(max_length = 120)]
    pub(crate) title: String,
    /// At length, or nothing.
    #[serde(default)]
    #[schema(max_length = 4000)]
    pub(crate) text: String,
}

impl NewReview {
    /// The same without blanks around it, or what is wrong with each field.
    pub(crate) fn checked(self) -> Result<Self, Failure> {
        let (title, text) = (self.title.trim().to_owned(), self.text.trim().to_owned());
        let mut wrong = BTreeMap::new();
        if !is_product(&self.product_id) {
            wrong.insert("product_id", "is 1 to 64 letters, digits, '-', '_' or '.'");
        }
        if !(1..=5).contains(&self.rating) {
            wrong.insert("rating", "is 1 to 5");
        }
        if title.is_empty() || title.chars().count() > TITLE_MAX || title.contains(char::is_control) {
            wrong.insert("title", "is one line of 1 to 120 characters");
        }
        let is_odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
        if text.chars().count() > TEXT_MAX || text.contains(is_odd) {
            wrong.insert("text", "is at most 4000 characters, none of them for machines");
        }
        if !wrong.is_empty() {
            return Err(Failure::invalid("the review cannot be taken as it is").with(wrong));
        }
        Ok(Self { title, text, ..self })
    }
}

/// Can a product be called this?
pub(crate) fn is_product(id: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    (1..=PRODUCT_MAX).contains(&id.len()) && id.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::NewReview;
    use chassis::FailureBody;

    fn check(change: impl FnOnce(&mut NewReview)) -> Result<NewReview, FailureBody> {
        let mut review = NewReview {
            product_id: "p-001".to_owned(),
            rating: 4,
            title: " Good beans ".to_owned(),
            text: "Dark.\nVery dark.".to_owned(),
        };
        change(&mut review);
        review.checked().map_err(|failure| failure.body().clone())
    }

    #[test]
    fn blanks_around_are_taken_off_and_what_is_in_bounds_passes() {
        assert_eq!(check(|_| {}).unwrap().title, "Good beans");
        assert!(check(|review| review.title = "ü".repeat(120)).is_ok(), "letters are counted and not bytes");
        assert!(check(|review| review.text = String::new()).is_ok());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        type Change = fn(&mut NewReview);
        let rows: [(&str, Change); 8] = [
            ("product_id", |review| review.product_id = String::new()),
            ("product_id", |review| review.product_id = "p/1".to_owned()),
            ("rating", |review| review.rating = 0),
            ("rating", |review| review.rating = 6),
            ("title", |review| review.title = "  ".to_owned()),
            ("title", |review| review.title = "two\nlines".to_owned()),
            ("text", |review| review.text = "x".repeat(4001)),
            ("text", |review| review.text = "nul \0".to_owned()),
        ];
        for (field, change) in rows {
            let details = check(change).unwrap_err().details;
            assert_eq!(details.as_object().unwrap().keys().collect::<Vec<_>>(), [field]);
        }
    }
}
