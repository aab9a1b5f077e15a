//! Ends reservations: confirmed, released or expired; each once, however often it is asked for.

use std::collections::BTreeMap;

use chassis::{Write, now_ms};
use sqlx::Row;

use super::Ledger;
use crate::items::Items;
use crate::refusal::Refusal;
use crate::reservation::{Reservation, State};

/// How many reservations one look brings.
const BATCH: i64 = 100;
/// What has ended is kept for those who ask again late, and for whoever wants to know what happened.
const KEEP_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// A reservation that is made while it is ended has to be looked at twice; more often only if somebody plays tricks.
const LOOKS_MAX: usize = 3;

/// A reservation that has ended, and what became available by it just now.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) reservation: Reservation,
    pub(crate) freed: Items,
}

impl Ledger {
    /// Takes what is reserved from the shelf.
    ///
    /// It does not look at the clock: what has not been given to others yet may still be confirmed. A customer who
    /// has paid is worth more than the rule.
    pub(crate) async fn confirm(&self, id: &str) -> Result<Reservation, Refusal> {
        let taken = "UPDATE stock SET on_hand = on_hand - $1, reserved = reserved - $1, changed_at = $2 \
                     WHERE product_id = $3";
        for _ in 0..LOOKS_MAX {
            self.end(id, State::Confirmed, taken).await?;
            let reservation = self.find(id).await?.ok_or(Refusal::UnknownReservation)?;
            match reservation.state {
                State::Confirmed => return Ok(reservation),
                State::Expired => return Err(Refusal::Expired),
                // It came between the two looks.
                State::Held => {}
                State::Released => return Err(Refusal::Released),
            }
        }
        Err(Refusal::Database(sqlx::Error::RowNotFound))
    }

    /// Gives up what is reserved. A name that is not known is noted, so that a reservation that was overtaken by its
    /// own release is refused when it comes: nobody would ever release it again.
    pub(crate) async fn release(&self, id: &str) -> Result<Ended, Refusal> {
        for _ in 0..LOOKS_MAX {
            let freed = self.end(id, State::Released, GIVEN_BACK).await?;
            if freed.is_none() {
                self.note_released(id).await?;
            }
            let reservation = self.find(id).await?.ok_or(Refusal::UnknownReservation)?;
            match reservation.state {
                State::Confirmed => return Err(Refusal::Confirmed),
                State::Expired | State::Released => {
                    return Ok(Ended { reservation, freed: freed.unwrap_or_default() });
                }
                // It came between the two looks.
                State::Held => {}
            }
        }
        Err(Refusal::Database(sqlx::Error::RowNotFound))
    }

    /// Gives up what nobody confirmed in time: some of it. Returns what became available, and whether there may be more.
    pub(crate) async fn expire(&self) -> Result<(Vec<Items>, bool), sqlx::Error> {
        let statement = "SELECT reservation_id FROM reservation WHERE state = 'held' AND expires_at <= $1 \
                         ORDER BY expires_at LIMIT $2";
        let due: Vec<String> =
            sqlx::query_scalar(statement).bind(now_ms()).bind(BATCH).fetch_all(self.database.pool()).await?;
        let mut freed = Vec::new();
        // Each by itself: those who want to buy come in between.
        for id in &due {
            freed.extend(self.end(id, State::Expired, GIVEN_BACK).await?);
        }
        Ok((freed, i64::try_from(due.len()) == Ok(BATCH)))
    }

    /// Forgets what ended long ago: some of it.
    pub(crate) async fn forget(&self) -> Result<(), sqlx::Error> {
        let long_ago = now_ms() - KEEP_MS;
        // A look costs nothing; a transaction that writes holds up those who want to buy.
        let look = "SELECT reservation_id FROM reservation WHERE changed_at < $1 AND state <> 'held' LIMIT 1";
        if sqlx::query(look).bind(long_ago).fetch_optional(self.database.pool()).await?.is_none() {
            return Ok(());
        }
        let statement = "DELETE FROM reservation WHERE reservation_id IN (SELECT reservation_id FROM reservation \
                         WHERE changed_at < $1 AND state <> 'held' ORDER BY changed_at LIMIT $2)";
        let mut write = self.database.write().await?;
        sqlx::query(statement).bind(long_ago).bind(BATCH).execute(&mut *write).await?;
        write.commit().await
    }

    /// Moves a held reservation to this state, and each of its items by this statement. `None` if it is not held (any more).
    async fn end(&self, id: &str, to: State, each: &'static str) -> Result<Option<Items>, sqlx::Error> {
        let now = now_ms();
        let mut write = self.database.write().await?;
        let statement = "UPDATE reservation SET state = $1, changed_at = $2 \
                         WHERE reservation_id = $3 AND state = 'held'";
        let moved = sqlx::query(statement).bind(to.word()).bind(now).bind(id).execute(&mut *write).await?;
        if moved.rows_affected() == 0 {
            return Ok(None);
        }
        let items = items(&mut write, id).await?;
        for (product, quantity) in items.iter() {
            sqlx::query(each).bind(quantity).bind(now).bind(product).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(Some(items))
    }

    async fn note_released(&self, id: &str) -> Result<(), sqlx::Error> {
        let now = now_ms();
        let mut write = self.database.write().await?;
        let statement = "INSERT INTO reservation (reservation_id, state, expires_at, changed_at) \
                         VALUES ($1, 'released', $2, $2) ON CONFLICT (reservation_id) DO NOTHING";
        sqlx::query(statement).bind(id).bind(now).execute(&mut *write).await?;
        write.commit().await
    }
}

const GIVEN_BACK: &str = "UPDATE stock SET reserved = reserved - $1, changed_at = $2 WHERE product_id = $3";

async fn items(write: &mut Write, id: &str) -> Result<Items, sqlx::Error> {
    let statement = "SELECT product_id, quantity FROM reservation_item WHERE reservation_id = $1";
    let rows = sqlx::query(statement).bind(id).fetch_all(&mut **write).await?;
    let mut items = BTreeMap::new();
    for row in rows {
        items.insert(row.try_get("product_id")?, row.try_get("quantity")?);
    }
    Ok(Items::kept(items))
}
