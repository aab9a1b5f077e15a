//! Who is told to be slow, and who may be silent. The clock is the runtime's own, which jumps when nobody has anything to do.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use policies::identity::LastToken;
use policies::request::{Peer, Secure};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::super::permits::Permits;
use super::super::transport::{Begun, Plain, Transport};
use super::*;

const LONG: Duration = Duration::from_secs(600);
const LIMITS: Limits = Limits {
    idle_within: Duration::from_secs(60),
    header_within: Duration::from_secs(10),
    head_bytes_max: 1024,
    body_rate_min: 200,
};

/// A connection whose client has said nothing, and the client.
fn silent() -> (Conn, UnixStream) {
    let (client, ours) = UnixStream::pair().unwrap();
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let facts = Facts {
        peer: Peer { address, secure: Secure::Plain, identity: None },
        sni: None,
        shown_to: None,
        speaks_h2: false,
        port: 1,
        meant_for: None,
        last_token: LastToken::default(),
        number: 1,
        permit: Arc::new(Permits::new(1, 1)).take(None).unwrap(),
    };
    let transport = Transport::Plain(Begun::new(Plain::Unix(ours), BytesMut::new()));
    (Conn::new(transport, Arc::new(facts)), client)
}

#[tokio::test(start_paused = true)]
async fn a_body_has_to_come_and_a_tunnel_may_be_silent() {
    for (fence, too_slow) in [
        (Fence::Exactly(5), true),
        (Fence::Chunked(Chunks::default()), true),
        // All of it is here: now it waits for us.
        (Fence::Exactly(0), false),
        // A tunnel, or a request for one that is not answered yet.
        (Fence::Open, false),
    ] {
        let (mut conn, _client) = silent();
        if let Some(inner) = conn.inner.as_mut() {
            inner.rest(&LIMITS);
        }
        conn.fence(fence);
        let read = timeout(LONG, conn.read_u8()).await;
        let was_too_slow = read.is_ok_and(|read| read.unwrap_err().kind() == io::ErrorKind::TimedOut);
        assert_eq!(was_too_slow, too_slow, "{fence:?}");
    }
}
