//! What this machine can bear. The tour is played on fast machines and on slow ones; its checks are about what happens and
//! not about how fast, so the crowds are as large as the machine is strong.

use std::time::Duration;

use super::scene::{Scene, Unlike, expect};
use crate::policies::Chapter;
use crate::shoppers::{Kind, since};

/// They order one after the other: few enough that none of them buys faster than the limit.
const GUESTS: usize = 8;
const ORDERS_LAST: Duration = Duration::from_secs(3);
const LOOKS_LAST: Duration = Duration::from_secs(2);
/// What was ordered is done with in this time, or the machine is too slow for the tour.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// An ordinary day is so small a part of what can be served that ten times of it can be promised: orders are then written
/// down and seen through later, and who looks gets a part of the machine that leaves enough for them.
const ORDERS_PART: f64 = 10.0;
const LOOKS_PART: f64 = 40.0;

/// The rates of an ordinary day, in requests a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comfort {
    /// Orders.
    pub orders: f64,
    /// People who look.
    pub looks: f64,
}

impl Comfort {
    /// Tries it on the services, which cost more than the monolith; then all goes back to the monolith.
    pub(super) async fn measure(scene: &mut Scene<'_>) -> Result<Self, Unlike> {
        scene.demo.policies.turn_to(Chapter::Services).await?;
        scene.invite(GUESTS).await?;
        let orders = served(scene, Kind::Order, ORDERS_LAST).await?;
        let looks = served(scene, Kind::Browse, LOOKS_LAST).await?;
        scene.settled(SETTLED_WITHIN).await?;
        scene.demo.policies.turn_to(Chapter::Monolith).await?;
        let comfort = Self {
            orders: (orders / ORDERS_PART).clamp(0.3, 2.0),
            looks: (looks / LOOKS_PART).clamp(2.0, 10.0),
        };
        scene.demo.voice.say(format!(
            "this machine serves {orders:.0} orders or {looks:.0} looks a second; an ordinary day has {:.1} and {:.0}",
            comfort.orders, comfort.looks
        ));
        Ok(comfort)
    }
}

/// How many were served a second.
async fn served(scene: &Scene<'_>, kind: Kind, lasts: Duration) -> Result<f64, Unlike> {
    let shoppers = &scene.demo.shoppers;
    let before = shoppers.street.figures.now();
    shoppers.press(&scene.guests, &scene.products, kind, lasts).await;
    let seen = since(&shoppers.street.figures.now(), &before);
    let served: u64 = seen.get(&kind).map(|tally| tally.fine.values().sum()).unwrap_or_default();
    expect(served > 0, format!("{kind:?} served on the services"), served)?;
    Ok(served as f64 / lasts.as_secs_f64())
}
