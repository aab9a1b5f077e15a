//! The keys tokens are signed with. They are in the database, so that all replicas sign with the same one and publish
//! the same ones; nothing about *which* is remembered elsewhere, so no replica can be of yesterday's opinion. Only the
//! reading of a key, which is slow, is done once.
//!
//! `life.rs` says when what happens, `key.rs` what a key is, `pages.rs` what the world asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::{Database, Failure, Settings, StartError, now_ms};
use sqlx::Row;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod key;
mod life;
mod pages;

pub(crate) use key::{Key, KeyError};
pub(crate) use life::{Life, TOKEN_SECONDS};
pub(crate) use pages::routes;

use life::Dates;

/// The keys.
#[derive(Clone)]
pub(crate) struct Keys {
    database: Database,
    life: Life,
    /// Keys that were read, by what was read.
    known: Arc<Mutex<HashMap<String, Arc<Key>>>>,
    /// One key is made at a time, however often operators ask.
    making: Arc<Semaphore>,
}

/// The keys that are published, from the first to the last.
pub(crate) struct Published {
    dates: Vec<Dates>,
    keys: Vec<Arc<Key>>,
}

/// `KEY_CHECK_SECONDS`: how often it is looked whether a key is due.
pub(crate) fn check_every(settings: &Settings) -> Result<Duration, StartError> {
    let seconds: u64 = settings.parsed("KEY_CHECK_SECONDS", 60)?;
    Ok(Duration::from_secs(seconds.max(1)))
}

impl Keys {
    /// With a key to sign with, made if there is none.
    pub(crate) async fn open(database: Database, life: Life) -> Result<Self, StartError> {
        let keys = Self { database, life, known: Arc::default(), making: Arc::new(Semaphore::new(1)) };
        keys.check(now_ms()).await.map_err(|error| StartError::Other(error.to_string()))?;
        Ok(keys)
    }

    /// The key to sign with now.
    pub(crate) async fn signer(&self) -> Result<Arc<Key>, KeyError> {
        let published = self.published().await?;
        let place = Life::signer(&published.dates, now_ms());
        place.and_then(|place| published.keys.get(place).cloned()).ok_or(KeyError::None)
    }

    /// Makes keys when they are due and forgets those that are over, until it is told to stop.
    pub(crate) async fn tend(&self, every: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            if let Err(error) = self.check(now_ms()).await {
                tracing::error!(%error, "the keys cannot be looked after");
            }
        }
    }

    async fn check(&self, now: i64) -> Result<(), KeyError> {
        let published = self.published().await?;
        if let Some(next) = self.life.due(&published.dates, now) {
            self.publish(next, now).await?;
        }
        let needed = self.life.first_needed(&published.dates, now);
        if published.dates.first().is_some_and(|first| first.generation < needed) {
            let mut write = self.database.write().await?;
            sqlx::query("DELETE FROM signing_key WHERE generation < $1")
                .bind(needed)
                .execute(&mut *write)
                .await?;
            write.commit().await?;
        }
        Ok(())
    }

    /// Publishes the next key now. If one waits already it is that one.
    async fn rotate(&self, now: i64) -> Result<(Dates, Arc<Key>), KeyError> {
        let _alone = self.making.acquire().await.map_err(|_| KeyError::None)?;
        let published = self.published().await?;
        let last = *published.dates.last().ok_or(KeyError::None)?;
        if Life::waiting(&published.dates, now).is_none() {
            self.publish(self.life.next(&last, now), now).await?;
        }
        let mut published = self.published().await?;
        let (dates, key) = (published.dates.pop(), published.keys.pop());
        dates.zip(key).ok_or(KeyError::None)
    }

    /// Of replicas that do this at once one gets the number; the key of the other is thrown away.
    async fn publish(&self, next: Dates, now: i64) -> Result<(), KeyError> {
        let made = tokio::task::spawn_blocking(key::make).await;
        let pkcs8 = made.map_err(|error| KeyError::Make(error.to_string()))??;
        let kid = Key::read(&pkcs8).ok_or_else(|| KeyError::Make("it cannot be read".to_owned()))?.kid;
        let mut write = self.database.write().await?;
        let insert = "INSERT INTO signing_key (generation, kid, pkcs8, published_at, signs_at) \
                      VALUES ($1, $2, $3, $4, $5) ON CONFLICT (generation) DO NOTHING";
        let insert =
            sqlx::query(insert).bind(next.generation).bind(&kid).bind(pkcs8).bind(now).bind(next.signs_at);
        let inserted = insert.execute(&mut *write).await?;
        write.commit().await?;
        if inserted.rows_affected() > 0 {
            tracing::info!(kid, generation = next.generation, "a new key is published");
        }
        Ok(())
    }

    async fn published(&self) -> Result<Published, KeyError> {
        let rows =
            sqlx::query("SELECT generation, kid, pkcs8, signs_at FROM signing_key ORDER BY generation")
                .fetch_all(self.database.pool())
                .await?;
        let mut published = Published { dates: Vec::new(), keys: Vec::new() };
        let mut known = HashMap::new();
        for row in rows {
            let (kid, pkcs8): (String, String) = (row.try_get("kid")?, row.try_get("pkcs8")?);
            let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&kid).cloned();
            let key = match before {
                Some(key) => key,
                None => Arc::new(Key::read(&pkcs8).ok_or_else(|| KeyError::Read(kid.clone()))?),
            };
            known.insert(kid, key.clone());
            let (generation, signs_at) = (row.try_get("generation")?, row.try_get("signs_at")?);
            published.dates.push(Dates { generation, signs_at });
            published.keys.push(key);
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(published)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "there is no key");
        Self::unavailable("no_key", "tokens cannot be signed at this moment")
    }
}
