//! What follows an upgrade that was granted: no HTTP any more, but bytes both ways between the client's connection and the
//! target's, until both have ended.

use std::time::Duration;

use shell::listen::Conn;
use shell::tunnel::{Carried, carry};
use tokio::io::AsyncWriteExt;

use super::buffers::Buffer;
use super::line::Line;

/// Carries them, and first what came behind the target's head.
pub async fn run(client: &mut Conn, line: &mut Line, silence: Duration, carried: &Carried) {
    // Who does not even take the answer is a slow client like any other.
    let begun = begin(client, &line.buffer).await;
    client.open();
    carried.came(line.buffer.len());
    // A tunnel that says nothing needs no room.
    line.buffer = Buffer::default();
    if begun.is_ok() {
        carry(client, &mut line.stream, silence, carried).await;
    }
}

async fn begin(client: &mut Conn, ahead: &[u8]) -> std::io::Result<()> {
    client.write_all(ahead).await?;
    client.flush().await
}
