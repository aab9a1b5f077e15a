//! A promotion: ten times as many people, and fewer things than they want.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use super::scene::{Scene, Unlike, expect, rush};
use crate::metrics::Sample;
use crate::shop::service;
use crate::shoppers::{Kind, Outcome};
use crate::summary::{Sight, words};

/// So many of the promoted product there are, and many more want it.
const STOCK: i64 = 40;
const LASTS: Duration = Duration::from_secs(12);

pub(super) async fn promotion(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let product = scene.products.first().cloned().unwrap_or_default();
    stock(scene, &product).await?;
    let from = scene.demo.shoppers.street.orders.all().len();
    let before = scene.ledger.stock(&product).await?;
    let order = service("order").map(crate::shop::Service::app).unwrap_or_default();
    scene.operate(order, "/promotion", &json!({ "on": true })).await?;
    let all = std::mem::replace(&mut scene.products, vec![product.clone()]);
    let rushes = [
        rush(Kind::Order, 15.0),
        rush(Kind::Browse, 40.0),
        rush(Kind::Product, 40.0),
        rush(Kind::Recommend, 200.0),
    ];
    let sight = scene.sight().await;
    let seen = scene.crowd(&rushes, LASTS).await;
    scene.products = all;
    scene.operate(order, "/promotion", &json!({ "on": false })).await?;
    let (seen, after) = (seen?, scene.sight().await);

    let orders = seen.get(&Kind::Order).cloned().unwrap_or_default();
    expect(orders.failed() == 0 && orders.refused.is_empty(), "every order taken", words(&orders))?;
    let p99 = orders.times.quantile(0.99).unwrap_or_default();
    expect(p99 <= 3_000.0 * 1.05, "99 % of orders answered in 3 s", format!("{p99:.0} ms"))?;
    let shed = |sight: &Sight| sight.at_gateway("banyan_shed_total", is_sheddable);
    let shed = shed(&after) - shed(&sight);
    expect(shed > 0.0, "recommendations to be left out first", shed)?;

    let books = scene.settled(Duration::from_secs(120)).await?;
    let promised = scene.kept(from, &books).await?;
    let now = scene.ledger.stock(&product).await?;
    let sold = now.sold - before.sold;
    expect(
        sold == STOCK && now.on_hand == 0 && now.reserved == 0,
        format!("{STOCK} sold and none left"),
        format!("{sold} sold, {now:?}"),
    )?;
    expect(scene.ledger.oversold().await? == 0, "no shelf with less than nothing", "one")?;
    Ok(format!(
        "{} orders taken (p99 {p99:.0} ms), {shed} recommendations left out\n{sold} of {STOCK} sold to {promised} who wanted one",
        orders.asked()
    ))
}

/// Somebody of the staff counts the shelf.
async fn stock(scene: &Scene<'_>, product: &str) -> Result<(), Unlike> {
    let staff = scene.demo.shoppers.street.known("staff@shop.example");
    let answer = staff.log_in().await;
    expect(matches!(answer.outcome, Outcome::Fine(_)), "staff to sign in", answer.status)?;
    let request =
        scene.client.put(scene.at(&format!("/api/inventory/{product}"))).json(&json!({ "on_hand": STOCK }));
    let status = request.bearer_auth(staff.token().await.unwrap_or_default()).send().await?.status();
    expect(status == StatusCode::OK, "staff to fill the shelf", status)
}

fn is_sheddable(sample: &Sample) -> bool {
    sample.label("priority") == "sheddable"
}
