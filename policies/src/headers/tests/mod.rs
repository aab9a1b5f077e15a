//! What goes out in headers and what is believed of what came in, a file for each file of the room.

mod contract;
mod cookie;
mod edits;
mod forwarded;
mod grpc;
mod hop;
mod identity;
mod limits;
mod trailers;
mod trust;

use std::net::IpAddr;

use super::*;
use crate::request::{Peer, Secure};

/// A header block as a test writes it, `name: value` separated by line breaks.
fn block(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    headers
}

/// The same, sorted, to compare with.
fn text(headers: &HeaderMap) -> String {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    lines.join("\n")
}

fn sorted(block_text: &str) -> String {
    text(&block(block_text))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(text: &str) -> Peer {
    Peer { address: address(text), secure: Secure::Plain, identity: None }
}

/// Trusts 10.0.0.0/8 and fd00::/8.
fn trust() -> Trust {
    Trust { networks: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], domain: None }
}
