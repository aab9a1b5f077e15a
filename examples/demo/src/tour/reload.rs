//! The policies change while the shop is full.

use std::time::Duration;

use super::scene::{Scene, Unlike, all_fine, asked, expect};
use crate::policies::Chapter;

const LASTS: Duration = Duration::from_secs(6);

pub(super) async fn good(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let first = scene.demo.policies.standing().await?.generation;
    let edits = async {
        for share in ["50%", "80%", "100%"] {
            let text = scene.demo.policies.gateway()?;
            let now = text.lines().find(|line| line.trim_start().starts_with("share:")).unwrap_or_default();
            scene.demo.policies.write(&text.replace(now, &format!("      share: {share}"))).await?;
        }
        let before = scene.sight().await;
        scene.demo.policies.turn_to(Chapter::Catalogue).await?;
        Ok(before)
    };
    let (before, seen) = scene.meanwhile(&scene.day(2.0), LASTS, edits).await?;
    all_fine(&seen)?;
    let standing = scene.demo.policies.standing().await?;
    expect(standing.generation == first + 4, "four generations more", standing.generation - first)?;
    let moved = scene.sight().await.answered_by("product") - before.answered_by("product");
    expect(moved > 0.0, "answers of the new service", moved)?;
    Ok(format!("{} requests, 0 failed, while four edits came into force", asked(&seen)))
}

pub(super) async fn wrong(scene: &mut Scene<'_>) -> Result<String, Unlike> {
    let good = scene.demo.policies.gateway()?;
    let wrong = good.replacen("to: product", "to: prodcut", 1);
    let edit = async {
        let problems = scene.demo.policies.write_wrong(&wrong).await?;
        let standing = scene.demo.policies.standing().await?;
        let told = standing.last_failure.map(|failure| failure.problems).unwrap_or_default();
        expect(told.contains("prodcut"), "/generations to say what is wrong", told)?;
        Ok(problems)
    };
    let (problems, seen) = scene.meanwhile(&scene.day(2.0), LASTS, edit).await?;
    all_fine(&seen)?;
    scene.demo.policies.restore(&good).await?;
    Ok(format!("{} requests, 0 failed; the gateway said:\n{}", asked(&seen), problems.trim_end()))
}
