//! How answers are told, with the rough edges that clients of this shop have learned to live with: a time stamp and a
//! request id in every list, local times without a zone, and fields that come in no order.

use std::collections::HashMap;

use chassis::{now_ms, rfc3339};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Winter time in Vienna, where the first server stood. Nobody dares to change it: reports are built on it.
const OFFICE: Offset = jiff::tz::offset(1);

/// A page of a longer list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listing<T> {
    pub(crate) items: Vec<T>,
    pub(crate) page: i64,
    pub(crate) size: i64,
    pub(crate) total: i64,
    /// When it was made: no two answers are the same.
    generated_at: String,
    /// Another one each time.
    request_id: String,
}

/// A whole list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    generated_at: String,
    request_id: String,
}

impl<T> Listing<T> {
    pub(crate) fn new(items: Vec<T>, page: chassis::Page, total: i64) -> Self {
        let (page, size) = (page.number(), page.size());
        Self { items, page, size, total, generated_at: rfc3339(now_ms()), request_id: new_id() }
    }
}

impl<T> Items<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self { items, generated_at: rfc3339(now_ms()), request_id: new_id() }
    }
}

/// An id that means nothing and is made anew each time.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// An id for a row: in order of time.
pub(crate) fn row_id() -> String {
    Uuid::now_v7().to_string()
}

/// A time as the office reads it: `21.11.2026 11:42:07`, and nobody says where.
pub(crate) fn local(ms: i64) -> String {
    let zone = TimeZone::fixed(OFFICE);
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| String::new(), |time| time.to_zoned(zone).strftime("%d.%m.%Y %H:%M:%S").to_string())
}

/// For `#[serde(serialize_with)]`: a time as RFC 3339.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn time<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*ms))
}

/// The members of an answer as the old template engine wrote them: from a hash table, in another order each time. A
/// client that compares the text of two answers finds a difference where there is none.
pub(crate) fn unordered(answer: &impl Serialize) -> HashMap<String, Value> {
    let mut members = match serde_json::to_value(answer) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        _ => HashMap::new(),
    };
    members.insert("generated_at".to_owned(), rfc3339(now_ms()).into());
    members.insert("request_id".to_owned(), new_id().into());
    members
}

/// Cents as the float they were kept as, once.
#[allow(clippy::cast_precision_loss, reason = "the rough edge itself; whole cents stand beside it")]
pub(crate) fn float(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// `$1, $2, ...`: what stands in the brackets of IN.
pub(crate) fn placeholders(count: usize) -> String {
    (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}
