//! Real servers for tests and for the demo: Postgres, RabbitMQ, Redis, from Debian's packages, on loopback, each in a
//! directory of its own. They end when they are dropped, and also when we are killed and can say nothing (`leash.rs`).
//! A server that is not installed is an error that names the package; nobody goes on without it.
//!
//! ```no_run
//! # async fn example() -> Result<(), chassis::servers::ServerError> {
//! let postgres = chassis::servers::Postgres::start().await?;
//! let settings = [("DATABASE_URL", postgres.database("order").await?)];
//! # Ok(()) }
//! ```

use std::io;
use std::path::{Path, PathBuf};

mod leash;
mod place;
mod postgres;
mod rabbit;
mod redis;

use leash::Leash;
pub use place::Place;
pub use postgres::Postgres;
pub use rabbit::Rabbit;
pub use redis::Redis;

/// Why there is no such server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It started and ended.
    #[error("{program} ended: {said}")]
    Ended {
        /// Which.
        program: &'static str,
        /// Its last words.
        said: String,
    },
    /// Files or processes.
    #[error("{0}: {1}")]
    Io(&'static str, io::Error),
    /// It is not on this machine.
    #[error("{program} is not here; `apt-get install {package}` brings it")]
    Missing {
        /// Which program.
        program: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// It runs and does not answer, or not with yes.
    #[error("{0} does not answer as it should: {1}")]
    Silent(&'static str, String),
}

/// The program at the first of these places where there is one.
fn installed(
    program: &'static str,
    package: &'static str,
    folders: &[PathBuf],
) -> Result<PathBuf, ServerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&path));
    let mut found = all.map(|folder| folder.join(program)).filter(|file| file.is_file());
    found.next().ok_or(ServerError::Missing { program, package })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
