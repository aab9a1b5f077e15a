//! Connections of bytes: to a target, with its bulkhead and its endpoints; or to a destination that nobody declared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use policies::document::target::Protocol;
use policies::plan::Target;
use shell::exchange::{Core, Line};
use shell::listen::Conn;
use shell::tunnel::{Carried, carry};
use tower::Service;

use crate::client::{Connector, Place, Stream};
use crate::counts::{Counts, Went};

/// How long it may take to reach a destination that nobody declared.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What destinations are counted as that nobody declared.
const UNDECLARED: &str = "undeclared";

/// Carries bytes.
#[derive(Clone)]
pub struct Opaque {
    /// What is at hand at the door.
    pub core: Arc<Core>,
    /// Makes connections.
    pub connector: Connector,
    /// Where it is told.
    pub counts: Arc<Counts>,
}

impl Opaque {
    /// Carries a connection to a target.
    pub async fn to(&self, conn: Conn, target: &Arc<Target>) {
        let mut line = match Line::to(&self.core, target).await {
            Ok(line) => line,
            Err(denial) => {
                log::warn!(target: "banyan", "a connection to {} is refused: {}", target.name, denial.slug());
                return self.counts.connection(&target.name, Went::Denied);
            }
        };
        match self.reach(&mut line).await {
            Some(stream) => self.carry(conn, stream, &target.name).await,
            None => {
                log::warn!(target: "banyan", "a connection to {} is given up: it cannot be reached", target.name);
                self.counts.connection(&target.name, Went::Unreachable);
            }
        }
    }

    async fn reach(&self, line: &mut Line) -> Option<Stream> {
        while let Some(attempt) = line.another() {
            let place = Place::of(&attempt.endpoints, attempt.index, attempt.patience.connect)?;
            match self.connector.clone().call(place).await {
                Ok(stream) => {
                    line.reached();
                    return Some(stream);
                }
                Err(fault) => line.failed(fault),
            }
        }
        None
    }

    /// Carries a connection to where it was going.
    pub async fn pass(&self, conn: Conn, destination: SocketAddr) {
        match self.connector.clone().call(Place::undeclared(destination, Protocol::Tcp, CONNECT_WITHIN)).await
        {
            Ok(stream) => self.carry(conn, stream, UNDECLARED).await,
            Err(_) => self.counts.connection(UNDECLARED, Went::Unreachable),
        }
    }

    /// Turns a connection away.
    pub fn refuse(&self, conn: Conn, why: Went) {
        drop(conn);
        self.counts.connection(UNDECLARED, why);
    }

    async fn carry(&self, mut conn: Conn, mut stream: Stream, target: &str) {
        conn.open();
        // Whoever speaks there knows how long a silence may be.
        let carried = Carried::default();
        carry(&mut conn, &mut stream, Duration::MAX, &carried).await;
        self.counts.connection(target, Went::Carried);
        self.counts.bytes(target, carried.up(), carried.down());
    }
}
