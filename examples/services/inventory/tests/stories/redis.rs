//! With counters in Redis in front of the books: quicker, and whatever happens to Redis, nothing is sold that is not there.

use chassis::testing::{Tried, until};
use futures_util::future::join_all;
use serde_json::json;

use crate::{balances, end, fill, inventory, reserve, stock, told};
use server::Redis;

#[path = "../../src/cache/tests/server.rs"]
mod server;

/// The counters are reconciled this often.
const OFTEN: &str = "50";
/// Once, when they are first reached: a test is over long before it happens again.
const ONCE: &str = "3600000";

async fn cached(redis: &Redis, reconcile_ms: &str, more: &[(&str, &str)]) -> Tried {
    let url = redis.url();
    let mut settings = vec![("REDIS_URL", url.as_str()), ("RECONCILE_MS", reconcile_ms)];
    settings.extend_from_slice(more);
    let service = inventory(&settings).await;
    cache_is(&service, "ok").await;
    service
}

/// Waits until the service says so of its cache: `ok`, or `degraded`.
async fn cache_is(service: &Tried, word: &str) {
    until(&format!("the cache is {word}"), async || {
        let health = service.get("/health").await;
        assert_eq!(health.status, 200, "it serves with and without: {}", health.body);
        health.body["status"] == word
    })
    .await;
}

async fn counter_is(redis: &Redis, product: &str, count: i64) {
    until(&format!("{count} of {product}"), async || redis.counter(product) == Some(count)).await;
}

/// How many of these get one, if they all come at once, each to another of the services in turn. What happens
/// meanwhile, happens after the first forty.
async fn crowd(services: &[&Tried], size: usize, product: &str, meanwhile: impl AsyncFnOnce()) -> usize {
    let ask = async |number: usize| {
        let service = services[number % services.len()];
        let answer = reserve(service, &format!("r-{product}-{number}"), &[(product, 1)]).await;
        assert!(matches!(told(&answer), (201, _) | (409, "out_of_stock")), "{}", answer.body);
        answer.status == 201
    };
    let first = join_all((0..40).map(ask)).await;
    let (others, ()) = futures_util::join!(join_all((40..size).map(ask)), meanwhile());
    first.into_iter().chain(others).filter(|got| *got).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_follow_what_happens() {
    let redis = Redis::start();
    let service = cached(&redis, ONCE, &[]).await;
    assert_eq!((redis.counter("p-001"), redis.counter("p-002")), (Some(1200), Some(800)));
    let both = [("p-001", 200), ("p-002", 300)];
    assert_eq!(reserve(&service, "r-1", &both).await.status, 201);
    assert_eq!((redis.counter("p-001"), redis.counter("p-002")), (Some(1000), Some(500)));
    assert_eq!(reserve(&service, "r-1", &both).await.status, 200);
    assert_eq!(redis.counter("p-001"), Some(1000), "asked for twice, taken once");
    assert_eq!(told(&reserve(&service, "r-1", &[("p-001", 1)]).await), (409, "reservation_differs"));
    assert_eq!(redis.counter("p-001"), Some(1000));
    let answer = reserve(&service, "r-2", &[("p-001", 1001), ("p-002", 1)]).await;
    assert_eq!(answer.body["details"], json!([{ "product_id": "p-001", "wanted": 1001, "available": 1000 }]));
    for _ in 0..2 {
        assert_eq!(end(&service, "r-1", "release").await.status, 200);
        assert_eq!((redis.counter("p-001"), redis.counter("p-002")), (Some(1200), Some(800)));
    }
    reserve(&service, "r-3", &[("p-001", 200)]).await;
    assert_eq!(end(&service, "r-3", "confirm").await.status, 200);
    assert_eq!(redis.counter("p-001"), Some(1000));
    fill(&service, "p-001", 7).await;
    assert_eq!(redis.counter("p-001"), None, "the shelf was counted anew: ask the database");
    assert_eq!(reserve(&service, "r-4", &[("p-001", 8)]).await.body["details"][0]["available"], 7);
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_one_is_still_its_holders_when_all_is_sold() {
    let redis = Redis::start();
    let service = cached(&redis, OFTEN, &[]).await;
    fill(&service, "p-hot", 1).await;
    counter_is(&redis, "p-hot", 1).await;
    let first = reserve(&service, "r-1", &[("p-hot", 1)]).await;
    let again = reserve(&service, "r-1", &[("p-hot", 1)]).await;
    assert_eq!((first.status, again.status, &again.body), (201, 200, &first.body));
    assert_eq!(told(&reserve(&service, "r-2", &[("p-hot", 1)]).await), (409, "out_of_stock"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_sell_what_there_is() {
    let redis = Redis::start();
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("db").display());
    let database = chassis::testing::postgres().await.unwrap().unwrap_or(file);
    let one = cached(&redis, OFTEN, &[("DATABASE_URL", &database)]).await;
    let other = cached(&redis, OFTEN, &[("DATABASE_URL", &database)]).await;
    fill(&one, "p-hot", 100).await;
    counter_is(&redis, "p-hot", 100).await;
    assert_eq!(crowd(&[&one, &other], 400, "p-hot", async || ()).await, 100);
    assert_eq!(stock(&other, "p-hot").await, (100, 100));
    counter_is(&redis, "p-hot", 0).await;
    balances(&one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_in_the_middle_of_a_crowd_and_comes_back() {
    let mut redis = Redis::start();
    let service = cached(&redis, OFTEN, &[]).await;
    fill(&service, "p-hot", 100).await;
    counter_is(&redis, "p-hot", 100).await;
    let got = crowd(&[&service], 400, "p-hot", async || redis.kill()).await;
    assert_eq!(got, 100, "all of it was sold, and no more");
    cache_is(&service, "degraded").await;
    let health = service.get("/health").await.body;
    assert!(
        health["parts"]["cache"].as_str().unwrap().starts_with("the database answers alone: "),
        "{health}"
    );
    fill(&service, "p-hot", 130).await;
    assert_eq!(reserve(&service, "r-meanwhile", &[("p-hot", 10)]).await.status, 201);
    redis.restart();
    cache_is(&service, "ok").await;
    assert_eq!(redis.counter("p-hot"), Some(20), "asked again only when it is reconciled");
    assert_eq!(reserve(&service, "r-more", &[("p-hot", 20)]).await.status, 201);
    assert_eq!(told(&reserve(&service, "r-too-much", &[("p-hot", 1)]).await), (409, "out_of_stock"));
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_sleeps_is_not_waited_for() {
    let redis = Redis::start();
    let service = cached(&redis, OFTEN, &[]).await;
    fill(&service, "p-hot", 100).await;
    counter_is(&redis, "p-hot", 100).await;
    let got = crowd(&[&service], 300, "p-hot", async || redis.signal("-STOP")).await;
    assert_eq!(got, 100);
    cache_is(&service, "degraded").await;
    assert_eq!(end(&service, "r-p-hot-0", "release").await.status, 200);
    redis.signal("-CONT");
    cache_is(&service, "ok").await;
    counter_is(&redis, "p-hot", 1).await;
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_that_promises_too_much_sells_nothing_that_is_not_there() {
    let redis = Redis::start();
    let service = cached(&redis, ONCE, &[]).await;
    fill(&service, "p-hot", 30).await;
    redis.set_counter("p-hot", 1000);
    assert_eq!(crowd(&[&service], 200, "p-hot", async || ()).await, 30);
    assert_eq!(redis.counter("p-hot"), Some(970), "what the database refused was given back");
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_that_are_wrong_or_gone_are_repaired() {
    let redis = Redis::start();
    let service = cached(&redis, OFTEN, &[]).await;
    redis.set_counter("p-001", 3);
    redis.set_counter("p-002", 100_000);
    counter_is(&redis, "p-001", 1200).await;
    counter_is(&redis, "p-002", 800).await;
    redis.say(&["FLUSHALL"]);
    assert_eq!(reserve(&service, "r-1", &[("p-001", 200)]).await.status, 201, "with or without a counter");
    counter_is(&redis, "p-001", 1000).await;
    cache_is(&service, "ok").await;
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_and_serves_without_the_redis_it_was_told_of() {
    let mut redis = Redis::start();
    redis.kill();
    let url = redis.url();
    let service = inventory(&[("REDIS_URL", &url)]).await;
    cache_is(&service, "degraded").await;
    assert_eq!(reserve(&service, "r-1", &[("p-001", 1)]).await.status, 201);
    redis.restart();
    cache_is(&service, "ok").await;
    assert_eq!(redis.counter("p-001"), Some(1199));
}
