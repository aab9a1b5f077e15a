//! The lock and its token, and counters, on a real redis-server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use std::sync::Arc;
use std::time::Duration;

use chassis::Database;
use chassis::testing::until;

use super::Taken;
use super::link::{End, Link, config};
use super::lock::lock;
use super::turn::{Done, Failed, Turn, reconcile};
use crate::items::Items;
use crate::ledger::Ledger;
use server::Redis;

#[allow(dead_code, reason = "the stories in tests/ use the rest of it")]
mod server;

const LONG: Duration = Duration::from_secs(60);

struct Shop {
    redis: Redis,
    link: Arc<Link>,
    ledger: Ledger,
    _end: End,
    _folder: tempfile::TempDir,
}

/// Five of `p-1` and two of `p-2`.
async fn shop() -> Shop {
    let redis = Redis::start();
    let (link, end) = Link::connect(&config(&redis.url()).unwrap(), LONG).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("db").display());
    let ledger = Ledger { database: Database::open(&url, &crate::MIGRATIONS).await.unwrap() };
    ledger.put("p-1", 5).await.unwrap();
    ledger.put("p-2", 2).await.unwrap();
    Shop { redis, link: Arc::new(link), ledger, _end: end, _folder: folder }
}

impl Shop {
    fn counters(&self) -> (Option<i64>, Option<i64>) {
        (self.redis.counter("p-1"), self.redis.counter("p-2"))
    }

    async fn reconcile(&self) -> Option<Done> {
        reconcile(&self.link, &self.ledger, LONG).await.unwrap()
    }
}

fn items(lines: &[(&str, i64)]) -> Items {
    Items::checked(lines.iter().map(|(product, quantity)| ((*product).to_owned(), *quantity))).unwrap()
}

#[tokio::test]
async fn all_is_taken_or_nothing() {
    let shop = shop().await;
    let both = items(&[("p-1", 2), ("p-2", 2)]);
    assert!(matches!(shop.link.take(&both).await.unwrap(), Taken::Unknown), "there are no counters yet");
    shop.link.give(&both).await.unwrap();
    assert_eq!(shop.counters(), (None, None), "what is given back makes no counter");
    assert_eq!(shop.reconcile().await, Some(Done { products: 2, repaired: 2 }));
    assert!(matches!(shop.link.take(&both).await.unwrap(), Taken::All));
    assert_eq!(shop.counters(), (Some(3), Some(0)));
    let Taken::Short(short) = shop.link.take(&both).await.unwrap() else { panic!("two of none") };
    assert_eq!(short.len(), 1);
    assert_eq!((short[0].product_id.as_str(), short[0].wanted, short[0].available), ("p-2", 2, 0));
    assert_eq!(shop.counters(), (Some(3), Some(0)), "nothing is taken of the other");
    shop.link.give(&both).await.unwrap();
    assert_eq!(shop.counters(), (Some(5), Some(2)));
    shop.redis.say(&["SCRIPT", "FLUSH"]);
    assert!(matches!(shop.link.take(&both).await.unwrap(), Taken::All), "a forgotten script is sent again");
    shop.link.forget("p-1").await.unwrap();
    assert_eq!(shop.counters(), (None, Some(0)));
    assert_eq!(
        shop.reconcile().await,
        Some(Done { products: 2, repaired: 2 }),
        "the books know of no taking"
    );
    assert_eq!(shop.counters(), (Some(5), Some(2)));
    assert_eq!(shop.reconcile().await, Some(Done { products: 2, repaired: 0 }));
}

#[tokio::test]
async fn one_at_a_time_has_the_lock_and_each_a_higher_token() {
    let shop = shop().await;
    let first = lock(&shop.link, "stock", LONG, 0).await.unwrap().unwrap();
    assert!(lock(&shop.link, "stock", LONG, 0).await.unwrap().is_none());
    assert!(lock(&shop.link, "other", LONG, 0).await.unwrap().is_some());
    assert_eq!(shop.reconcile().await, None, "somebody else is at it");
    let token = first.token;
    first.unlock().await.unwrap();
    let brief = lock(&shop.link, "stock", Duration::from_millis(20), 0).await.unwrap().unwrap();
    assert!(brief.token > token);
    let mut third = None;
    until("it has run out", async || {
        third = lock(&shop.link, "stock", LONG, 0).await.unwrap();
        third.is_some()
    })
    .await;
    assert!(third.unwrap().token > brief.token);
    brief.unlock().await.unwrap();
    assert!(lock(&shop.link, "stock", LONG, 0).await.unwrap().is_none(), "it was not one's own to give back");
    shop.redis.say(&["FLUSHALL"]);
    let after = lock(&shop.link, "stock", LONG, 41).await.unwrap().unwrap();
    assert_eq!(after.token, 42, "a Redis without memory begins above what the database has seen");
}

/// Takes the next turn as soon as the lock has run out.
async fn next_turn(shop: &Shop) -> Turn {
    let mut next = None;
    until("the lock has run out", async || {
        next = Turn::begin(&shop.link, &shop.ledger, LONG).await.unwrap();
        next.is_some()
    })
    .await;
    next.unwrap()
}

async fn noted(shop: &Shop) -> i64 {
    sqlx::query_scalar("SELECT repaired FROM reconciliation")
        .fetch_one(shop.ledger.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn who_slept_too_long_writes_nothing() {
    let shop = shop().await;
    let sleeper = Turn::begin(&shop.link, &shop.ledger, Duration::from_millis(20)).await.unwrap().unwrap();
    let old_books = shop.ledger.page("").await.unwrap();
    // It sleeps here, past its time. Meanwhile things change, and another has its turn.
    shop.ledger.put("p-1", 3).await.unwrap();
    let next = next_turn(&shop).await;
    assert_eq!(next.play().await.unwrap(), Done { products: 2, repaired: 2 });
    let done = Done { products: 9, repaired: 9 };
    assert!(matches!(sleeper.write(&old_books).await, Err(Failed::Overtaken)), "Redis knows the newer token");
    assert!(matches!(sleeper.note(done).await, Err(Failed::Overtaken)), "and so does the database");
    assert_eq!((shop.counters(), noted(&shop).await), ((Some(3), Some(2)), 2));
    sleeper.leave().await.unwrap();
    assert_eq!(shop.reconcile().await, None, "the lock is still the other's");
    next.leave().await.unwrap();
    assert_eq!(shop.reconcile().await, Some(Done { products: 2, repaired: 0 }));
}

#[tokio::test]
async fn who_slept_while_redis_lost_its_memory_writes_nothing_either() {
    let shop = shop().await;
    let sleeper = Turn::begin(&shop.link, &shop.ledger, LONG).await.unwrap().unwrap();
    let old_books = shop.ledger.page("").await.unwrap();
    shop.redis.say(&["FLUSHALL"]);
    assert!(matches!(sleeper.write(&old_books).await, Err(Failed::Overtaken)), "no token is not its token");
    let next = next_turn(&shop).await;
    assert!(matches!(sleeper.write(&old_books).await, Err(Failed::Overtaken)));
    assert!(matches!(sleeper.note(Done::default()).await, Err(Failed::Overtaken)));
    assert_eq!(next.play().await.unwrap(), Done { products: 2, repaired: 2 });
}

#[test]
fn only_redis_is_spoken_to() {
    for (url, fine) in [
        ("redis://127.0.0.1:6379", true),
        ("rediss://user:secret@cache:6379/1", true),
        ("http://127.0.0.1:6379", false),
        ("127.0.0.1:6379", false),
    ] {
        assert_eq!(config(url).is_ok(), fine, "{url}");
    }
}
