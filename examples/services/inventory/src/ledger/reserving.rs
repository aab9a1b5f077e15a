//! Promises goods: all that is asked for or nothing, once for each name.

use chassis::{Write, now_ms};

use super::Ledger;
use crate::refusal::{Refusal, Short};
use crate::reservation::{Reservation, State, Wish};

/// A reservation, and whether it was there.
#[derive(Debug)]
pub(crate) enum Reserved {
    Before(Reservation),
    Now(Reservation),
}

impl Ledger {
    /// Reserves, or says why not. Whoever asks again gets the same answer.
    #[tracing::instrument(name = "write it in the books", skip_all)]
    pub(crate) async fn reserve(&self, wish: &Wish) -> Result<Reserved, Refusal> {
        let now = now_ms();
        let expires_at = now + wish.ttl_ms;
        let mut write = self.database.write().await?;
        // Of two that come at once with one name, the second waits here until the first is through.
        let statement = "INSERT INTO reservation (reservation_id, state, expires_at, changed_at) \
                         VALUES ($1, 'held', $2, $3) ON CONFLICT (reservation_id) DO NOTHING";
        let made =
            sqlx::query(statement).bind(&wish.id).bind(expires_at).bind(now).execute(&mut *write).await?;
        if made.rows_affected() == 0 {
            drop(write);
            let found = self.find(&wish.id).await?.ok_or(Refusal::UnknownReservation)?;
            return found.answers(wish).map(Reserved::Before);
        }
        for (product, quantity) in wish.items.iter() {
            let statement =
                "INSERT INTO reservation_item (reservation_id, product_id, quantity) VALUES ($1, $2, $3)";
            sqlx::query(statement).bind(&wish.id).bind(product).bind(quantity).execute(&mut *write).await?;
        }
        // Last, because everybody wants the same few products: from here to the end the others wait.
        let mut short = Vec::new();
        for (product, quantity) in wish.items.iter() {
            if !promise(&mut write, product, quantity, now).await? {
                short.push(shortage(&mut write, product, quantity).await?);
            }
        }
        if !short.is_empty() {
            // Without a commit nothing of it has happened.
            return Err(Refusal::OutOfStock(short));
        }
        write.commit().await?;
        let (id, items) = (wish.id.clone(), wish.items.clone());
        Ok(Reserved::Now(Reservation { id, state: State::Held, items, expires_at }))
    }
}

/// Promises so many of a product, if there are so many. The condition is in the statement that writes, so nobody comes
/// between looking and taking.
async fn promise(write: &mut Write, product: &str, quantity: i64, now: i64) -> Result<bool, sqlx::Error> {
    let statement = "UPDATE stock SET reserved = reserved + $1, changed_at = $2 \
                     WHERE product_id = $3 AND on_hand - reserved >= $1";
    let done = sqlx::query(statement).bind(quantity).bind(now).bind(product).execute(&mut **write).await?;
    Ok(done.rows_affected() == 1)
}

async fn shortage(write: &mut Write, product: &str, wanted: i64) -> Result<Short, sqlx::Error> {
    let available: Option<i64> =
        sqlx::query_scalar("SELECT on_hand - reserved FROM stock WHERE product_id = $1")
            .bind(product)
            .fetch_optional(&mut **write)
            .await?;
    // Somebody may have given some back since it was refused. The answer is the one of then.
    let available = available.unwrap_or(0).min(wanted - 1);
    Ok(Short { product_id: product.to_owned(), wanted, available })
}
