//! An upgrade that was granted: hyper has answered it, and what follows on its connection is bytes.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use shell::exchange::Exchange;
use shell::listen::Conn;
use shell::tunnel::carry;

/// The target's end of it, and the request it belongs to.
pub struct Tunnel {
    target: OnUpgrade,
    exchange: Box<Exchange>,
    silence: Duration,
}

impl Tunnel {
    /// The target has said yes. Nobody need say anything for so long.
    pub fn new(target: OnUpgrade, exchange: Box<Exchange>, silence: Duration) -> Self {
        Self { target, exchange, silence }
    }

    /// Carries bytes until both ends have ended.
    pub async fn run(mut self, mut client: Conn) {
        client.open();
        let Ok(target) = self.target.await else { return };
        let carried = self.exchange.tunnel().unwrap_or_default();
        carry(&mut client, &mut TokioIo::new(target), self.silence, &carried).await;
        self.exchange.close();
    }
}
