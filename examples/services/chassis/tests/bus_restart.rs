//! A broker that is stopped, killed and started again while events flow: none lost, none done twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::sync::Arc;

use chassis::servers::Rabbit;
use chassis::testing::until;

mod story;
use story::{heard, in_state, listener_with, number, tell, teller_with};

#[tokio::test]
async fn a_broker_that_is_stopped_and_killed_loses_nothing() {
    let broker = Rabbit::start(&[]).await.unwrap();
    let url = broker.url("/");
    let listener = listener_with(&[("BUS_URL", &url)], &Arc::default()).await;
    let teller = teller_with(&[("BUS_URL", &url)]).await;
    until("both are connected", async || {
        listener.get("/health").await.body["status"] == "ok"
            && teller.get("/health").await.body["status"] == "ok"
    })
    .await;
    for part in 0..4 {
        for _ in 0..50 {
            tell(&teller, "order.placed").await;
        }
        // Some of them are on their way now, in both directions.
        if part % 2 == 0 {
            until("some more are heard", async || heard(&listener).await > 100 * part / 2).await;
            if part == 0 { broker.stop().unwrap() } else { broker.kill().unwrap() }
        } else {
            assert_eq!(listener.get("/health").await.status, 200);
            broker.start_again().await.unwrap();
        }
    }
    until("all are told", async || in_state(&teller, "done").await == 200).await;
    until("all are heard", async || heard(&listener).await >= 200).await;
    assert_eq!(in_state(&teller, "dead").await, 0);
    assert_eq!(listener.get("/dead-letters").await.body["items"], serde_json::json!([]));
    assert_eq!(heard(&listener).await, 200);
    assert_eq!(number(&listener, "SELECT CAST(COUNT(DISTINCT id) AS BIGINT) FROM heard").await, 200);
}
