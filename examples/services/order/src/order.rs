//! An order: what can happen to it, what it is after that, and what is to be done next. No database, no network: this is
//! the part one wants to be sure of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// So many of this.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Item {
    pub(crate) product_id: String,
    pub(crate) quantity: i64,
}

/// So many of this, at this price.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct Line {
    pub(crate) product_id: String,
    pub(crate) quantity: i64,
    /// The price of one; 0 until it is known.
    pub(crate) unit_cents: i64,
}

/// How it is paid.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub(crate) struct PayBy {
    /// `card`, `wallet` or `invoice`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What the payment provider gave the shopper's page.
    #[serde(default)]
    pub(crate) token: String,
}

/// Something that happened to an order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Happened {
    Cancelled,
    /// The user is known, and this is what it costs.
    Checked {
        lines: Vec<Line>,
        total_cents: i64,
        currency: String,
    },
    /// It will not be completed: what was done is undone.
    Closing {
        by: By,
        reason: String,
    },
    Completed,
    /// Something that is needed does not answer. It will be tried again.
    Delayed {
        step: Step,
        why: String,
    },
    Paid {
        payment_id: String,
    },
    PaymentVoided,
    Placed {
        user_id: String,
        items: Vec<Item>,
        pay_by: PayBy,
    },
    Rejected,
    StockConfirmed,
    StockReleased,
    StockReserved,
}

/// Who ended an order before its end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum By {
    /// A step that was refused.
    Refusal,
    /// The shopper.
    Shopper,
}

/// What is to be done for an order. The first four lead to its end, the last two undo, backwards.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Check,
    Reserve,
    Charge,
    Confirm,
    Void,
    Release,
}

/// What follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// This step, which asks another service.
    Do(Step),
    /// All is undone: this is to be written down.
    End(By),
    /// Nothing: it has come to its end.
    Nothing,
}

/// What a shopper sees of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Cancelled,
    Completed,
    Delayed,
    Queued,
    Rejected,
    Running,
}

/// An order, after all that happened to it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Order {
    pub(crate) user_id: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) total_cents: i64,
    pub(crate) currency: String,
    pub(crate) kind: String,
    pub(crate) token: String,
    pub(crate) payment_id: String,
    reason: String,
    pub(crate) delayed: Option<Step>,
    checked: bool,
    reserved: bool,
    paid: bool,
    closing: Option<By>,
    voided: bool,
    released: bool,
    end: Option<Status>,
}

impl Happened {
    /// Is nothing left to do after this?
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Completed | Self::Rejected)
    }
}

impl Order {
    /// What it is after this, too.
    pub(crate) fn apply(&mut self, happened: &Happened) {
        let was_delayed = std::mem::take(&mut self.delayed);
        match happened {
            Happened::Cancelled => self.end = Some(Status::Cancelled),
            Happened::Checked { lines, total_cents, currency } => {
                self.checked = true;
                self.lines.clone_from(lines);
                self.total_cents = *total_cents;
                self.currency.clone_from(currency);
            }
            Happened::Closing { by, reason } => {
                self.closing = Some(*by);
                self.reason.clone_from(reason);
                self.delayed = was_delayed;
            }
            Happened::Completed => self.end = Some(Status::Completed),
            Happened::Delayed { step, .. } => self.delayed = Some(*step),
            Happened::Paid { payment_id } => {
                self.paid = true;
                self.payment_id.clone_from(payment_id);
            }
            Happened::PaymentVoided => self.voided = true,
            Happened::Placed { user_id, items, pay_by } => {
                let line = |item: &Item| Line {
                    product_id: item.product_id.clone(),
                    quantity: item.quantity,
                    unit_cents: 0,
                };
                self.user_id.clone_from(user_id);
                self.lines = items.iter().map(line).collect();
                self.kind.clone_from(&pay_by.kind);
                self.token.clone_from(&pay_by.token);
            }
            Happened::Rejected => self.end = Some(Status::Rejected),
            // It comes together with the end.
            Happened::StockConfirmed => {}
            Happened::StockReleased => self.released = true,
            Happened::StockReserved => self.reserved = true,
        }
    }

    /// What follows. A step may have been done without our knowing (the answer was lost, or we crashed before we wrote it
    /// down), so what is undone is not what is known to be done, but what may have been.
    pub(crate) fn next(&self) -> Next {
        if self.end.is_some() {
            return Next::Nothing;
        }
        if let Some(by) = self.closing {
            let may_be_charged = self.reserved;
            let may_be_reserved = self.checked;
            return if may_be_charged && !self.voided {
                Next::Do(Step::Void)
            } else if may_be_reserved && !self.released {
                Next::Do(Step::Release)
            } else {
                Next::End(by)
            };
        }
        Next::Do(if !self.checked {
            Step::Check
        } else if !self.reserved {
            Step::Reserve
        } else if !self.paid {
            Step::Charge
        } else {
            Step::Confirm
        })
    }

    /// Can it still be called off? Not when it is paid: from then on its stock may have been taken without our knowing,
    /// and what was taken cannot be put back.
    pub(crate) fn can_be_cancelled(&self) -> bool {
        self.end.is_none() && self.closing.is_none() && !self.paid
    }

    /// Why it is not completed, in a word for shoppers.
    pub(crate) fn reason(&self) -> &str {
        match self.delayed {
            Some(Step::Charge | Step::Void) => "waiting_for_payment",
            Some(Step::Check) => "waiting_for_catalogue",
            Some(Step::Confirm | Step::Release | Step::Reserve) => "waiting_for_stock",
            None => &self.reason,
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self.end {
            Some(end) => end,
            None if self.delayed.is_some() => Status::Delayed,
            None if self.checked || self.closing.is_some() => Status::Running,
            None => Status::Queued,
        }
    }
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Delayed => "delayed",
            Self::Queued => "queued",
            Self::Rejected => "rejected",
            Self::Running => "running",
        }
    }
}

impl Step {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Reserve => "reserve",
            Self::Charge => "charge",
            Self::Confirm => "confirm",
            Self::Void => "void",
            Self::Release => "release",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed() -> Happened {
        Happened::Placed {
            user_id: "u".into(),
            items: vec![Item { product_id: "p".into(), quantity: 2 }],
            pay_by: PayBy { kind: "card".into(), token: "t".into() },
        }
    }

    fn checked() -> Happened {
        let lines = vec![Line { product_id: "p".into(), quantity: 2, unit_cents: 50 }];
        Happened::Checked { lines, total_cents: 100, currency: "EUR".into() }
    }

    fn after(events: &[Happened]) -> Order {
        let mut order = Order::default();
        for happened in std::iter::once(&placed()).chain(events) {
            order.apply(happened);
        }
        order
    }

    fn paid() -> Happened {
        Happened::Paid { payment_id: "pay".into() }
    }

    fn delayed() -> Happened {
        Happened::Delayed { step: Step::Charge, why: "away".into() }
    }

    fn closing(by: By) -> Happened {
        Happened::Closing { by, reason: "x".into() }
    }

    #[test]
    fn the_way_of_an_order_and_all_the_ways_back() {
        use Happened::{
            Cancelled, Completed, PaymentVoided, Rejected, StockConfirmed, StockReleased, StockReserved,
        };
        use Next::{Do, End, Nothing};
        let rows: &[(&str, &[Happened], Next, Status)] = &[
            ("placed", &[], Do(Step::Check), Status::Queued),
            ("checked", &[checked()], Do(Step::Reserve), Status::Running),
            ("reserved", &[checked(), StockReserved], Do(Step::Charge), Status::Running),
            ("delayed", &[checked(), StockReserved, delayed()], Do(Step::Charge), Status::Delayed),
            ("resumed", &[checked(), StockReserved, delayed(), paid()], Do(Step::Confirm), Status::Running),
            (
                "completed",
                &[checked(), StockReserved, paid(), StockConfirmed, Completed],
                Nothing,
                Status::Completed,
            ),
            ("unknown product", &[closing(By::Refusal)], End(By::Refusal), Status::Running),
            ("out of stock", &[checked(), closing(By::Refusal)], Do(Step::Release), Status::Running),
            ("declined", &[checked(), StockReserved, closing(By::Refusal)], Do(Step::Void), Status::Running),
            (
                "voided",
                &[checked(), StockReserved, closing(By::Refusal), PaymentVoided],
                Do(Step::Release),
                Status::Running,
            ),
            (
                "undone",
                &[checked(), StockReserved, closing(By::Refusal), PaymentVoided, StockReleased],
                End(By::Refusal),
                Status::Running,
            ),
            ("cancelled in the queue", &[closing(By::Shopper)], End(By::Shopper), Status::Running),
            (
                "paid, and the stock is gone",
                &[checked(), StockReserved, paid(), closing(By::Refusal)],
                Do(Step::Void),
                Status::Running,
            ),
            ("rejected", &[closing(By::Refusal), Rejected], Nothing, Status::Rejected),
            ("cancelled", &[closing(By::Shopper), Cancelled], Nothing, Status::Cancelled),
        ];
        for (name, events, next, status) in rows {
            let order = after(events);
            assert_eq!((order.next(), order.status()), (*next, *status), "{name}");
        }
    }

    #[test]
    fn what_is_kept_can_be_read_again() {
        for happened in [placed(), checked(), paid(), delayed(), closing(By::Shopper), Happened::Completed] {
            let text = serde_json::to_string(&happened).unwrap();
            assert_eq!(serde_json::from_str::<Happened>(&text).unwrap(), happened);
        }
        let order = after(&[checked(), delayed()]);
        assert_eq!(serde_json::from_str::<Order>(&serde_json::to_string(&order).unwrap()).unwrap(), order);
    }

    #[test]
    fn an_order_can_be_called_off_until_it_is_paid() {
        assert!(after(&[]).can_be_cancelled());
        assert!(after(&[checked(), Happened::StockReserved, delayed()]).can_be_cancelled());
        assert!(!after(&[checked(), Happened::StockReserved, paid()]).can_be_cancelled());
        assert!(!after(&[closing(By::Shopper)]).can_be_cancelled());
    }
}
