//! What is true in the end: counted in the databases themselves, whatever the services say.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row};

use crate::folder::Folder;
use crate::programs::Stores;

/// The books of the services that handle money and goods.
#[derive(Debug)]
pub struct Ledger {
    order: AnyPool,
    payment: AnyPool,
    inventory: AnyPool,
}

/// How the books of orders and payments stand.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Books {
    /// Orders by their status.
    pub orders: BTreeMap<String, i64>,
    /// Orders that are not done with.
    pub open: i64,
    /// Orders that were charged twice.
    pub doubled: i64,
    /// Completed orders that nobody was charged for.
    pub unpaid: i64,
    /// Orders that will not be delivered, and whose money was not given back.
    pub kept_money: i64,
}

/// What has become of an order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Fate {
    /// Its status.
    pub status: String,
    /// Why it is not completed, if it is not.
    pub reason: String,
}

/// How much there is of a product.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stock {
    /// On the shelf.
    pub on_hand: i64,
    /// Of it, promised to somebody.
    pub reserved: i64,
    /// Sold so far.
    pub sold: i64,
}

impl Fate {
    /// Is it what an order may come to when the shop is well? It is completed, or the shopper has to bear the reason.
    pub fn is_fair(&self) -> bool {
        match self.status.as_str() {
            "completed" => true,
            "rejected" => matches!(self.reason.as_str(), "out_of_stock" | "payment_declined"),
            _ => false,
        }
    }
}

impl Ledger {
    /// Opens the books of this run, to read.
    pub async fn open(run: &Folder, stores: &Stores) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let open = async |service: &str| {
            let url = match stores {
                Stores::Embedded => format!("sqlite://{}?mode=ro", run.database(service).display()),
                Stores::Servers { postgres, .. } => format!("{postgres}/{service}"),
            };
            AnyPoolOptions::new().max_connections(2).connect(&url).await
        };
        Ok(Self {
            order: open("order").await?,
            payment: open("payment").await?,
            inventory: open("inventory").await?,
        })
    }

    /// How many orders there are, by their status.
    pub async fn statuses(&self) -> Result<BTreeMap<String, i64>, sqlx::Error> {
        let statuses = "SELECT status, CAST(COUNT(*) AS BIGINT) AS many FROM order_view GROUP BY status";
        let rows = sqlx::query(statuses).fetch_all(&self.order).await?;
        rows.iter().map(|row| Ok((row.try_get("status")?, row.try_get("many")?))).collect()
    }

    /// How orders and payments stand. Two databases are read one after the other: it is exact when nothing moves.
    pub async fn books(&self) -> Result<Books, sqlx::Error> {
        let mut books = Books { orders: self.statuses().await?, ..Books::default() };
        let open = "SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE state = 'open'";
        books.open = sqlx::query_scalar(open).fetch_one(&self.order).await?;
        let charged = "SELECT order_id, CAST(COUNT(*) AS BIGINT) AS many, \
                       CAST(SUM(amount_cents - refunded_cents) AS BIGINT) AS cents \
                       FROM provider_charge WHERE status = 'charged' GROUP BY order_id";
        let mut paid = HashSet::new();
        for row in sqlx::query(charged).fetch_all(&self.payment).await? {
            let (many, cents): (i64, i64) = (row.try_get("many")?, row.try_get("cents")?);
            books.doubled += i64::from(many > 1);
            if cents > 0 {
                paid.insert(row.try_get::<String, _>("order_id")?);
            }
        }
        for (id, fate) in self.orders().await? {
            match fate.status.as_str() {
                "completed" => books.unpaid += i64::from(!paid.contains(&id)),
                "cancelled" | "rejected" => books.kept_money += i64::from(paid.contains(&id)),
                _ => {}
            }
        }
        Ok(books)
    }

    /// Every order, and what has become of it.
    pub async fn orders(&self) -> Result<BTreeMap<String, Fate>, sqlx::Error> {
        let rows = sqlx::query("SELECT order_id, body FROM order_view").fetch_all(&self.order).await?;
        let fate = |body: &str| serde_json::from_str(body).map_err(|error| sqlx::Error::Decode(error.into()));
        rows.iter().map(|row| Ok((row.try_get("order_id")?, fate(row.try_get("body")?)?))).collect()
    }

    /// Orders whose money has gone, and nobody in the shop knows: the provider's answer was lost.
    pub async fn unanswered(&self) -> Result<BTreeSet<String>, sqlx::Error> {
        let lost = "SELECT c.order_id FROM provider_charge c JOIN payment p ON p.charge_key = c.charge_key \
                    WHERE c.status = 'charged' AND p.status = 'pending' AND p.lease_until = 0";
        let lost: Vec<String> = sqlx::query_scalar(lost).fetch_all(&self.payment).await?;
        Ok(lost.into_iter().collect())
    }

    /// How long each order took that was placed since then (ms since 1970) and is completed: from being placed to it, in
    /// milliseconds, the fastest first.
    pub async fn took(&self, since_ms: i64) -> Result<Vec<i64>, sqlx::Error> {
        let took = "SELECT CAST(MAX(e.at) - MIN(e.at) AS BIGINT) AS ms FROM order_event e \
                    JOIN order_view v ON v.order_id = e.order_id \
                    WHERE v.status = 'completed' AND v.created_at >= $1 GROUP BY e.order_id ORDER BY ms";
        sqlx::query_scalar(took).bind(since_ms).fetch_all(&self.order).await
    }

    /// How much there is of a product, and how much of it was sold.
    pub async fn stock(&self, product: &str) -> Result<Stock, sqlx::Error> {
        let shelf = "SELECT on_hand, reserved FROM stock WHERE product_id = $1";
        let row = sqlx::query(shelf).bind(product).fetch_one(&self.inventory).await?;
        let sold = "SELECT CAST(COALESCE(SUM(i.quantity), 0) AS BIGINT) FROM reservation_item i \
                    JOIN reservation r ON r.reservation_id = i.reservation_id \
                    WHERE r.state = 'confirmed' AND i.product_id = $1";
        let sold = sqlx::query_scalar(sold).bind(product).fetch_one(&self.inventory).await?;
        Ok(Stock { on_hand: row.try_get("on_hand")?, reserved: row.try_get("reserved")?, sold })
    }

    /// Shelves with less than nothing on them, or more promised than there is.
    pub async fn oversold(&self) -> Result<i64, sqlx::Error> {
        let wrong = "SELECT CAST(COUNT(*) AS BIGINT) FROM stock WHERE on_hand < 0 OR reserved < 0 OR reserved > on_hand";
        sqlx::query_scalar(wrong).fetch_one(&self.inventory).await
    }
}
