//! From the monolith to services, one route after the other.

use std::time::Duration;

use futures_util::future::try_join_all;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use super::scene::{GUESTS, Scene, Unlike, all_fine, asked, expect, rush};
use crate::metrics::Sample;
use crate::policies::Chapter;
use crate::shop::SERVICES;
use crate::shoppers::Kind;
use crate::summary::Sight;

pub(super) async fn monolith(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.invite(GUESTS).await?;
    let before = scene.sight().await;
    let mut day = scene.day(2.0);
    day.extend([Kind::Page, Kind::Poll].map(|kind| rush(kind, scene.comfort.looks)));
    let seen = scene.crowd(&day, Duration::from_secs(4)).await?;
    all_fine(&seen)?;
    let after = scene.sight().await;
    let count = |fits: fn(&Sample) -> bool| {
        let of = |sight: &Sight| sight.at_gateway("banyan_requests_total", fits);
        of(&after) - of(&before)
    };
    let (all, by_legacy) = (count(|_| true), count(|sample| sample.label("target") == "legacy"));
    expect(
        all > 0.0 && all == by_legacy,
        "the monolith to answer all",
        format!("{by_legacy} of {all} requests"),
    )?;
    for service in &SERVICES {
        // The gateway asks for keys whoever answers; and the first users were news that are still on their way.
        let of = |sight: &Sight| {
            sight.at_sidecar(service.name, "banyan_requests_total", |sample| {
                sample.label("direction") == "inbound"
                    && !["events", "public-keys"].contains(&sample.label("route"))
            })
        };
        let came = of(&after) - of(&before);
        expect(came == 0.0, format!("no request at {}", service.name), came)?;
    }
    Ok(format!("{} requests, all answered by the monolith", asked(&seen)))
}

pub(super) async fn token(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let words = scene.demo.policies.turn_to(Chapter::Token).await?;
    let orders = scene.at("/api/orders");
    let without = scene.client.get(&orders).send().await?;
    let (status, body) = (without.status(), without.json::<Value>().await?);
    let slug = body.get("slug").and_then(Value::as_str).unwrap_or_default();
    expect(status == StatusCode::UNAUTHORIZED && slug == "token-missing", "401 token-missing", &body)?;
    // The header by which the gateway tells services who calls is worth nothing from outside.
    let forged = scene.client.get(&orders).header("x-user-id", "u-admin").header("x-user-roles", "admin");
    let forged = forged.send().await?.status();
    expect(forged == StatusCode::UNAUTHORIZED, "401 for who says it by himself", forged)?;
    scene.invite(GUESTS).await?;
    let mut day = scene.day(2.0);
    day.push(rush(Kind::Poll, scene.comfort.looks));
    let seen = scene.crowd(&day, Duration::from_secs(3)).await?;
    all_fine(&seen)?;
    let guest = scene.guests.first().ok_or_else(nobody)?;
    let other = format!("{}x", guest.token().await.unwrap_or_default());
    let bent = scene.client.get(&orders).bearer_auth(other).send().await?.status();
    expect(bent == StatusCode::UNAUTHORIZED, "401 for a token with a letter more", bent)?;
    Ok(format!(
        "{}\n401 without a token, 401 with a bent one; {} requests with one",
        beginnings(&words),
        asked(&seen)
    ))
}

pub(super) async fn limit(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    scene.demo.policies.turn_to(Chapter::Limits).await?;
    let [one, other] = scene.guests.first_chunk::<2>().ok_or_else(nobody)?;
    let ask = async |token: Option<String>| {
        let request = scene.client.post(scene.at("/api/orders")).bearer_auth(token.unwrap_or_default());
        // Not an order, so that nothing is bought; but somebody asks.
        request.json(&json!({})).send().await
    };
    // Three times the burst, in one moment: the bucket does not fill so fast.
    let (mut passed, mut told) = (0, Vec::new());
    for answer in try_join_all((0..30).map(async |_| ask(one.token().await).await)).await? {
        match answer.status() {
            StatusCode::BAD_REQUEST => passed += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                let after = answer.headers().get(RETRY_AFTER);
                let after = after.and_then(|after| after.to_str().ok()?.parse::<u64>().ok());
                told.extend(after);
                expect(after.is_some(), "429 with Retry-After in seconds", "429 without")?;
            }
            other => expect(false, "400 for what is no order, or 429", other)?,
        }
    }
    expect(passed >= 10, "the burst of ten to pass", passed)?;
    expect(!told.is_empty(), "429", format!("{passed} passed"))?;
    let seconds = told.iter().max().copied().unwrap_or_default();
    let neighbour = ask(other.token().await).await?.status();
    expect(neighbour == StatusCode::BAD_REQUEST, "room for somebody else", neighbour)?;
    Ok(format!(
        "of 30 at once {passed} pass, {} get 429 and Retry-After: {seconds}; somebody else is not held up",
        told.len()
    ))
}

pub(super) async fn products(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let path = format!("/api/products/{}", scene.products.first().ok_or_else(nobody)?);
    let before: Value = scene.client.get(scene.at(&path)).send().await?.json().await?;
    scene.demo.policies.turn_to(Chapter::Products).await?;
    let sight = scene.sight().await;
    // Each a stranger with no cookie: so each is dealt anew.
    for _ in 0..150 {
        scene.client.get(scene.at(&path)).send().await?.error_for_status()?;
    }
    let moved = scene.sight().await.answered_by("product") - sight.answered_by("product");
    expect((8.0..=60.0).contains(&moved), "about 20 % of 150 at the new service", moved)?;
    let after: Value = loop {
        let count = scene.sight().await.answered_by("product");
        let body = scene.client.get(scene.at(&path)).send().await?.json().await?;
        if scene.sight().await.answered_by("product") > count {
            break body;
        }
    };
    for field in ["id", "name", "price_cents", "currency"] {
        expect(before.get(field) == after.get(field), format!("the same {field}"), &after)?;
    }
    Ok(format!("{moved} of 150 strangers were answered by the new service, the rest by the monolith, alike"))
}

/// The gateway says all that changes, in one line; here the beginnings are enough.
fn beginnings(words: &str) -> String {
    words.split("; ").filter_map(|change| change.split(": ").next()).collect::<Vec<_>>().join(", ")
}

fn nobody() -> Unlike {
    Unlike { expected: "somebody and something to buy".to_owned(), seen: "nothing".to_owned() }
}
