//! A promotion: ten times as many people, and fewer things than they want.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::scene::{Scene, Unlike, all_fine, expect, rush};
use crate::metrics::Sample;
use crate::shop::service;
use crate::shoppers::{Kind, Rush};
use crate::summary::{Sight, words};

const TIMES: f64 = 10.0;
const ORDINARY_LASTS: Duration = Duration::from_secs(5);
const LASTS: Duration = Duration::from_secs(12);
/// So many ask for recommendations in one moment: more than are ever let through to that service.
const AT_ONCE: u32 = 40;
/// So many of the promoted product there are at most.
const STOCK_MAX: u32 = 40;
const CLOSED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(150);

pub(super) async fn promotion(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let ordinary = ordinary(scene).await?;
    let ten_times = |kind: Kind| Rush { kind, per_second: ordinary(kind) * TIMES, at_once: 1 };
    let rushes = [
        ten_times(Kind::Order),
        ten_times(Kind::Browse),
        ten_times(Kind::Product),
        Rush { at_once: AT_ONCE, ..ten_times(Kind::Recommend) },
    ];
    // More than that come for it: in twelve seconds ten times what came in five, which is twenty-four times as many.
    let stock = ordinary(Kind::Order) * ORDINARY_LASTS.as_secs_f64() * TIMES;
    let stock = (1..=STOCK_MAX).rev().find(|many| f64::from(*many) <= stock).map_or(1, i64::from);
    let product = scene.products.first().cloned().unwrap_or_default();
    let filled = scene.demo.shoppers.street.fill(std::slice::from_ref(&product), stock).await;
    expect(filled.is_ok(), "staff to fill the shelf", filled.err().unwrap_or_default())?;
    let from = scene.demo.shoppers.street.orders.all().len();
    let before = scene.ledger.stock(&product).await?;
    let order = service("order").map(crate::shop::Service::app).unwrap_or_default();
    scene.operate(order, "/promotion", &json!({ "on": true })).await?;
    let all = std::mem::replace(&mut scene.products, vec![product.clone()]);
    let sight = scene.sight().await;
    let seen = scene.crowd(&rushes, LASTS).await;
    scene.products = all;
    scene.operate(order, "/promotion", &json!({ "on": false })).await?;
    let (seen, after) = (seen?, scene.sight().await);

    let given_up = scene.demo.shoppers.given_up.load(Ordering::Relaxed);
    expect(given_up == 0, "all of the crowd to come", format!("{given_up} did not"))?;
    let orders = seen.get(&Kind::Order).cloned().unwrap_or_default();
    let queued = orders.fine.get("queued").copied().unwrap_or_default();
    let taken = orders.failed() == 0 && orders.refused.is_empty() && queued > 0;
    expect(taken, "every order taken, and queued", words(&orders))?;
    let shed = |sight: &Sight| sight.at_gateway("banyan_shed_total", is_recommendation);
    let shed = shed(&after) - shed(&sight);
    expect(shed > 0.0, "recommendations to be left out by the gateway", shed)?;

    let books = scene.settled(SETTLED_WITHIN).await?;
    let promised = scene.kept(from, &books).await?;
    let now = scene.ledger.stock(&product).await?;
    let sold = now.sold - before.sold;
    expect(
        sold == stock && now.on_hand == 0 && now.reserved == 0,
        format!("{stock} sold and none left"),
        format!("{sold} sold, {now:?}"),
    )?;
    expect(scene.ledger.oversold().await? == 0, "no shelf with less than nothing", "one")?;
    let told = |kind| seen.get(&kind).map(words).unwrap_or_default();
    Ok(format!(
        "an ordinary day: {:.1} orders and {:.0} looks a second; now ten times of it\n\
         orders: {} (p99 {:.0} ms); browsing: {}\n\
         recommendations: {}; left out by the gateway {shed}\n\
         {sold} of {stock} sold to {promised} who wanted one, by the books",
        ordinary(Kind::Order),
        ordinary(Kind::Browse) + ordinary(Kind::Product),
        words(&orders),
        orders.times.quantile(0.99).unwrap_or_default(),
        told(Kind::Browse),
        told(Kind::Recommend),
    ))
}

/// How much is asked for on an ordinary day, in requests a second, when nobody is turned away.
async fn ordinary(scene: &Scene<'_>) -> Result<impl Fn(Kind) -> f64 + use<>, Unlike> {
    // What the step before has broken must be whole again.
    scene
        .eventually(CLOSED_WITHIN, "all breakers closed", async |scene| {
            // A breaker closes when somebody tries again.
            let product = scene.products.first().cloned().unwrap_or_default();
            let path = format!("/api/recommendations?product_id={product}");
            scene.demo.shoppers.street.stranger().look(Kind::Recommend, &path).await;
            let open = scene.sight().await.breakers();
            Ok(if open.is_empty() { Ok(()) } else { Err(open.join("; ")) })
        })
        .await?;
    let mut day = scene.day(1.0);
    day.push(rush(Kind::Recommend, 0.4 * scene.comfort.looks));
    let seen = scene.crowd(&day, ORDINARY_LASTS).await?;
    all_fine(&seen)?;
    scene.settled(SETTLED_WITHIN).await?;
    Ok(move |kind| {
        seen.get(&kind).map(|tally| tally.asked() as f64 / ORDINARY_LASTS.as_secs_f64()).unwrap_or_default()
    })
}

/// Whoever is shed gets the empty list of the fallback.
fn is_recommendation(sample: &Sample) -> bool {
    sample.label("target") == "recommendation"
}
