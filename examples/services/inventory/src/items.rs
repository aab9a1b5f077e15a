//! What somebody wants: products, each with how many. Checked once, at the door; in one fixed order ever after.

use std::collections::BTreeMap;

use crate::refusal::Refusal;

/// Products in one reservation.
pub(crate) const ITEMS_MAX: usize = 50;
/// Pieces of one product in one reservation.
const QUANTITY_MAX: i64 = 10_000;
const ID_MAX: usize = 64;

/// Products and how many of each, by product.
///
/// The order is more than tidiness: two transactions that take the same products in the same order wait for each other in
/// line, and never in a ring.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Items(BTreeMap<String, i64>);

/// What is wrong with a request, by field.
pub(crate) type Wrong = BTreeMap<String, &'static str>;

impl Items {
    /// Reads them. A product that is named twice is wanted as often as both say.
    pub(crate) fn checked(lines: impl IntoIterator<Item = (String, i64)>) -> Result<Self, Refusal> {
        let (mut items, mut wrong) = (BTreeMap::new(), Wrong::new());
        for (index, (product, quantity)) in lines.into_iter().enumerate() {
            if index == ITEMS_MAX {
                wrong.insert("items".to_owned(), "are 50 at most");
                break;
            }
            if !is_id(&product) {
                wrong.insert(format!("items[{index}].product_id"), ID_RULE);
            }
            let all = items.entry(product).or_insert(0_i64);
            *all = all.saturating_add(quantity);
            if quantity < 1 || *all > QUANTITY_MAX {
                wrong.insert(format!("items[{index}].quantity"), "is from 1 to 10000 for each product");
            }
        }
        if items.is_empty() {
            wrong.insert("items".to_owned(), "are at least one");
        }
        if wrong.is_empty() { Ok(Self(items)) } else { Err(Refusal::Invalid(wrong)) }
    }

    /// As they were kept: they were checked when they came.
    pub(crate) fn kept(items: BTreeMap<String, i64>) -> Self {
        Self(items)
    }

    /// Each product and how many, by product.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, i64)> {
        self.0.iter().map(|(product, quantity)| (product.as_str(), *quantity))
    }
}

/// What a name of a product or reservation looks like.
pub(crate) const ID_RULE: &str = "has 1 to 64 letters, digits, dots, dashes, underscores or colons";

/// Is it one?
pub(crate) fn is_id(id: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(is_fine)
}

/// The name itself, or what is wrong with it.
pub(crate) fn id(field: &str, id: &str) -> Result<(), Refusal> {
    if is_id(id) { Ok(()) } else { Err(Refusal::Invalid(Wrong::from([(field.to_owned(), ID_RULE)]))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, i64)]) -> Result<Vec<(String, i64)>, Vec<String>> {
        let lines = lines.iter().map(|(product, quantity)| ((*product).to_owned(), *quantity));
        match Items::checked(lines) {
            Ok(items) => Ok(items.0.into_iter().collect()),
            Err(Refusal::Invalid(wrong)) => Err(wrong.into_keys().collect()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn items_are_in_order_and_each_product_once() {
        let read = read(&[("p-2", 1), ("p-1", 3), ("p-2", 4)]).unwrap();
        assert_eq!(read, [("p-1".to_owned(), 3), ("p-2".to_owned(), 5)]);
    }

    #[test]
    fn what_cannot_be_is_named_by_field() {
        let many: Vec<(String, i64)> = (0..51).map(|number| (format!("p-{number}"), 1)).collect();
        let many: Vec<(&str, i64)> = many.iter().map(|(product, one)| (product.as_str(), *one)).collect();
        for (lines, fields) in [
            (&[][..], &["items"][..]),
            (&[("p-1", 0)], &["items[0].quantity"]),
            (&[("p-1", 1), ("p 2", -1)], &["items[1].product_id", "items[1].quantity"]),
            (&[("p-1", 6000), ("p-1", 6000)], &["items[1].quantity"]),
            (&[("p-1", i64::MAX), ("p-1", i64::MAX)], &["items[0].quantity", "items[1].quantity"]),
            (&[("", 1)], &["items[0].product_id"]),
            (&many, &["items"]),
        ] {
            assert_eq!(read(lines).unwrap_err(), fields, "{lines:?}");
        }
    }
}
