//! Payment gets slow, then fails, then is well again.

use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, Seen, Unlike, all_fine, expect, rush};
use crate::metrics::Sample;
use crate::policies::Chapter;
use crate::shop::service;
use crate::shoppers::Kind;
use crate::summary::{Sight, words};

/// The promise of the shop: an order is answered in this time, whatever is down. Counted in steps of 5 %.
const ANSWER_MS: f64 = 3_000.0 * 1.05;

pub(super) async fn payment(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.demo.policies.turn_to(Chapter::Services).await?;
    let from = scene.demo.shoppers.street.orders.all().len();
    let browse = rush(Kind::Browse, 10.0);

    // Slow, but in time for one try: so these are no failures, and the breaker has nothing to say.
    provider(scene, 600, 0.0).await?;
    let before = scene.sight().await;
    let slow = scene.crowd(&[rush(Kind::Order, 20.0), browse], Duration::from_secs(5)).await?;
    let after = scene.sight().await;
    let refused = denials(&after, |slug| slug.starts_with("bulkhead-"))
        - denials(&before, |slug| slug.starts_with("bulkhead-"));
    expect(refused > 0.0, "the bulkhead before payment to be full", refused)?;
    all_kept(&slow, "slow")?;

    provider(scene, 20, 1.0).await?;
    let failing = scene.crowd(&[rush(Kind::Order, 12.0), browse], Duration::from_secs(5)).await?;
    let opened = denials(&scene.sight().await, |slug| slug == "breaker-open");
    expect(opened > 0.0, "the breaker before payment to be open", opened)?;
    all_kept(&failing, "failing")?;

    provider(scene, 20, 0.0).await?;
    let books = scene.settled(Duration::from_secs(90)).await?;
    let promised = scene.kept(from, &books).await?;
    let empty = no_recommendations(scene).await?;
    let told = |seen: &Seen| seen.get(&Kind::Order).map(words).unwrap_or_default();
    Ok(format!(
        "slow: {} (bulkhead: {refused}); failing: {} (breaker: {opened})\n\
         recovered: all {promised} orders done, by the books {:?}; paid twice 0, not paid 0\n\
         recommendations without their service: {empty}",
        told(&slow),
        told(&failing),
        books.orders
    ))
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

/// Everybody got an answer in time; some that it will take longer; and who only looked noticed nothing.
fn all_kept(seen: &Seen, what: &str) -> Result<(), Unlike> {
    all_fine(seen)?;
    let orders = seen.get(&Kind::Order).cloned().unwrap_or_default();
    let delayed = orders.fine.get("delayed").copied().unwrap_or_default();
    expect(delayed > 0, format!("orders kept as delayed while payment is {what}"), words(&orders))?;
    let p99 = orders.times.quantile(0.99).unwrap_or_default();
    expect(
        p99 <= ANSWER_MS,
        format!("99 % of orders answered in 3 s while payment is {what}"),
        format!("{p99:.0} ms"),
    )
}

/// The recommendation service is killed: the gateway answers with an empty list.
async fn no_recommendations(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.demo.processes.kill("recommendation").await?;
    let seen = scene.crowd(&[rush(Kind::Recommend, 20.0)], Duration::from_secs(2)).await?;
    scene.demo.processes.restart("recommendation", &[]).await?;
    all_fine(&seen)?;
    Ok(seen.get(&Kind::Recommend).map(words).unwrap_or_default())
}
