//! What follows an upgrade that was granted: no HTTP any more, but bytes both ways between the client's connection and the
//! target's, until both have ended.

use std::time::Duration;

use shell::exchange::Exchange;
use shell::listen::{Conn, Fence};
use shell::tunnel::{Carried, carry};
use tokio::io::AsyncWriteExt;

use super::line::Line;

/// Carries them, and what of them came behind the target's head; then the exchange is over.
pub async fn run(client: &mut Conn, line: &mut Line, silence: Duration, exchange: &mut Exchange) {
    client.relax();
    client.fence(Fence::Open);
    let carried = match begin(client, line).await {
        Ok(()) => carry(client, &mut line.stream, silence).await,
        Err(_) => Carried { up: 0, down: 0 },
    };
    let down = carried.down + line.buffer.len() as u64;
    exchange.tunnelled(Carried { down, ..carried });
}

async fn begin(client: &mut Conn, line: &Line) -> std::io::Result<()> {
    client.write_all(&line.buffer).await?;
    client.flush().await
}
