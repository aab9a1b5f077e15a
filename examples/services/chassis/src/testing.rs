//! For the tests of the services: a whole service in the test's process, on a port and a database of its own.

use std::path::Path;
use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::run::{App, Chassis, Running, StartError};
use crate::servers::Postgres;
use crate::settings::Settings;

/// A service that runs for a test.
pub struct Tried {
    running: Option<Running>,
    client: reqwest::Client,
    _directory: TempDir,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; `null` if it has none or is not JSON.
    pub body: Value,
    /// The header fields.
    pub headers: axum::http::HeaderMap,
}

/// Waits until it is true; panics with `what` if that takes half a minute.
#[allow(clippy::panic, reason = "it is an assertion")]
pub async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if is_true().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within half a minute");
}

impl Tried {
    /// Starts it with these settings. The database is a new file unless they name one; or one of [`postgres`].
    pub async fn start<F>(
        name: &'static str,
        migrations: &Migrator,
        settings: &[(&str, &str)],
        assemble: F,
    ) -> Result<Self, StartError>
    where
        F: AsyncFnOnce(&Chassis) -> Result<App, StartError>,
    {
        let directory = tempfile::tempdir().map_err(|error| StartError::Other(error.to_string()))?;
        let mut all = settings.to_vec();
        let database = if settings.iter().any(|(name, _)| *name == "DATABASE_URL") {
            None
        } else if let Some(url) = postgres().await? {
            Some(url)
        } else {
            Some(format!("sqlite://{}", directory.path().join("db").display()))
        };
        all.extend(database.iter().map(|url| ("DATABASE_URL", url.as_str())));
        let running = Running::start(name, migrations, Settings::of(&all), assemble).await?;
        Ok(Self { running: Some(running), client: reqwest::Client::new(), _directory: directory })
    }

    /// What it stands on.
    #[allow(clippy::unwrap_used, reason = "it is there until it is stopped")]
    pub fn chassis(&self) -> &Chassis {
        &self.running.as_ref().unwrap().chassis
    }

    /// Where it serves: `http://127.0.0.1:...`.
    #[allow(clippy::unwrap_used, reason = "it is there until it is stopped")]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.as_ref().unwrap().address)
    }

    /// Asks it, with these headers (`x-user-id: u-1`) and this body.
    #[allow(clippy::unwrap_used, reason = "a test that cannot ask has failed")]
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null), headers }
    }

    /// A GET without more.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], &Value::Null).await
    }

    /// A POST without more.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &[], &body).await
    }

    /// Compares what it serves with the document checked in beside its manifest: see [`crate::contract`].
    pub async fn keeps_its_contract(&self, manifest_dir: &str) {
        let served = self.get("/openapi.json").await.body;
        crate::contract::keeps(&Path::new(manifest_dir).join("openapi.json"), &served);
    }

    /// Ends it in order.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

/// A new database on the server of `SHOP_TEST_POSTGRES`: its URL, or `start` for a server that this test program starts and
/// that ends with it. None if that is not set: then services are tried on files.
pub async fn postgres() -> Result<Option<String>, StartError> {
    static OWN: OnceCell<Postgres> = OnceCell::const_new();
    let server = match std::env::var("SHOP_TEST_POSTGRES") {
        Err(_) => return Ok(None),
        Ok(word) if word == "start" => {
            let started = OWN.get_or_try_init(Postgres::start).await;
            started.map_err(|error| StartError::Other(error.to_string()))?.server()
        }
        Ok(url) => url,
    };
    sqlx::any::install_default_drivers();
    let name = format!("tried_{}", Uuid::now_v7().simple());
    let mut connection = AnyConnection::connect(&format!("{server}/postgres")).await?;
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    connection.close().await?;
    Ok(Some(format!("{server}/{name}")))
}

impl Drop for Tried {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.chassis.stop.cancel();
        }
    }
}
