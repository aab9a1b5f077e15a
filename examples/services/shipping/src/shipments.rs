//! The shipments in the database, and how they move on.

use chassis::events::{Event, Outbox};
use chassis::{Database, Failure, Page, Write, now_ms, rfc3339};
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::state::{Move, State};

/// What is sent for an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Shipment {
    id: String,
    order_id: String,
    user_id: String,
    pub(crate) status: State,
    tracking: String,
    created_at: String,
    updated_at: String,
}

/// Which shipments: those of this order, of this user; of all where it is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Which {
    pub(crate) order_id: String,
    pub(crate) user_id: String,
}

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct Shipments {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
}

impl Shipments {
    /// Makes the shipment of an order, in this state. `false` if the order has one.
    pub(crate) async fn make(
        &self,
        write: &mut Write,
        order_id: &str,
        user_id: &str,
        state: State,
    ) -> Result<bool, Failure> {
        let insert = "INSERT INTO shipment (id, order_id, user_id, status, tracking, created_at, updated_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (order_id) DO NOTHING RETURNING *";
        let id = Uuid::now_v7();
        let row = sqlx::query(insert)
            .bind(id.to_string())
            .bind(order_id)
            .bind(user_id)
            .bind(state.word())
            .bind(tracking(id))
            .bind(now_ms())
            .fetch_optional(&mut **write)
            .await?;
        let Some(row) = row else { return Ok(false) };
        if state == State::Created {
            self.tell(write, "shipment.created", &Shipment::read(&row)?).await?;
        }
        Ok(true)
    }

    /// Cancels the shipment of an order, if it has not left.
    pub(crate) async fn cancel(&self, write: &mut Write, order_id: &str) -> Result<bool, Failure> {
        let update = "UPDATE shipment SET status = $1, updated_at = $2 WHERE order_id = $3 AND status = $4";
        let cancelled = sqlx::query(update)
            .bind(Move::Cancel.to().word())
            .bind(now_ms())
            .bind(order_id)
            .bind(Move::Cancel.from().word())
            .execute(&mut **write)
            .await?;
        Ok(cancelled.rows_affected() > 0)
    }

    /// Moves a shipment on. 409 if it stands where this cannot be done.
    #[tracing::instrument(skip(self), fields(shipment.id = %id))]
    pub(crate) async fn advance(&self, id: Uuid, step: Move) -> Result<Shipment, Failure> {
        let mut write = self.database.write().await?;
        let update =
            "UPDATE shipment SET status = $1, updated_at = $2 WHERE id = $3 AND status = $4 RETURNING *";
        let row = sqlx::query(update)
            .bind(step.to().word())
            .bind(now_ms())
            .bind(id.to_string())
            .bind(step.from().word())
            .fetch_optional(&mut *write)
            .await?;
        let Some(row) = row else {
            drop(write);
            return Err(cannot(&self.one(id).await?, step));
        };
        let shipment = self.moved(&mut write, &row, step).await?;
        write.commit().await?;
        Ok(shipment)
    }

    /// Moves on some of those that have stood where they are since before `before`. How many did?
    pub(crate) async fn advance_some(&self, step: Move, before: i64, some: i64) -> Result<usize, Failure> {
        // A look costs nothing; a transaction that writes holds up those who have something to write.
        let look = "SELECT id FROM shipment WHERE status = $1 AND updated_at <= $2 LIMIT 1";
        let (from, pool) = (step.from().word(), self.database.pool());
        if sqlx::query(look).bind(from).bind(before).fetch_optional(pool).await?.is_none() {
            return Ok(0);
        }
        let mut write = self.database.write().await?;
        let update = "UPDATE shipment SET status = $1, updated_at = $2 WHERE status = $3 AND id IN \
                      (SELECT id FROM shipment WHERE status = $3 AND updated_at <= $4 ORDER BY updated_at LIMIT $5) \
                      RETURNING *";
        let rows = sqlx::query(update)
            .bind(step.to().word())
            .bind(now_ms())
            .bind(from)
            .bind(before)
            .bind(some)
            .fetch_all(&mut *write)
            .await?;
        for row in &rows {
            self.moved(&mut write, row, step).await?;
        }
        write.commit().await?;
        Ok(rows.len())
    }

    /// One of them, or 404.
    pub(crate) async fn one(&self, id: Uuid) -> Result<Shipment, Failure> {
        let row = sqlx::query("SELECT * FROM shipment WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(Shipment::read(&row.ok_or_else(|| Failure::not_found("shipment"))?)?)
    }

    /// A page of them, newest first, and how many there are.
    pub(crate) async fn list(&self, which: &Which, page: Page) -> Result<(Vec<Shipment>, i64), Failure> {
        // One statement for each way of asking, so that each has its index.
        let (items, count, key) = match (which.order_id.as_str(), which.user_id.as_str()) {
            ("", "") => (
                "SELECT * FROM shipment WHERE $1 = '' ORDER BY id DESC LIMIT $2 OFFSET $3",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM shipment WHERE $1 = ''",
                "",
            ),
            ("", user) => (
                "SELECT * FROM shipment WHERE user_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM shipment WHERE user_id = $1",
                user,
            ),
            (order, _) => (
                "SELECT * FROM shipment WHERE order_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
                "SELECT CAST(COUNT(*) AS BIGINT) FROM shipment WHERE order_id = $1",
                order,
            ),
        };
        let pool = self.database.pool();
        let rows = sqlx::query(items).bind(key).bind(page.size()).bind(page.offset()).fetch_all(pool).await?;
        let mut items = rows.iter().map(Shipment::read).collect::<Result<Vec<_>, _>>()?;
        let mut total: i64 = sqlx::query_scalar(count).bind(key).fetch_one(pool).await?;
        if !which.order_id.is_empty() && items.iter().any(|item| !item.belongs_to(&which.user_id)) {
            (items, total) = (Vec::new(), 0);
        }
        Ok((items, total))
    }

    async fn moved(&self, write: &mut Write, row: &AnyRow, step: Move) -> Result<Shipment, Failure> {
        let shipment = Shipment::read(row)?;
        if let Some(kind) = step.tells() {
            self.tell(write, kind, &shipment).await?;
        }
        Ok(shipment)
    }

    async fn tell(&self, write: &mut Write, kind: &str, shipment: &Shipment) -> Result<(), Failure> {
        let data = json!({
            "shipment_id": shipment.id, "order_id": shipment.order_id, "user_id": shipment.user_id,
            "tracking": shipment.tracking,
        });
        self.outbox.put(write, Event::now(kind, &shipment.id, data)).await?;
        Ok(())
    }
}

impl Shipment {
    /// Is it this user's? Everybody's if the user is nobody in particular.
    pub(crate) fn belongs_to(&self, user_id: &str) -> bool {
        user_id.is_empty() || self.user_id == user_id
    }

    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let word: String = row.try_get("status")?;
        let status = State::of(&word).ok_or_else(|| sqlx::Error::Decode(word.into()))?;
        Ok(Self {
            id: row.try_get("id")?,
            order_id: row.try_get("order_id")?,
            user_id: row.try_get("user_id")?,
            status,
            tracking: row.try_get("tracking")?,
            created_at: rfc3339(row.try_get("created_at")?),
            updated_at: rfc3339(row.try_get("updated_at")?),
        })
    }
}

/// What the shopper follows it by. The end of the id is its random part.
fn tracking(id: Uuid) -> String {
    let id = id.simple().to_string().to_uppercase();
    format!("BY{}", &id[id.len() - 14..])
}

fn cannot(shipment: &Shipment, step: Move) -> Failure {
    let (is, must) = (shipment.status.word(), step.from().word());
    Failure::conflict("wrong_state", format!("the shipment is {is}; for this it must be {must}"))
        .with(json!({ "status": is }))
}
