//! Two gateways and one Redis: a limit they share, and what becomes of it when the Redis dies.

use std::time::{Duration, Instant};

use crate::outside::redis;
use crate::world::{World, eventually, world_with};

fn store_answers(world: &World) -> bool {
    world.metric("banyan_limit_store_up") == Some(1.0)
}

#[test]
fn a_limit_is_shared_and_a_dead_store_delays_nobody() {
    let redis = redis([127, 0, 0, 84]);
    let document = "version: 1\nroutes:\n  - name: all\n    path: /**\n    answer: { status: 200 }\n    \
                    limit: { per: route, rate: 10/h, burst: 10, if_store_down: local }\n";
    let start = || world_with(document, |settings| settings.house.redis = Some(redis.url()));
    let (one, two) = (start(), start());
    eventually("both are connected", || store_answers(&one) && store_answers(&two));
    let mut passed = 0;
    for _ in 0..50 {
        passed += usize::from(one.get("/").status == 200) + usize::from(two.get("/").status == 200);
    }
    // Alone they would let 20 through; the bound while the store answers is 2.25 bursts, and in turn it stays near one.
    assert!((8..=15).contains(&passed), "{passed} passed");
    drop(redis);
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(matches!(one.get("/").status, 200 | 429));
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits for a dead store: {:?}", begun.elapsed());
}
