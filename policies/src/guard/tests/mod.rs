//! What the guard lets through and what it does not: tables of raw requests, then attacks, then properties.

mod answers;
mod attacks;
mod bodies;
mod paths;
mod requests;

use http::{HeaderName, HeaderValue, Request, Version};

use super::*;
use crate::request::{Peer, Secure};
use crate::why::{Notes, Silent};

/// A request as a test writes it: `METHOD target VERSION`, then a line for each field. In HTTP/2 the field
/// `:authority` stands for the pseudo header.
pub(super) struct Sent {
    head: http::request::Parts,
    target: Vec<u8>,
    peer: Peer,
}

impl Sent {
    pub(super) fn new(text: &str) -> Self {
        let mut lines = text.split('\n').map(str::trim_start);
        let first: Vec<_> = lines.next().unwrap().splitn(2, ' ').collect();
        let (target, version) = first[1].rsplit_once(' ').unwrap();
        let mut request = Request::new(());
        *request.method_mut() = first[0].parse().unwrap();
        *request.version_mut() = match version {
            "HTTP/0.9" => Version::HTTP_09,
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/1.1" => Version::HTTP_11,
            "HTTP/2" => Version::HTTP_2,
            other => panic!("{other}"),
        };
        for line in lines.filter(|line| !line.is_empty()) {
            if let Some(authority) = line.strip_prefix(":authority: ") {
                *request.uri_mut() = if first[0] == "CONNECT" {
                    authority.parse().unwrap()
                } else {
                    format!("https://{authority}{target}").parse().unwrap()
                };
                continue;
            }
            let (name, value) = line.split_once(':').unwrap();
            let value = HeaderValue::from_bytes(value.trim().as_bytes()).unwrap();
            request.headers_mut().append(name.parse::<HeaderName>().unwrap(), value);
        }
        let peer = Peer { address: [192, 0, 2, 7].into(), secure: Secure::Plain, identity: None };
        Self { head: request.into_parts().0, target: target.as_bytes().to_vec(), peer }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming { head: &self.head, target: &self.target, peer: &self.peer }
    }
}

/// What came of a request, in one line: `host[:port] target body [upgrade]`.
pub(super) fn outcome(text: &str, rules: &Rules) -> Result<String, Denial> {
    let sent = Sent::new(text);
    let clean = inspect(&sent.incoming(), Wire::default(), rules, &mut Silent)?;
    let port = clean.port.map(|port| format!(":{port}")).unwrap_or_default();
    let upgrade = clean.upgrade.map(|upgrade| format!(" {}", upgrade.as_str())).unwrap_or_default();
    Ok(format!("{}{port} {} {:?}{upgrade}", clean.host, clean.target(), clean.body))
}

pub(super) fn check(rules: &Rules, rows: &[(&str, Result<&str, Denial>)]) {
    for (text, expected) in rows {
        assert_eq!(outcome(text, rules), expected.map(str::to_owned), "{text}");
    }
}

#[test]
fn the_reason_is_told_to_whoever_listens() {
    let sent = Sent::new("TRACE / HTTP/1.1\nHost: a");
    let mut notes = Notes::default();
    assert_eq!(
        inspect(&sent.incoming(), Wire::default(), &Rules::default(), &mut notes),
        Err(Denial::BadMethod)
    );
    assert_eq!(notes.0.len(), 1);
    assert_eq!(notes.0[0].about, "guard");
    assert!(notes.0[0].words.contains("TRACE"), "{:?}", notes.0);
}
