//! The TLS handshake: which certificate the client asked for, and who the client says it is.

use std::io;

use policies::spiffe::SpiffeId;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::Certificates;
use super::transport::Begun;

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
    let stream = Box::new(start.into_stream(pair.config.clone()).await?);
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let identity = leaf.and_then(|leaf| spiffe(leaf));
    let speaks_h2 = session.alpn_protocol() == Some(b"h2");
    let shown_to = pair.demands.then(|| pair.name.clone());
    Ok(Greeted { sni, shown_to, speaks_h2, identity, stream })
}

/// The one URI name of a verified certificate, if it is a SPIFFE id: with two there would be two identities.
fn spiffe(certificate: &[u8]) -> Option<SpiffeId> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => SpiffeId::parse(uri).ok(),
        _ => None,
    }
}
