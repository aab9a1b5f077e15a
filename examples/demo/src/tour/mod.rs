//! The tour: the story of a migration, a failure and a promotion. Each step does something and checks what came of it;
//! the first that does not do what it says ends the tour.

mod comfort;
mod failure;
mod migration;
mod promotion;
mod reload;
mod scene;
mod trace;

use std::time::Instant;

use crate::demo::Demo;

pub use scene::{Scene, Unlike};

/// The steps, in their order: what each shows.
const STEPS: [&str; 9] = [
    "everything goes through the monolith",
    "orders need a token",
    "who asks too often is told to wait",
    "the catalogue is read from the new service",
    "an edit of the policies is in force under load, and nobody notices",
    "a wrong edit is refused under load, and nobody notices",
    "payment gets slow, then fails, then recovers: no order is lost, nothing is charged twice",
    "a promotion: orders first, and nothing is sold that is not there",
    "one order is seen on its whole way",
];

/// The tour ended before its end.
#[derive(Debug, thiserror::Error)]
#[error("step {step} of {}, \"{name}\":\n  expected: {}\n  seen:     {}", STEPS.len(), unlike.expected, unlike.seen)]
pub struct TourError {
    step: usize,
    name: &'static str,
    unlike: Unlike,
}

/// Plays all steps.
pub async fn play(demo: &mut Demo) -> Result<(), TourError> {
    let began = Instant::now();
    let told = |step: usize| move |unlike| TourError { step: step + 1, name: STEPS[step], unlike };
    let mut scene = Scene::set(demo).await.map_err(told(0))?;
    for (step, name) in STEPS.iter().enumerate() {
        let since = Instant::now();
        let seen = one(&mut scene, step)
            .await
            .and_then(|seen| scene.all_run().map(|()| seen))
            .map_err(told(step))?;
        let number = step + 1;
        scene.demo.voice.say(format!(
            "{number}/{} {name} ... ok, {:.0} s",
            STEPS.len(),
            since.elapsed().as_secs_f64()
        ));
        for line in seen.lines() {
            scene.demo.voice.say(format!("      {line}"));
        }
    }
    scene.demo.voice.say(format!(
        "the tour is over, after {:.0} s: all of it was as told",
        began.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// What was seen in this step.
async fn one(scene: &mut Scene<'_>, step: usize) -> Result<String, Unlike> {
    match step {
        0 => migration::monolith(scene).await,
        1 => migration::token(scene).await,
        2 => migration::limit(scene).await,
        3 => migration::products(scene).await,
        4 => reload::good(scene).await,
        5 => reload::wrong(scene).await,
        6 => failure::payment(scene).await,
        7 => promotion::promotion(scene).await,
        _ => trace::whole_way(scene).await,
    }
}
