//! Every interleaving of two requests on the same buckets.

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::*;
use crate::time::Tick;

fn once() -> Gcra {
    Quota { count: 1, per: Duration::from_secs(1), burst: Some(1) }.compile().unwrap()
}

fn passes(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Allowed { .. })
}

#[test]
fn loom_one_permit_goes_to_one_of_two() {
    loom::model(|| {
        let buckets = Arc::new(Buckets::with_shards(8, 1));
        let key = buckets.key(1, "a");
        let other = {
            let buckets = Arc::clone(&buckets);
            thread::spawn(move || passes(buckets.check(once(), key, 1, Tick::from_nanos(5))))
        };
        let mine = passes(buckets.check(once(), key, 1, Tick::from_nanos(7)));
        assert_ne!(mine, other.join().unwrap());
    });
}

#[test]
fn loom_limits_taken_in_opposite_orders_neither_block_nor_tear() {
    loom::model(|| {
        let buckets = Arc::new(Buckets::with_shards(16, 2));
        // The first two callers that live in different shards.
        let a = buckets.key(1, 0);
        let b = (1..).map(|n| buckets.key(1, n)).find(|b| (b.0 ^ a.0) & 1 == 1).unwrap();
        let other = {
            let buckets = Arc::clone(&buckets);
            thread::spawn(move || {
                passes(buckets.check_all(&[(once(), a), (once(), b)], 1, Tick::from_nanos(5)).outcome)
            })
        };
        let mine = passes(buckets.check_all(&[(once(), b), (once(), a)], 1, Tick::from_nanos(5)).outcome);
        assert_ne!(mine, other.join().unwrap());
    });
}
