//! How far things have come. An event that tells of an earlier stage than one that was heard is old news.

/// What an event is to the one who is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stage {
    /// The kind of the event.
    pub(crate) kind: &'static str,
    /// What comes later is higher.
    pub(crate) rank: i64,
    /// Which values its template may hold.
    pub(crate) values: &'static [&'static str],
}

const ORDER: &[&str] = &["name", "order_id", "reason", "total"];
const SHIPMENT: &[&str] = &["name", "order_id", "tracking"];
const USER: &[&str] = &["email", "name"];

/// An order that ends after its shopper was told to wait: they are told in other words.
pub(crate) const FINISHED: &str = "order.finished";

/// What shoppers are told of, in order of time.
const STAGES: [Stage; 9] = [
    Stage { kind: "order.placed", rank: 1, values: ORDER },
    Stage { kind: "order.delayed", rank: 2, values: ORDER },
    Stage { kind: "order.completed", rank: 3, values: ORDER },
    Stage { kind: "order.rejected", rank: 4, values: ORDER },
    Stage { kind: "order.cancelled", rank: 5, values: ORDER },
    Stage { kind: "shipment.created", rank: 1, values: SHIPMENT },
    Stage { kind: "shipment.dispatched", rank: 2, values: SHIPMENT },
    Stage { kind: "shipment.delivered", rank: 3, values: SHIPMENT },
    Stage { kind: "user.registered", rank: 1, values: USER },
];

impl Stage {
    /// Of this kind of event, if shoppers are told of it.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        STAGES.into_iter().find(|stage| stage.kind == kind)
    }

    /// What it is a stage of: `order`.
    pub(crate) fn topic(self) -> &'static str {
        self.kind.split_once('.').map_or(self.kind, |(topic, _)| topic)
    }

    pub(crate) fn is_delay(self) -> bool {
        self.kind == "order.delayed"
    }

    /// The name of the template.
    pub(crate) fn template(self, was_delayed: bool) -> &'static str {
        if was_delayed && self.kind == "order.completed" { FINISHED } else { self.kind }
    }
}

/// Which values a template of this name may hold; `None` if there is no such template.
pub(crate) fn values_of(template: &str) -> Option<&'static [&'static str]> {
    if template == FINISHED {
        return Some(ORDER);
    }
    Stage::of(template).map(|stage| stage.values)
}
