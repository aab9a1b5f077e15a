//! A call to a destination that nobody declared, which the document lets pass: one request, one connection, no policy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use policies::document::target::Protocol;
use policies::headers::hop::{self, Framing, Next, Onward};
use policies::verdict::{Denial, Fault};
use shell::exchange::{Breakage, Then};

use crate::body::{Answer, Outgoing, Source, Upload};
use crate::carry::{Way, passing};
use crate::client::{Client, Place, unreachable};

/// How long it may take to find and to reach the destination.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long it may say nothing.
const SILENCE: Duration = Duration::from_secs(300);

/// Lets one request pass: to where its connection was going, or to whom it names.
pub(crate) async fn pass(
    client: &Arc<Client>,
    mut way: Way,
    going: Option<SocketAddr>,
    host: &str,
    port: Option<u16>,
) -> Result<Response<Answer>, (Way, Then)> {
    let h2 = way.parts.version == Version::HTTP_2;
    let (protocol, next) = if h2 { (Protocol::H2c, Next::Http2) } else { (Protocol::Http1, Next::Http1) };
    let request = match outgoing(&way.parts, way.upload.as_ref(), next) {
        Ok(request) => request,
        Err(denial) => {
            let then = way.malformed(denial);
            return Err((way, then));
        }
    };
    let found = match going {
        Some(going) => Some(going),
        None => find(host, port.unwrap_or(80)).await,
    };
    let Some(address) = found else {
        let then = way.exchange.broke(Breakage::Target(unreachable(Fault::ConnectFailed)));
        return Err((way, then));
    };
    let place = Place::undeclared(address, protocol, CONNECT_WITHIN);
    let sent = match client.to(place).await {
        Ok(ready) => ready.send(request).await,
        Err(fault) => Err(unreachable(fault)),
    };
    let (answer, kept) = match sent {
        Ok(sent) => sent,
        Err(broke) => {
            let then = way.broke(broke);
            return Err((way, then));
        }
    };
    let (mut head, source) = answer.into_parts();
    way.exchange.passed(head.status);
    head.version = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
    hop::answer(&mut head.headers, Onward { framing: Framing::ByItself, next, upgrade: None });
    Ok(passing(way, head, Source::Passing(source), kept, SILENCE))
}

/// The request as it came, but for what was said about its last hop.
fn outgoing(parts: &Parts, upload: Option<&Upload>, next: Next) -> Result<Request<Outgoing>, Denial> {
    let mut headers = parts.headers.clone();
    hop::request(&mut headers, Onward { framing: Framing::ByItself, next, upgrade: None })?;
    let uri = match next {
        Next::Http1 => {
            if let (Some(authority), false) = (parts.uri.authority(), headers.contains_key(header::HOST)) {
                let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Denial::BadHost)?;
                headers.insert(header::HOST, host);
            }
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            target.parse::<Uri>().map_err(|_| Denial::BadTarget)?
        }
        Next::Http2 => parts.uri.clone(),
    };
    let mut request = Request::new(upload.map_or(Outgoing::Nothing, Upload::again));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    *request.version_mut() = if next == Next::Http2 { Version::HTTP_2 } else { Version::HTTP_11 };
    Ok(request)
}

/// The system's own answer to where a name is, as the app itself would have asked.
async fn find(host: &str, port: u16) -> Option<SocketAddr> {
    let looking = tokio::net::lookup_host((host, port));
    tokio::time::timeout(CONNECT_WITHIN, looking).await.ok()?.ok()?.next()
}
