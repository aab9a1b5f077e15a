//! One order, seen on its whole way through proxies and services.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::scene::{Scene, Unlike, expect};
use crate::collector::Trace;

/// Who must have taken part in an order.
const WAY: [&str; 9] = [
    "gateway",
    "order-sidecar",
    "order",
    "user-sidecar",
    "user",
    "product",
    "inventory",
    "payment-sidecar",
    "payment",
];
/// Spans leave in batches, every few seconds.
const ARRIVE_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) async fn whole_way(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    // One in ten is traced: among sixty there is one, but for once in five hundred runs; hence more are sent while none
    // has come.
    let until = Instant::now() + ARRIVE_WITHIN;
    let mut sent = Vec::new();
    loop {
        for guest in &scene.guests {
            let id = Uuid::new_v4().simple().to_string();
            let product = fastrand::choice(&scene.products).cloned().unwrap_or_default();
            guest.order_traced(&[product], &id).await;
            sent.push(id);
            if let Some((id, trace)) = whole(scene, &sent) {
                return told(&id, &trace);
            }
        }
        sleep(LOOK_EVERY).await;
        let seen =
            format!("{} orders sent, of which the collector knows {}", sent.len(), known(scene, &sent));
        expect(Instant::now() < until, format!("a trace with {}", WAY.join(", ")), seen)?;
    }
}

fn known(scene: &Scene<'_>, sent: &[String]) -> usize {
    sent.iter().filter(|id| scene.demo.collector.trace(id).is_some()).count()
}

fn whole(scene: &Scene<'_>, sent: &[String]) -> Option<(String, Trace)> {
    sent.iter().find_map(|id| {
        let trace = scene.demo.collector.trace(id)?;
        let services = trace.services();
        WAY.iter().all(|name| services.contains(name)).then(|| (id.clone(), trace.clone()))
    })
}

fn told(id: &str, trace: &Trace) -> Result<String, Unlike> {
    let root = trace.root().map(|root| root.service.clone()).unwrap_or_default();
    expect(root == "gateway", "the gateway to be at the root", root)?;
    Ok(format!("trace {id}, {} spans\n{}", trace.spans.len(), trace.tree().trim_end()))
}
