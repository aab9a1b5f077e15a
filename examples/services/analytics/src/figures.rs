//! The figures as they stand.

use std::collections::BTreeMap;

use chassis::{Database, Page};
use serde::Serialize;
use sqlx::{AnyPool, FromRow};
use utoipa::ToSchema;

use crate::status::Status;

/// What was sold on a day.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct SalesOfDay {
    /// `2026-11-21`, in UTC.
    day: String,
    currency: String,
    orders: i64,
    pieces: i64,
    revenue_cents: i64,
}

/// What was sold of a product.
#[derive(Debug, FromRow, Serialize, ToSchema)]
pub(crate) struct SalesOfProduct {
    product_id: String,
    currency: String,
    /// It was in so many orders.
    orders: i64,
    pieces: i64,
    revenue_cents: i64,
}

/// How far orders come: so many ever reached each stage. All of them were placed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Funnel {
    placed: i64,
    delayed: i64,
    completed: i64,
    rejected: i64,
    cancelled: i64,
    /// Where they stand now, by status; together they are all.
    now: BTreeMap<&'static str, i64>,
}

/// Everything, to be compared with what the services themselves have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Totals {
    orders: i64,
    orders_by_status: BTreeMap<&'static str, i64>,
    /// What is sold, by currency: completed orders that were not cancelled.
    revenue_cents: BTreeMap<String, i64>,
    pieces_sold: i64,
    users_registered: i64,
    reviews: i64,
    /// Null if there are none.
    average_rating: Option<f64>,
    shipments_created: i64,
    shipments_dispatched: i64,
    shipments_delivered: i64,
}

/// The days since this one, the last first. Those on which nothing was sold are left out.
pub(crate) async fn sales(database: &Database, since: &str) -> Result<Vec<SalesOfDay>, sqlx::Error> {
    let days =
        "SELECT * FROM sales_day WHERE day >= $1 AND orders > 0 ORDER BY day DESC, currency LIMIT 1000";
    sqlx::query_as(days).bind(since).fetch_all(database.pool()).await
}

/// Products by what they brought in.
pub(crate) async fn products(database: &Database, page: Page) -> Result<Vec<SalesOfProduct>, sqlx::Error> {
    let best = "SELECT * FROM sales_product WHERE orders > 0 \
                ORDER BY revenue_cents DESC, product_id DESC LIMIT $1 OFFSET $2";
    sqlx::query_as(best).bind(page.size()).bind(page.offset()).fetch_all(database.pool()).await
}

/// How far orders come.
pub(crate) async fn funnel(database: &Database) -> Result<Funnel, sqlx::Error> {
    let now = standing(database.pool()).await?;
    let happened = Happened::read(database.pool()).await?;
    Ok(Funnel {
        placed: now.values().sum(),
        delayed: happened.times("order.delayed"),
        completed: happened.times("order.completed"),
        rejected: happened.times("order.rejected"),
        cancelled: happened.times("order.cancelled"),
        now,
    })
}

/// Everything.
pub(crate) async fn totals(database: &Database) -> Result<Totals, sqlx::Error> {
    let pool = database.pool();
    let orders_by_status = standing(pool).await?;
    let happened = Happened::read(pool).await?;
    let sold: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT currency, CAST(SUM(revenue_cents) AS BIGINT), CAST(SUM(pieces) AS BIGINT) FROM sales_day \
         GROUP BY currency",
    )
    .fetch_all(pool)
    .await?;
    let reviews = happened.times("review.posted");
    #[allow(clippy::cast_precision_loss, reason = "nobody gives 2^53 stars")]
    let average = happened.amount("review.posted") as f64 / reviews.max(1) as f64;
    Ok(Totals {
        orders: orders_by_status.values().sum(),
        orders_by_status,
        pieces_sold: sold.iter().map(|(.., pieces)| pieces).sum(),
        revenue_cents: sold.into_iter().map(|(currency, cents, _)| (currency, cents)).collect(),
        users_registered: happened.times("user.registered"),
        reviews,
        average_rating: (reviews > 0).then_some((average * 100.0).round() / 100.0),
        shipments_created: happened.times("shipment.created"),
        shipments_dispatched: happened.times("shipment.dispatched"),
        shipments_delivered: happened.times("shipment.delivered"),
    })
}

async fn standing(pool: &AnyPool) -> Result<BTreeMap<&'static str, i64>, sqlx::Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, orders FROM standing").fetch_all(pool).await?;
    let of =
        |status: Status| rows.iter().find(|(word, _)| word == status.word()).map_or(0, |(_, orders)| *orders);
    Ok(Status::ALL.into_iter().map(|status| (status.word(), of(status))).collect())
}

/// How often what happened, and what it adds up to.
struct Happened(Vec<(String, i64, i64)>);

impl Happened {
    async fn read(pool: &AnyPool) -> Result<Self, sqlx::Error> {
        let sums =
            "SELECT kind, CAST(SUM(times) AS BIGINT), CAST(SUM(amount) AS BIGINT) FROM daily GROUP BY kind";
        Ok(Self(sqlx::query_as(sums).fetch_all(pool).await?))
    }

    fn times(&self, kind: &str) -> i64 {
        self.0.iter().find(|(own, ..)| own == kind).map_or(0, |(_, times, _)| *times)
    }

    fn amount(&self, kind: &str) -> i64 {
        self.0.iter().find(|(own, ..)| own == kind).map_or(0, |(.., amount)| *amount)
    }
}
