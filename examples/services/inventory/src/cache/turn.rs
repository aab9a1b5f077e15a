//! One reconciliation: the counters are set to what the database says, by one replica at a time.

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::lock::{Held, lock};
use crate::ledger::{Ledger, Stock};

/// The lock's name, in Redis and in the database.
const NAME: &str = "stock";

/// A turn, from the lock to its end.
pub(super) struct Turn {
    link: Arc<Link>,
    ledger: Ledger,
    held: Held,
}

/// What a turn has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Done {
    pub(super) products: i64,
    pub(super) repaired: i64,
}

/// Why it came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("it took too long, and another took its turn")]
    Overtaken,
    #[error("redis: {0}")]
    Redis(#[from] fred::error::Error),
}

/// A whole turn. `None`: another replica is at it.
pub(super) async fn reconcile(
    link: &Arc<Link>,
    ledger: &Ledger,
    held_for: Duration,
) -> Result<Option<Done>, Failed> {
    let Some(turn) = Turn::begin(link, ledger, held_for).await? else { return Ok(None) };
    let done = turn.play().await;
    // Also when it came to nothing: the others need not wait until the lock runs out.
    let left = turn.leave().await;
    let done = done?;
    left?;
    Ok(Some(done))
}

impl Turn {
    /// Takes the lock and shows its token to the database: from here on nobody older can write there.
    pub(super) async fn begin(
        link: &Arc<Link>,
        ledger: &Ledger,
        held_for: Duration,
    ) -> Result<Option<Self>, Failed> {
        let above = ledger.highest_token(NAME).await?;
        let Some(held) = lock(link, NAME, held_for, above).await? else { return Ok(None) };
        let turn = Self { link: link.clone(), ledger: ledger.clone(), held };
        turn.note(Done::default()).await?;
        Ok(Some(turn))
    }

    /// Sets all counters to what the books say.
    pub(super) async fn play(&self) -> Result<Done, Failed> {
        let mut done = Done::default();
        let mut after = String::new();
        loop {
            let books = self.ledger.page(&after).await?;
            let Some(last) = books.last() else { break };
            after.clone_from(&last.product_id);
            done.products += i64::try_from(books.len()).unwrap_or(i64::MAX);
            done.repaired += self.write(&books).await?;
        }
        self.note(done).await?;
        Ok(done)
    }

    /// Sets these counters, and returns how many were wrong.
    pub(super) async fn write(&self, books: &[Stock]) -> Result<i64, Failed> {
        self.link.write(NAME, self.held.token, books).await?.ok_or(Failed::Overtaken)
    }

    /// Notes in the database what was done.
    pub(super) async fn note(&self, done: Done) -> Result<(), Failed> {
        let noted = self.ledger.note_turn(NAME, self.held.token, done.products, done.repaired).await?;
        if noted { Ok(()) } else { Err(Failed::Overtaken) }
    }

    /// Lets the next one in.
    pub(super) async fn leave(self) -> Result<(), Failed> {
        Ok(self.held.unlock().await?)
    }
}
