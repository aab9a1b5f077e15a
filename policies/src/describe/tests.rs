//! What a person reads before applying a document.

use super::*;
use crate::document::Source;

fn document(text: &str) -> Document {
    Document::load(&[Source::new("shop.yaml", text)]).unwrap_or_else(|error| panic!("{error}"))
}

const BEFORE: &str = "version: 1
targets:
  shop: { url: http://shop:8080 }
profiles:
  public: { limit: { per: address, rate: 30/s }, deadline: 5s }
routes:
  - { name: orders, path: /orders/**, to: shop, use: public, retry: { attempts: 3 } }
  - { name: news, path: /news/**, to: shop }
";

#[test]
fn every_value_says_where_it_comes_from() {
    let settings = effective(&document(BEFORE));
    let said = |key: &str| {
        settings
            .iter()
            .find(|s| s.subject == "route orders" && s.key == key)
            .map(|s| (s.value.as_str(), s.from.clone()))
    };
    assert_eq!(said("retry.attempts"), Some(("3", Origin::Document)));
    assert_eq!(said("retry.budget"), Some(("20%", Origin::Default)));
    assert_eq!(said("limit.rate"), Some(("30/s", Origin::Profile("public".into()))));
    assert_eq!(said("deadline"), Some(("5s", Origin::Profile("public".into()))));
    assert_eq!(said("priority"), Some(("normal", Origin::Default)));
}

#[test]
fn a_change_is_told_in_words() {
    let after = BEFORE.replace("30/s", "20/s").replace("attempts: 3", "budget: 10%").replace(
        "  - { name: news, path: /news/**, to: shop }\n",
        "  - { name: blog, path: /blog/**, to: shop }\n",
    );
    assert_eq!(
        diff(&document(BEFORE), &document(&after)),
        [
            "route news is removed",
            "route blog is new: path /blog/**, to shop",
            "profile public: limit.rate changes from 30/s to 20/s",
            "route orders: limit.rate changes from 30/s (profile public) to 20/s (profile public)",
            "route orders: retry.attempts changes from 3 to 2 (default)",
            "route orders: retry.budget changes from 20% (default) to 10%",
        ]
    );
}

#[test]
fn the_same_in_other_words_is_no_change() {
    let after = BEFORE.replace("deadline: 5s", "deadline: 5000ms").replace("[orders]", "orders");
    assert_eq!(diff(&document(BEFORE), &document(&after)), Vec::<String>::new());
}
