//! Answers for connections that never got as far as an engine.

use std::sync::Arc;

use policies::admit::Because;
use policies::reply::Reply;
use tokio::io::AsyncWriteExt;

use super::{Core, Exchange};
use crate::listen::Conn;

/// Answers a connection that never got as far as the engine, tells of it, and closes.
pub async fn refuse(core: &Arc<Core>, mut conn: Conn, because: Because) {
    let mut exchange = Exchange::begin(core.clone(), Arc::default());
    let Some(facts) = conn.facts().cloned() else { return };
    let reply = exchange.turn_away(facts, because);
    let _ = conn.write_all(&wire(&reply)).await;
    exchange.close();
    conn.close().await;
}

/// An answer of ours as bytes of HTTP/1.1. The connection ends with it.
pub fn wire(reply: &Reply) -> Vec<u8> {
    let reason = reply.status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", reply.status.as_str()).into_bytes();
    for (name, value) in &reply.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    bytes.extend_from_slice(format!("date: {date}\r\nconnection: close\r\n\r\n").as_bytes());
    bytes.extend_from_slice(&reply.body);
    bytes
}
