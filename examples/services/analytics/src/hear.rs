//! What an event does to the figures. Rows are written in one order everywhere (facts, days, standings, sales), so that
//! two instances that hear at the same time do not wait for each other in a circle.

use async_trait::async_trait;
use chassis::events::{Consumer, Event};
use chassis::{Failure, Write, now_ms};
use serde::Deserialize;
use sqlx::Row;

use crate::sales::{Sale, SoldItem, Way};
use crate::status::Status;

/// Hears everything.
pub(crate) struct Reporter;

/// Beside orders, this is counted. What else there may be one day is not.
const COUNTED: [&str; 5] =
    ["review.posted", "shipment.created", "shipment.delivered", "shipment.dispatched", "user.registered"];

/// What is read of an order; there is more in it.
#[derive(Deserialize)]
struct Order {
    order_id: String,
    items: Vec<SoldItem>,
    total_cents: i64,
    currency: String,
}

/// What is read of a review; there is more in it.
#[derive(Deserialize)]
struct Review {
    rating: i64,
}

#[async_trait]
impl Consumer for Reporter {
    fn wants(&self) -> &'static [&'static str] {
        &["order.*", "review.*", "shipment.*", "user.*"]
    }

    #[tracing::instrument(skip_all, fields(otel.name = format!("hear {}", event.kind), event.subject))]
    async fn hear(&self, write: &mut Write, event: &Event) -> Result<(), Failure> {
        let day = day(&event.time)?;
        if let Some(status) = event.kind.strip_prefix("order.").and_then(Status::of) {
            let order: Order = event.read()?;
            return hear_order(write, &event.kind, status, order, day).await;
        }
        if !COUNTED.contains(&event.kind.as_str()) {
            return Ok(());
        }
        let amount = if event.kind == "review.posted" { event.read::<Review>()?.rating } else { 0 };
        if is_news(write, &event.kind, &event.subject).await? {
            count(write, &event.kind, day, amount).await?;
        }
        Ok(())
    }
}

async fn hear_order(
    write: &mut Write,
    kind: &str,
    status: Status,
    order: Order,
    day: &str,
) -> Result<(), Failure> {
    if !is_news(write, kind, &order.order_id).await? {
        return Ok(());
    }
    // That it is written first keeps others away from the order until this is done.
    let hold = "INSERT INTO order_fact (order_id, status, sale, at) VALUES ($1, '', '', $2) \
                ON CONFLICT (order_id) DO UPDATE SET at = excluded.at RETURNING status, sale";
    let row = sqlx::query(hold).bind(&order.order_id).bind(now_ms()).fetch_one(&mut **write).await?;
    let before = Status::of(row.try_get("status")?);
    let after = status.after(before);
    count(write, kind, day, 0).await?;
    if before == Some(after) {
        return Ok(());
    }
    move_on(write, before, after).await?;
    let booked: String = row.try_get("sale")?;
    let mut sale = String::new();
    if after == Status::Completed {
        let Order { items, total_cents, currency, .. } = order;
        let new = Sale { day: day.to_owned(), currency, total_cents, items };
        new.book(write, Way::In).await?;
        sale = serde_json::to_string(&new).unwrap_or_default();
    } else if let Ok(booked) = serde_json::from_str::<Sale>(&booked) {
        booked.book(write, Way::Back).await?;
    }
    sqlx::query("UPDATE order_fact SET status = $1, sale = $2 WHERE order_id = $3")
        .bind(after.word())
        .bind(sale)
        .bind(&order.order_id)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Notes the fact. `false` if it was known.
async fn is_news(write: &mut Write, kind: &str, subject: &str) -> Result<bool, sqlx::Error> {
    let note = "INSERT INTO fact (kind, subject, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let noted = sqlx::query(note).bind(kind).bind(subject).bind(now_ms()).execute(&mut **write).await?;
    Ok(noted.rows_affected() > 0)
}

async fn count(write: &mut Write, kind: &str, day: &str, amount: i64) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO daily (kind, day, times, amount) VALUES ($1, $2, 1, $3) ON CONFLICT (kind, day) \
               DO UPDATE SET times = daily.times + 1, amount = daily.amount + excluded.amount";
    sqlx::query(add).bind(kind).bind(day).bind(amount).execute(&mut **write).await.map(|_| ())
}

/// An order that stood here stands there.
async fn move_on(write: &mut Write, from: Option<Status>, to: Status) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO standing (status, orders) VALUES ($1, $2) \
               ON CONFLICT (status) DO UPDATE SET orders = standing.orders + excluded.orders";
    // A later stage is a higher one, so the two are always written in the same order.
    for (status, orders) in from.map(|from| (from, -1)).into_iter().chain([(to, 1)]) {
        sqlx::query(add).bind(status.word()).bind(orders).execute(&mut **write).await?;
    }
    Ok(())
}

/// The day of a time as CloudEvents writes it, in UTC as this shop does.
fn day(time: &str) -> Result<&str, Failure> {
    let day = time.get(..10).filter(|day| {
        let is_dash = |at| at == 4 || at == 7;
        day.bytes()
            .enumerate()
            .all(|(at, byte)| if is_dash(at) { byte == b'-' } else { byte.is_ascii_digit() })
    });
    day.ok_or_else(|| Failure::invalid("the event does not say when it was"))
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn the_day_is_the_beginning_of_the_time() {
        assert_eq!(day("2026-11-21T10:42:00.000Z").unwrap(), "2026-11-21");
        for wrong in ["", "yesterday at noon", "2026/11/21T10", "2026-11-2", "2026-11-ü1"] {
            assert!(day(wrong).is_err(), "{wrong}");
        }
    }
}
