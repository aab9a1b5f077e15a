//! Postgres.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use super::leash::leashed;
use super::place::{Place, io};
use super::{Leash, ServerError, installed, text};

const USER: &str = "postgres";
/// What a killed server leaves behind ends by itself, and soon.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// A Postgres server.
pub struct Postgres {
    port: u16,
    leash: Leash,
}

impl Postgres {
    /// Somewhere.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_at(Place::anywhere()?).await
    }

    /// Here. What an earlier one left in the directory is there again.
    pub async fn start_at(place: Place) -> Result<Self, ServerError> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
        place.prepare(USER)?;
        let data = place.file("data");
        if !data.join("PG_VERSION").exists() {
            let made = [leashed(USER), vec![text(&initdb), "-D".to_owned(), text(&data)]].concat();
            let made = Command::new(&made[0])
                .args(&made[1..])
                .args(["-U", "shop", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"])
                .current_dir("/")
                .output()
                .map_err(io("setpriv"))?;
            if !made.status.success() {
                let said = String::from_utf8_lossy(&made.stderr).into_owned();
                return Err(ServerError::Ended { program: "initdb", said });
            }
        }
        let port = place.port.to_string();
        let mut command = vec![text(&postgres), "-D".to_owned(), text(&data), "-p".to_owned(), port];
        // Many services share it, and each has a pool. A crash of the server loses nothing by the second one; a crash of
        // the machine is not what is tried here.
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
            "fsync=off",
            "log_min_messages=fatal",
        ] {
            command.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let port = place.port;
        let postgres = Self { port, leash: Leash::new("postgres", place, USER, command, Vec::new()) };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// A database of this name, made if it is not there: the URL of it.
    pub async fn database(&self, name: &str) -> Result<String, ServerError> {
        let silent = |error: sqlx::Error| ServerError::Silent("postgres", error.to_string());
        let mut connection = self.connect().await.map_err(silent)?;
        let there = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await
            .map_err(silent)?;
        if there.is_none() {
            let make = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
            sqlx::query(AssertSqlSafe(make)).execute(&mut connection).await.map_err(silent)?;
        }
        Ok(self.url(name))
    }

    /// Ends it as a crash would.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.leash.kill()
    }

    /// Starts it after [`Postgres::kill`].
    pub async fn start_again(&self) -> Result<(), ServerError> {
        // When its head is killed, what it had begun for its clients lives on for a moment, and holds the memory they share.
        let patience = Instant::now() + GONE_WITHIN;
        loop {
            let is_ready = async || self.connect().await.map(|_| ()).map_err(|error| error.to_string());
            match self.leash.start(is_ready).await {
                Err(ServerError::Ended { said, .. })
                    if said.contains("still in use") && Instant::now() < patience =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                started => return started,
            }
        }
    }

    async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        install_default_drivers();
        AnyConnection::connect(&self.url("postgres")).await
    }

    /// Where it is, without the name of a database.
    pub(crate) fn server(&self) -> String {
        format!("postgres://shop@127.0.0.1:{}", self.port)
    }

    fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.server())
    }
}

/// Debian keeps these where no path leads, a folder a version; the newest is taken.
fn program(name: &'static str) -> Result<PathBuf, ServerError> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    installed(name, "postgresql", &folders)
}
