//! Asks every endpoint, at intervals, whether it is well. What a row of answers means is decided by `policies`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use policies::balance::probe::{Health as Found, Patience, Probes};
use policies::document::target::Protocol;
use policies::plan::{Health, Target};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{Calling, Upstream, call};

/// Probes of one target under way at once.
const AT_ONCE: usize = 32;
/// An answer to a probe is a word; more is thrown away.
const BYTES_MAX: usize = 64 * 1024;

/// Keeps a target's endpoints probed, if it wants that.
pub(super) fn keep(house: &Handle, upstream: &Arc<Upstream>, target: &Target) -> Option<AbortHandle> {
    let health = target.health.clone()?;
    let upstream = Arc::downgrade(upstream);
    Some(house.spawn(watch(upstream, health)).abort_handle())
}

async fn watch(upstream: Weak<Upstream>, health: Health) {
    let mut rows: HashMap<SocketAddr, Probes> = HashMap::new();
    // Not all targets at the same moment.
    tokio::time::sleep(health.every.mul_f64(fastrand::f64() / 4.0).min(Duration::from_secs(1))).await;
    loop {
        let Some(strong) = upstream.upgrade() else { return };
        let endpoints = strong.endpoints();
        let asked = (0..endpoints.set.endpoints().len()).map(|index| ask(&strong, &health, index));
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        let patience = Patience { fail_after: health.fail_after, pass_after: health.pass_after };
        for (index, answer) in answers {
            let Some(endpoint) = endpoints.set.endpoints().get(index) else { continue };
            let row = rows.entry(endpoint.listed.address).or_default();
            let found = if answer.is_ok() { Found::Well } else { Found::Unwell };
            match row.record(patience, found) {
                Some(Found::Well) => {
                    endpoint.state.probe_passed(crate::clock::tick());
                    log::info!(target: "banyan", "target {}: {} is well again", strong.name, endpoint.listed.name);
                }
                Some(Found::Unwell) => {
                    endpoint.state.probe_failed();
                    let why = answer.err().unwrap_or_default();
                    log::warn!(target: "banyan", "target {}: {} is not well: {why}", strong.name, endpoint.listed.name);
                }
                None => {}
            }
        }
        let here: Vec<_> = endpoints.set.endpoints().iter().map(|endpoint| endpoint.listed.address).collect();
        rows.retain(|address, _| here.contains(address));
        drop((strong, endpoints));
        tokio::time::sleep(health.every).await;
    }
}

async fn ask(upstream: &Upstream, health: &Health, index: usize) -> (usize, Result<(), String>) {
    let endpoints = upstream.endpoints();
    let Some(endpoint) = endpoints.set.endpoints().get(index) else { return (index, Ok(())) };
    let address = endpoint.listed.address;
    let Some(path) = &health.path else {
        let connected = tokio::time::timeout(health.timeout, TcpStream::connect(address)).await;
        let outcome = match connected {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no connection in time".to_owned()),
        };
        return (index, outcome);
    };
    let material = upstream.shape.material.as_ref();
    let tls = material.and_then(|material| {
        Some((material.client.clone(), material.server_name(&endpoints.peer(index)?.host)?))
    });
    let http2 = matches!(upstream.shape.protocol, Protocol::Http2 | Protocol::H2c);
    let calling = Calling {
        address,
        tls,
        http2,
        host: upstream.authority().to_str().unwrap_or_default(),
        path,
        within: health.timeout,
        bytes_max: BYTES_MAX,
    };
    let outcome = match call(calling).await {
        Ok((status, ..)) if health.takes(status) => Ok(()),
        Ok((status, ..)) => Err(format!("it answered {status}")),
        Err(error) => Err(error.to_string()),
    };
    (index, outcome)
}
