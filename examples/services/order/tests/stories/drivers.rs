//! Who sees an order through, and what becomes of it when that one is slow, hung up on, or not alone.

use std::sync::Arc;
use std::time::Duration;

use chassis::testing::{Tried, until};
use serde_json::json;
use tokio::sync::Notify;

use crate::neighbours::Neighbours;
use crate::shopper::{ends_as, id, kinds, place, two_of};

async fn number(order: &Tried, count: &'static str) -> i64 {
    sqlx::query_scalar(count).fetch_one(order.chassis().database.pool()).await.unwrap()
}

const OPEN: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM saga WHERE state = 'open'";

#[tokio::test]
async fn a_driver_whose_lease_has_run_out_writes_nothing_any_more() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.away.push("payment"));
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("orders").display());
    let order = neighbours.order(&[("DATABASE_URL", &url), ("SAGA_LEASE_MS", "300")]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let answers = Arc::new(Notify::new());
    neighbours.with(|known| {
        known.away.clear();
        known.hang = Some(answers.clone());
    });
    until("a driver waits for payment", async || neighbours.with(|known| known.hang.is_none())).await;
    ends_as(&order, &id, "completed").await;
    assert_eq!(number(&order, OPEN).await, 0);
    answers.notify_one();
    until("the first driver has its answer", async || {
        neighbours.with(|known| Arc::strong_count(&answers) == 1 && known.hang.is_none())
    })
    .await;
    let before = kinds(&order, &id).await;
    // What the first driver does about its answer is done when the service has ended.
    order.stop().await;
    let order = neighbours.order(&[("DATABASE_URL", &url)]).await;
    assert_eq!((number(&order, OPEN).await, kinds(&order, &id).await), (0, before));
}

#[tokio::test]
async fn an_order_whose_shopper_hangs_up_at_any_moment_has_a_driver() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.stock.insert("p-1".to_owned(), 1000));
    // Nobody would take over from a driver that is none, as long as the test lasts.
    let order = neighbours.order(&[("SAGA_LEASE_MS", "600000")]).await;
    for n in 0..100 {
        let key = format!("k-{n}");
        let body = two_of("p-1");
        let placed = place(&order, "u-1", &key, &body);
        let _hung_up = tokio::time::timeout(Duration::from_micros(200 * n), placed).await;
    }
    until("all that was taken down is done", async || number(&order, OPEN).await == 0).await;
    assert!(number(&order, "SELECT CAST(COUNT(*) AS BIGINT) FROM saga").await > 0);
}

#[tokio::test]
async fn an_order_does_not_wait_for_a_time_that_a_wrong_clock_has_set() {
    let neighbours = Neighbours::start().await;
    neighbours.with(|known| known.away.push("payment"));
    let order = neighbours.order(&[]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let hour_ahead =
        "UPDATE saga SET next_at = next_at + 3600000, lease_until = next_at + 3600000, holder = 'me'";
    let mut write = order.chassis().database.write().await.unwrap();
    sqlx::query(hour_ahead).execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    neighbours.with(|known| known.away.clear());
    ends_as(&order, &id, "completed").await;
}

#[tokio::test]
async fn what_was_asked_long_ago_is_forgotten_and_the_order_is_not() {
    let neighbours = Neighbours::start().await;
    let order = neighbours.order(&[("KEEP_KEYS_S", "0"), ("KEEP_WORK_S", "0")]).await;
    let id = id(&place(&order, "u-1", "k-1", &two_of("p-1")).await);
    let rows = "SELECT (SELECT CAST(COUNT(*) AS BIGINT) FROM order_key) + (SELECT CAST(COUNT(*) AS BIGINT) FROM saga)";
    until("it is forgotten", async || number(&order, rows).await == 0).await;
    assert_eq!(order.get(&format!("/api/orders/{id}")).await.body["status"], json!("completed"));
}
