//! A service's own database: SQLite in a file, or Postgres; the same statements and migrations for both.
//!
//! Statements keep to what both understand: `$1`, BIGINT, TEXT and DOUBLE PRECISION, `ON CONFLICT`, `RETURNING`. Keys are
//! made by the service (UUIDv7, in order of time), so nothing depends on how a database numbers rows.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{Any, AnyConnection, AnyPool, Executor, Transaction};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The tables of the chassis itself: outbox, deliveries, inbox.
static OWN: Migrator = sqlx::migrate!("./migrations");
const ACQUIRE_WITHIN: Duration = Duration::from_secs(5);

/// The database.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    /// SQLite has one writer at a time. Whoever comes second would poll the file; here they stand in line.
    writer: Option<Arc<Semaphore>>,
}

/// A transaction that writes. It is undone unless it is committed.
pub struct Write {
    transaction: Transaction<'static, Any>,
    bells: Vec<Arc<Notify>>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Database {
    /// Opens it, makes it if it is a file that is not there, and brings its tables up to date.
    pub async fn open(url: &str, migrations: &Migrator) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let is_file = url.starts_with("sqlite:");
        let url = if is_file && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
        let options = AnyPoolOptions::new()
            .max_connections(if is_file { 4 } else { 10 })
            .acquire_timeout(ACQUIRE_WITHIN)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_file {
                        // Readers do not wait for the writer; what is committed is on disk.
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA synchronous = FULL").await?;
                        connection.execute("PRAGMA busy_timeout = 5000").await?;
                        connection.execute("PRAGMA foreign_keys = ON").await?;
                    }
                    Ok(())
                })
            });
        let pool = options.connect(&url).await?;
        let mut own = Migrator::with_migrations(OWN.iter().cloned().collect());
        own.dangerous_set_table_name("_chassis_migrations");
        own.run(&pool).await?;
        migrations.run(&pool).await?;
        Ok(Self { pool, writer: is_file.then(|| Arc::new(Semaphore::new(1))) })
    }

    /// For reading.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that writes. Keep it short, and never wait for another service inside it.
    pub async fn write(&self) -> Result<Write, sqlx::Error> {
        let Some(writer) = &self.writer else {
            return Ok(Write { transaction: self.pool.begin().await?, bells: Vec::new(), _turn: None });
        };
        let turn = writer.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        // A transaction that first reads and then writes cannot become a writer when another wrote in between.
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { transaction, bells: Vec::new(), _turn: Some(turn) })
    }

    /// Does it answer?
    pub async fn answers(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(|_| ())
    }

    /// Closes it, when what is under way has ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Write {
    /// Makes it true.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.transaction.commit().await?;
        for bell in self.bells {
            bell.notify_waiters();
        }
        Ok(())
    }

    /// Wakes whoever waits at this bell, when it is true.
    pub fn rings(&mut self, bell: Arc<Notify>) {
        if !self.bells.iter().any(|own| Arc::ptr_eq(own, &bell)) {
            self.bells.push(bell);
        }
    }
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}
