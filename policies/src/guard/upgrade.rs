//! Changing the protocol in the middle of a connection: WebSocket, or nothing.

use http::request::Parts;
use http::{Method, Version, header};

use super::framing::Body;
use super::refusal::Refusal;
use super::rules::{Permission, Rules, Unoffered};
use crate::headers::hop::{self, Upgrade};
use crate::headers::sole;
use crate::verdict::Denial;

/// What the client wants to change to. `None` means an ordinary request: whatever stands in `Upgrade` is stripped
/// with the other hop-by-hop fields, and no tunnel is opened.
pub(super) fn wanted(head: &Parts, body: Body, rules: &Rules) -> Result<Option<Upgrade>, Refusal> {
    // RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0 request". HTTP/2 has
    // none, and without `Connection: upgrade` the field was not meant for us.
    if head.version != Version::HTTP_11 || !head.headers.contains_key(header::UPGRADE) {
        return Ok(None);
    }
    if !hop::nominates(&head.headers, "upgrade") {
        return Ok(None);
    }
    let websocket = sole(&head.headers, &header::UPGRADE)
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case(Upgrade::WebSocket.as_str()));
    match (websocket, rules.other_upgrades) {
        (true, _) => websocket_offered(head, body, rules).map(Some),
        (false, Unoffered::Ignore) => Ok(None),
        (false, Unoffered::Refuse) => Err(refuse("only WebSocket is offered")),
    }
}

/// RFC 6455 §4.1: a GET. A body before the handshake is where two servers disagree about the first byte of the tunnel.
fn websocket_offered(head: &Parts, body: Body, rules: &Rules) -> Result<Upgrade, Refusal> {
    if rules.websocket == Permission::Refuse {
        return Err(refuse("WebSocket is not offered"));
    }
    if head.method != Method::GET || !matches!(body, Body::None | Body::Length(0)) {
        return Err(refuse("a WebSocket handshake is a GET without a body"));
    }
    Ok(Upgrade::WebSocket)
}

const fn refuse(because: &'static str) -> Refusal {
    Refusal::new(Denial::UpgradeRefused, because)
}
