//! One order, seen on its whole way through proxies and services, and the news of it on theirs.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::scene::{Scene, Unlike, expect};
use crate::collector::{Span, Trace};

/// Whom a charge and a reservation go through: in at one sidecar, out at the same, in at the next.
const CHARGED: [&str; 6] =
    ["gateway", "order-sidecar", "order", "order-sidecar", "payment-sidecar", "payment"];
const RESERVED: [&str; 6] =
    ["gateway", "order-sidecar", "order", "order-sidecar", "inventory-sidecar", "inventory"];
/// Who tells whom, whether through sidecars or a broker: an order, its parcel, and who hears of that.
const NEWS: [&str; 3] = ["order", "shipping", "notification"];
/// Spans leave in batches, every few seconds; one order in ten is traced.
const ARRIVE_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many orders are sent; and as many again after a while, should none of them have been traced.
const SENT: usize = 60;
const MORE_AFTER: Duration = Duration::from_secs(15);

pub(super) async fn whole_way(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let until = Instant::now() + ARRIVE_WITHIN;
    let mut sent = Vec::new();
    let mut more = Instant::now();
    loop {
        if Instant::now() >= more {
            for guest in scene.guests.iter().cycle().take(SENT) {
                let id = Uuid::new_v4().simple().to_string();
                let product = fastrand::choice(&scene.products).cloned().unwrap_or_default();
                guest.order_traced(&[product], &id).await;
                sent.push(id);
            }
            more = Instant::now() + MORE_AFTER;
        }
        let traces: Vec<_> =
            sent.iter().filter_map(|id| Some((id, scene.demo.collector.trace(id)?))).collect();
        if let Some(told) = traces.iter().find_map(|(id, trace)| told(id, trace)) {
            return Ok(told);
        }
        let ways = [CHARGED.as_slice(), &RESERVED, &NEWS].map(|way| way.join(" > ")).join("; ");
        let best = traces.iter().map(|(_, trace)| trace).max_by_key(|trace| trace.spans.len());
        let best = best.map(|trace| trace.services().join(", ")).unwrap_or_default();
        let seen = format!("{} orders, {} traces; in the longest: {best}", sent.len(), traces.len());
        expect(Instant::now() < until, format!("a trace that goes {ways}"), seen)?;
        sleep(LOOK_EVERY).await;
    }
}

/// The trace along the ways it must have gone, if it has gone all of them.
fn told(id: &str, trace: &Trace) -> Option<String> {
    let charged = reaching(trace, |span| span.service == "payment", |hops| hops == CHARGED)?;
    let reserved = reaching(trace, |span| span.service == "inventory", |hops| hops == RESERVED)?;
    let hears = |span: &Span| span.service == "notification" && span.name.starts_with("hear ");
    let news = reaching(trace, hears, |hops| {
        let mut services: Vec<_> = hops.to_vec();
        services.retain(|name| *name != "gateway" && !name.ends_with("-sidecar"));
        services.dedup();
        services == NEWS
    })?;
    let drawn = trace.tree_along(&[charged, reserved, news]);
    let (services, spans) = (trace.services().len(), trace.spans.len());
    Some(format!("trace {id}: {spans} spans of {services} programs\n{}", drawn.trim_end()))
}

/// The way to the first such span that has gone so: by who takes part, one after the other.
fn reaching(
    trace: &Trace,
    is_there: impl Fn(&Span) -> bool,
    fits: impl Fn(&[&str]) -> bool,
) -> Option<Vec<&Span>> {
    let ways = trace.spans.iter().filter(|span| is_there(span)).map(|span| trace.way(span));
    ways.into_iter().find(|way| {
        let mut hops: Vec<_> = way.iter().map(|span| span.service.as_str()).collect();
        hops.dedup();
        fits(&hops)
    })
}
