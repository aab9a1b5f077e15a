//! Payment gets slow, then fails, then is well again.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

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
    provider(scene, &json!({ "delay_ms": 800 })).await?;
    let (slow, refused) =
        waves(scene, "the bulkhead before payment to be full", |slug| slug.starts_with("bulkhead-")).await?;

    // The money goes, and the answer does not come back: who asks again under another key pays twice.
    provider(scene, &json!({ "delay_ms": 20, "lost_rate": 1.0 })).await?;
    all_fine(&scene.crowd(&[wave(Kind::Order, WAVE)], WAVE_EVERY).await?)?;
    let charged = scene
        .eventually(DELAYED_WITHIN, "orders charged without an answer", async |scene| {
            let charged = scene.ledger.unanswered().await?;
            Ok(if charged.is_empty() { Err("none".to_owned()) } else { Ok(charged) })
        })
        .await?;

    provider(scene, &json!({ "delay_ms": 20, "failure_rate": 1.0 })).await?;
    let (failing, opened) =
        waves(scene, "the breaker before payment to be open", |slug| slug == "breaker-open").await?;
    let delayed = scene
        .eventually(DELAYED_WITHIN, "orders kept as delayed while payment fails", async |scene| {
            let orders = scene.ledger.orders().await?;
            let delayed = orders.into_iter().filter(|(_, fate)| fate.status == "delayed");
            let delayed: BTreeSet<_> = delayed.map(|(id, _)| id).collect();
            Ok(if delayed.is_empty() { Err("none".to_owned()) } else { Ok(delayed) })
        })
        .await?;
    // Paid for, all of them, and still to be told so.
    expect(charged.is_subset(&delayed), "those charged without an answer to be delayed", "some are not")?;

    provider(scene, &json!({ "delay_ms": 20 })).await?;
    let books = scene.settled(SETTLED_WITHIN).await?;
    let promised = scene.kept(from, &books).await?;
    scene.seen_through(delayed.iter().map(String::as_str)).await?;
    let orders = scene.ledger.orders().await?;
    let is_bought = |id: &&String| orders.get(*id).is_some_and(|fate| fate.status == "completed");
    let bought = charged.iter().filter(is_bought).count();
    expect(bought == charged.len(), format!("{} orders charged early completed", charged.len()), bought)?;
    let empty = no_recommendations(scene).await?;
    let told = |seen: &Seen| {
        let orders = seen.get(&Kind::Order).cloned().unwrap_or_default();
        format!("{} (p99 {:.0} ms)", words(&orders), orders.times.quantile(0.99).unwrap_or_default())
    };
    Ok(format!(
        "slow: {}; refused by the bulkhead: {refused}\n\
         failing: {}; refused by the breaker: {opened}; {} delayed in the books, {} of them charged without an answer\n\
         recovered: all {promised} orders done, by the books {:?}; paid twice 0, not paid 0\n\
         recommendations without their service: {empty}",
        told(&slow),
        told(&failing),
        delayed.len(),
        charged.len(),
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

/// Sets how payment's provider behaves; what is not named is well.
async fn provider(scene: &Scene<'_>, behaviour: &Value) -> Result<(), Unlike> {
    let port = service("payment").map(crate::shop::Service::app).unwrap_or_default();
    scene.operate(port, "/simulator", behaviour).await
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
