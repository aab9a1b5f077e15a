//! Payment gets slow, then fails, then is well again.

use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, Seen, Unlike, all_fine, expect, rush, wave};
use crate::metrics::Sample;
use crate::policies::Chapter;
use crate::shop::service;
use crate::shoppers::{Kind, since};
use crate::summary::{Sight, words};

/// So many want to buy in one moment.
const WAVE: u32 = 16;
/// The story wants to be seen for a while; what it tells of must have happened once by then.
const WAVES: std::ops::RangeInclusive<u32> = 4..=12;
const WAVE_EVERY: Duration = Duration::from_secs(1);
const DELAYED_WITHIN: Duration = Duration::from_secs(30);
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

pub(super) async fn payment(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.demo.policies.turn_to(Chapter::Services).await?;
    let from = scene.demo.shoppers.street.orders.all().len();

    // Slow, but in time for one try.
    provider(scene, 800, 0.0).await?;
    let (slow, refused) =
        waves(scene, "the bulkhead before payment to be full", |slug| slug.starts_with("bulkhead-")).await?;

    provider(scene, 20, 1.0).await?;
    let (failing, opened) =
        waves(scene, "the breaker before payment to be open", |slug| slug == "breaker-open").await?;
    let delayed = scene
        .eventually(DELAYED_WITHIN, "orders kept as delayed while payment fails", async |scene| {
            let books = scene.ledger.books().await?;
            let delayed = books.orders.get("delayed").copied().unwrap_or_default();
            Ok(if delayed > 0 { Ok(delayed) } else { Err(format!("{:?}", books.orders)) })
        })
        .await?;

    provider(scene, 20, 0.0).await?;
    let books = scene.settled(SETTLED_WITHIN).await?;
    let promised = scene.kept(from, &books).await?;
    let empty = no_recommendations(scene).await?;
    let told = |seen: &Seen| {
        let orders = seen.get(&Kind::Order).cloned().unwrap_or_default();
        format!("{} (p99 {:.0} ms)", words(&orders), orders.times.quantile(0.99).unwrap_or_default())
    };
    Ok(format!(
        "slow: {}; refused by the bulkhead: {refused}\n\
         failing: {}; refused by the breaker: {opened}; {delayed} delayed in the books\n\
         recovered: all {promised} orders done, by the books {:?}; paid twice 0, not paid 0\n\
         recommendations without their service: {empty}",
        told(&slow),
        told(&failing),
        books.orders
    ))
}

/// Orders come in waves, and people look meanwhile, until it has happened that calls to payment were refused so. Everybody
/// has got an answer, those who bought in the three seconds that the gateway gives an order.
async fn waves(scene: &Scene<'_>, what: &str, is_it: impl Fn(&str) -> bool) -> Result<(Seen, f64), Unlike> {
    let before = denials(&scene.sight().await, &is_it);
    let figures = &scene.demo.shoppers.street.figures;
    let began = figures.now();
    let rushes = [wave(Kind::Order, WAVE), rush(Kind::Browse, scene.comfort.looks)];
    let mut refused = 0.0;
    for number in 1..=*WAVES.end() {
        scene.crowd(&rushes, WAVE_EVERY).await?;
        refused = denials(&scene.sight().await, &is_it) - before;
        if refused > 0.0 && number >= *WAVES.start() {
            break;
        }
    }
    expect(refused > 0.0, what, refused)?;
    let seen = since(&figures.now(), &began);
    all_fine(&seen)?;
    Ok((seen, refused))
}

/// Sets how payment's provider behaves.
async fn provider(scene: &Scene<'_>, delay_ms: u64, failure_rate: f64) -> Result<(), Unlike> {
    let behaviour =
        json!({ "delay_ms": delay_ms, "failure_rate": failure_rate, "lost_rate": 0.0, "decline_rate": 0.0 });
    let port = service("payment").map(crate::shop::Service::app).unwrap_or_default();
    scene.operate(port, "/simulator", &behaviour).await
}

/// What the order's sidecar has refused to send to payment.
fn denials(sight: &Sight, is_it: impl Fn(&str) -> bool) -> f64 {
    let fits = |sample: &Sample| sample.label("route") == "payment" && is_it(sample.label("slug"));
    sight.at_sidecar("order", "banyan_denials_total", fits)
}

/// The recommendation service is killed: the gateway answers with an empty list.
async fn no_recommendations(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.demo.processes.kill("recommendation").await?;
    let seen = scene.crowd(&[rush(Kind::Recommend, 10.0)], Duration::from_secs(2)).await?;
    scene.demo.processes.restart("recommendation", &[]).await?;
    all_fine(&seen)?;
    Ok(seen.get(&Kind::Recommend).map(words).unwrap_or_default())
}
