//! Redis.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Leash, Place, ServerError, installed, text};

const USER: &str = "redis";

/// A Redis server.
pub struct Redis {
    port: u16,
    leash: Leash,
}

impl Redis {
    /// Somewhere.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_at(Place::anywhere()?).await
    }

    /// Here. What an earlier one left in the directory is there again.
    pub async fn start_at(place: Place) -> Result<Self, ServerError> {
        let program = installed("redis-server", "redis-server", &[])?;
        place.prepare(USER)?;
        let port = place.port;
        let mut command = vec![text(&program)];
        for (name, value) in [
            ("port", port.to_string()),
            ("bind", "127.0.0.1".to_owned()),
            ("dir", text(&place.directory)),
            ("appendonly", "yes".to_owned()),
            ("save", String::new()),
        ] {
            command.extend([format!("--{name}"), value]);
        }
        let redis = Self { port, leash: Leash::new("redis-server", place, USER, command, Vec::new()) };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it as a crash would.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.leash.kill()
    }

    /// Starts it after [`Redis::kill`].
    pub async fn start_again(&self) -> Result<(), ServerError> {
        self.leash.start(async || ping(self.port).await.map_err(|error| error.to_string())).await
    }
}

async fn ping(port: u16) -> std::io::Result<()> {
    let mut redis = TcpStream::connect(("127.0.0.1", port)).await?;
    redis.write_all(b"PING\r\n").await?;
    let mut answer = [0; 5];
    redis.read_exact(&mut answer).await?;
    // While it reads its files it says -LOADING.
    if &answer == b"+PONG" { Ok(()) } else { Err(std::io::Error::other("it is loading")) }
}
