//! What Pingora is told of an endpoint. Verification is always on and the name never empty: without a name its connector
//! verifies nothing.

use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use policies::document::target::Protocol;
use shell::exchange::Attempt;
use shell::upstream::{Endpoints, Material, Shape};

/// Streams on one connection to an HTTP/2 target: Pingora's own default is one.
const H2_STREAMS: usize = 100;
/// A dead peer is found out by the kernel within half a minute, request or no request.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(5),
    count: 3,
    user_timeout: Duration::from_secs(30),
};

/// A target's TLS in Pingora's types, made once.
struct Papers {
    ca: Option<Arc<CaType>>,
    pair: Option<Arc<CertKey>>,
}

/// The peer of an attempt, with its time-outs.
pub fn peer(attempt: &Attempt) -> Option<HttpPeer> {
    let mut peer = of(&attempt.endpoints, attempt.index)?;
    peer.options.total_connection_timeout = Some(attempt.patience.connect);
    peer.options.connection_timeout = Some(attempt.patience.connect);
    // Pingora has one time-out for the wait for the head and for the gaps in the body; the exchange's watch holds
    // the whole to its deadline.
    peer.options.read_timeout = Some(attempt.patience.answer.max(Duration::from_millis(1)));
    peer.options.write_timeout = Some(attempt.patience.silence);
    Some(peer)
}

fn of(endpoints: &Endpoints, index: usize) -> Option<HttpPeer> {
    let (shape, at) = (&endpoints.shape, endpoints.peer(index)?);
    let tls = shape.material.as_ref();
    let sni = tls.map(|material| material.name_for(&at.host).to_owned()).unwrap_or_default();
    let mut peer = HttpPeer::new(at.address, tls.is_some(), sni);
    let options = &mut peer.options;
    options.alpn = match shape.protocol {
        Protocol::Http2 | Protocol::H2c => ALPN::H2,
        Protocol::Http1 | Protocol::Tcp => ALPN::H1,
    };
    options.verify_cert = true;
    options.verify_hostname = true;
    options.max_h2_streams = H2_STREAMS;
    options.idle_timeout = Some(shape.idle_for);
    options.tcp_keepalive = Some(KEEPALIVE);
    if let Some(papers) = tls.and_then(|material| papers(shape, material)) {
        options.ca = papers.ca.clone();
        peer.client_cert_key = papers.pair.clone();
    }
    // The pool tells connections apart by address and name, not by authority or protocol; this does.
    peer.group_key = shape.print;
    Some(peer)
}

fn papers<'a>(shape: &'a Shape, material: &Material) -> Option<&'a Papers> {
    let made = shape.keepsake.get_or_init(|| {
        let wrapped = |certificate: &[u8]| WrappedX509::new(certificate.to_vec(), parse_x509);
        let ca = material.ca.as_ref().map(|ca| ca.iter().map(|one| wrapped(one)).collect::<Vec<_>>().into());
        let pair = material.pair.as_ref().map(|(chain, key)| {
            let chain = chain.iter().map(|one| one.to_vec()).collect();
            Arc::new(CertKey::new(chain, key.secret_der().to_vec()))
        });
        Box::new(Papers { ca, pair })
    });
    made.downcast_ref()
}
