//! What somebody wants to order, and how they pay: checked before anything is touched.

use std::collections::BTreeMap;

use chassis::Failure;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) const LINES_MAX: usize = 50;
pub(crate) const QUANTITY_MAX: i64 = 100;
/// An invoice is a loan: not for more than this.
const INVOICE_MAX_CENTS: i64 = 50_000;

/// How the shopper pays.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MethodKind {
    Card,
    Invoice,
    Wallet,
}

/// How, and with what.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Method {
    #[serde(rename = "type")]
    pub(crate) kind: MethodKind,
    /// What stands for the card or wallet. `tok_declined` is declined.
    #[serde(default)]
    pub(crate) token: String,
}

/// What is ordered, checked: every product once, in the order of the ids.
#[derive(Debug)]
pub(crate) struct Basket(pub(crate) BTreeMap<String, i64>);

impl Basket {
    /// Of these lines; two of one product become one.
    pub(crate) fn of(lines: impl IntoIterator<Item = (String, i64)>) -> Result<Self, Failure> {
        let mut basket: BTreeMap<String, i64> = BTreeMap::new();
        for (product, quantity) in lines {
            let sum = basket.entry(product).or_default();
            *sum = sum.saturating_add(quantity);
            if quantity < 1 || *sum > QUANTITY_MAX || basket.len() > LINES_MAX {
                let want = format!("up to {LINES_MAX} products, 1 to {QUANTITY_MAX} of each");
                return Err(
                    Failure::invalid("nobody can order this").with(serde_json::json!({ "items": want }))
                );
            }
        }
        if basket.is_empty() {
            let details = serde_json::json!({ "items": "at least one" });
            return Err(Failure::invalid("nothing is ordered").with(details));
        }
        Ok(Self(basket))
    }
}

impl Method {
    /// 400 unless it can be charged at all.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.token.len() > 200 || (self.token.is_empty() && self.kind != MethodKind::Invoice) {
            let details = serde_json::json!({ "payment.token": "1 to 200 letters" });
            return Err(Failure::invalid("a card or wallet needs its token").with(details));
        }
        Ok(())
    }

    /// Why it cannot be charged so much.
    pub(crate) fn declines(&self, total_cents: i64) -> Option<&'static str> {
        match self.kind {
            MethodKind::Invoice if total_cents > INVOICE_MAX_CENTS => {
                Some("an invoice is for 500 euros at most")
            }
            MethodKind::Card | MethodKind::Wallet if self.token == "tok_declined" => {
                Some("the bank declines")
            }
            MethodKind::Card | MethodKind::Invoice | MethodKind::Wallet => None,
        }
    }

    pub(crate) fn word(&self) -> &'static str {
        match self.kind {
            MethodKind::Card => "card",
            MethodKind::Invoice => "invoice",
            MethodKind::Wallet => "wallet",
        }
    }
}

/// What was asked for, to know it again. The token stays out: it is worth money.
pub(crate) fn request_text(basket: &Basket, method: &Method) -> String {
    let items: Vec<String> =
        basket.0.iter().map(|(product, quantity)| format!("{product}x{quantity}")).collect();
    format!("{} {}", items.join(" "), method.word())
}
