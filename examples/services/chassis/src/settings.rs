//! What a service is told when it starts: environment variables, and nothing else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

use lapin::uri::AMQPUri;

/// The settings of one service.
#[derive(Clone, Debug, Default)]
pub struct Settings(HashMap<String, String>);

/// A setting that is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It has no default.
    #[error("{0} is not set")]
    Missing(String),
    /// It is there, and wrong.
    #[error("{name}={value}: {why}")]
    Wrong {
        /// The variable.
        name: String,
        /// What it is set to.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Settings {
    /// Those of this process.
    pub fn of_environment() -> Self {
        Self(std::env::vars().collect())
    }

    /// These, and no others: tests run many services in one process.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The value, if it is set and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value, or an error that names the variable.
    pub fn required(&self, name: &str) -> Result<&str, SettingsError> {
        self.text(name).ok_or_else(|| SettingsError::Missing(name.to_owned()))
    }

    /// The value read as a number or an address, or the default.
    pub fn parsed<T: FromStr>(&self, name: &str, default: T) -> Result<T, SettingsError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = self.text(name) else { return Ok(default) };
        value.parse().map_err(|error: T::Err| SettingsError::Wrong {
            name: name.to_owned(),
            value: value.to_owned(),
            why: error.to_string(),
        })
    }

    /// `LISTEN`: where the service serves. Default: a free port of loopback.
    pub fn listen(&self) -> Result<SocketAddr, SettingsError> {
        self.parsed("LISTEN", SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// `DATABASE_URL`. Default: a SQLite file named after the service, where it was started.
    pub fn database_url(&self, service: &str) -> String {
        self.text("DATABASE_URL").map_or_else(|| format!("sqlite://{service}.db"), str::to_owned)
    }

    /// `BUS_URL=amqp://NAME:PASSWORD@HOST:PORT/VHOST`: the broker, if there is one. It needs only the
    /// names in `EVENTS_TO`.
    pub(crate) fn bus(&self) -> Result<Option<AMQPUri>, SettingsError> {
        let Some(url) = self.text("BUS_URL") else { return Ok(None) };
        let wrong = |why| SettingsError::Wrong {
            name: "BUS_URL".to_owned(),
            // There is a password in it.
            value: "...".to_owned(),
            why,
        };
        url.parse().map(Some).map_err(wrong)
    }

    /// `EVENTS_TO=shipping=http://127.0.0.1:18416,analytics=...`: who is told of this service's events, and where when
    /// there is no broker.
    pub fn subscribers(&self) -> Result<Vec<(String, String)>, SettingsError> {
        let list = self.text("EVENTS_TO").unwrap_or_default();
        let pairs = list.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| match pair.split_once('=') {
                Some((name, url)) if url.starts_with("http://") => Ok((name.to_owned(), url.to_owned())),
                _ => Err(SettingsError::Wrong {
                    name: "EVENTS_TO".to_owned(),
                    value: pair.to_owned(),
                    why: "want NAME=http://ADDRESS".to_owned(),
                }),
            })
            .collect()
    }
}
