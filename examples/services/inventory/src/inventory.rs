//! What the service decides, whichever door a question came through: `rest.rs` and `grpc.rs` read questions and write
//! answers, and nothing else.

use std::time::Duration;

use chassis::Chassis;

use crate::cache::{Cache, Taken};
use crate::items::{self, Wrong};
use crate::ledger::{Ledger, Reserved, Stock};
use crate::refusal::Refusal;
use crate::reservation::{Reservation, Wish};

const ON_HAND_MAX: i64 = 1_000_000_000;
/// How often what has expired is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The stock and what is promised of it.
#[derive(Clone)]
pub(crate) struct Inventory {
    pub(crate) ledger: Ledger,
    pub(crate) cache: Cache,
}

impl Inventory {
    /// How much there is of a product.
    pub(crate) async fn stock(&self, product: &str) -> Result<Stock, Refusal> {
        items::id("product_id", product)?;
        self.ledger.stock(product).await
    }

    /// Says how many pieces of a product are on the shelf.
    pub(crate) async fn put(&self, product: &str, on_hand: i64) -> Result<Stock, Refusal> {
        items::id("product_id", product)?;
        if !(0..=ON_HAND_MAX).contains(&on_hand) {
            let wrong = Wrong::from([("on_hand".to_owned(), "is from 0 to 1000000000")]);
            return Err(Refusal::Invalid(wrong));
        }
        let stock = self.ledger.put(product, on_hand).await?;
        self.cache.forget(product).await;
        Ok(stock)
    }

    /// Reserves all that is wanted, or nothing.
    #[tracing::instrument(skip_all, fields(reservation.id = wish.id, items = wish.items.iter().len()))]
    pub(crate) async fn reserve(&self, wish: &Wish) -> Result<Reserved, Refusal> {
        // A promotion's crowd comes when all is sold. Those who can be told so by a look never stand in the line of those
        // who write.
        let (taken, short) = match self.cache.take(&wish.items).await {
            Taken::All => (true, Vec::new()),
            Taken::Short(short) => (false, short),
            Taken::Unknown => (false, self.ledger.shortage(&wish.items).await?),
        };
        if !short.is_empty() {
            // After the look, or one who holds the last piece would be told that it is gone.
            return match self.ledger.find(&wish.id).await? {
                Some(found) => found.answers(wish).map(Reserved::Before),
                None => Err(Refusal::OutOfStock(short)),
            };
        }
        let reserved = self.ledger.reserve(wish).await;
        // If the caller hangs up in between, nobody gives it back; the next reconciliation does.
        if taken && !matches!(reserved, Ok(Reserved::Now(_))) {
            self.cache.give(&wish.items).await;
        }
        reserved
    }

    /// The reservation of this name.
    pub(crate) async fn reservation(&self, id: &str) -> Result<Reservation, Refusal> {
        items::id("reservation_id", id)?;
        self.ledger.find(id).await?.ok_or(Refusal::UnknownReservation)
    }

    /// Takes what is reserved from the shelf.
    #[tracing::instrument(skip_all, fields(reservation.id = id))]
    pub(crate) async fn confirm(&self, id: &str) -> Result<Reservation, Refusal> {
        items::id("reservation_id", id)?;
        self.ledger.confirm(id).await
    }

    /// Gives up what is reserved, now or when it comes.
    #[tracing::instrument(skip_all, fields(reservation.id = id))]
    pub(crate) async fn release(&self, id: &str) -> Result<Reservation, Refusal> {
        items::id("reservation_id", id)?;
        let ended = self.ledger.release(id).await?;
        self.cache.give(&ended.freed).await;
        Ok(ended.reservation)
    }

    /// Gives up what nobody confirmed in time, until the service ends.
    pub(crate) async fn sweep(self, chassis: Chassis) {
        while !chassis.stop.is_cancelled() {
            match self.sweep_once().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "what has expired cannot be given up"),
            }
            tokio::select! {
                () = chassis.stop.cancelled() => {}
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
        }
    }

    async fn sweep_once(&self) -> Result<bool, sqlx::Error> {
        let (freed, more) = self.ledger.expire().await?;
        if !freed.is_empty() {
            tracing::info!(reservations = freed.len(), "expired");
            for items in &freed {
                self.cache.give(items).await;
            }
        }
        self.ledger.forget().await?;
        Ok(more)
    }
}
