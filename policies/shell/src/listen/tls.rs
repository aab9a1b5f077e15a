//! The TLS handshake: which certificate the client asked for, and who the client says it is.

use std::io;

use policies::spiffe::SpiffeId;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::Certificates;
use super::transport::Begun;
use crate::mesh::{Identity, spiffe_of};

/// A client that has been greeted.
pub(super) struct Greeted {
    pub stream: Box<TlsStream<Begun>>,
    pub sni: Option<Box<str>>,
    pub shown_to: Option<Box<str>>,
    pub speaks_h2: bool,
    pub identity: Option<SpiffeId>,
}

/// Reads the client's greeting, finds the certificate it asks for, and shakes hands. An unknown name is refused: any
/// certificate we could show would be the wrong one.
pub(super) async fn greet(begun: Begun, certificates: &Certificates) -> io::Result<Greeted> {
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), begun).await?;
    let sni: Option<Box<str>> =
        start.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
    let Some(pair) = certificates.find(sni.as_deref()) else {
        // TLS alert 112, unrecognized_name, fatal; as a bare record, since no configuration speaks for this name.
        let alert = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70];
        start.io.write_all(&alert).await?;
        start.io.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no certificate has this name"));
    };
    let demanded_by = pair.demands.then(|| pair.name.clone());
    let stream = start.into_stream(pair.config.clone()).await?;
    Ok(Greeted { sni, shown_to: demanded_by, ..greeted(stream) })
}

/// Shakes hands with a peer of the mesh: we show our identity, and it has to show its own.
pub(super) async fn greet_peer(begun: Begun, identity: &Identity) -> io::Result<Greeted> {
    let stream = TlsAcceptor::from(identity.server()).accept(begun).await?;
    Ok(greeted(stream))
}

fn greeted(stream: TlsStream<Begun>) -> Greeted {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let identity = leaf.and_then(|leaf| spiffe_of(leaf));
    let speaks_h2 = session.alpn_protocol() == Some(b"h2");
    Greeted { sni: None, shown_to: None, speaks_h2, identity, stream: Box::new(stream) }
}
