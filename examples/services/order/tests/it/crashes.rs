//! The service is killed, at every step and at any moment. Afterwards the books of all three services are counted: no
//! order lost, nobody charged twice, no stock gone astray.

use std::time::Duration;

use chassis::servers::Postgres;
use chassis::testing::until;
use serde_json::{Value, json};

use crate::world::World;

/// Crashes at this place, starts again, and sees what came of the order.
async fn crash_and_look(place: &str, token: &str) -> (World, (u16, Value)) {
    let world = World::new(10).await;
    let mut process = world.start(&[("CRASH_AT", place)]).await;
    assert_eq!(world.place(&process, "k-1", token).await, None, "{place}: it crashed");
    process.child.wait().await.unwrap();
    let process = world.start(&[]).await;
    let end = world.ends(&process, "k-1", token).await;
    until("the list follows", async || world.orders(&process).await == 1).await;
    (world, end)
}

#[tokio::test]
async fn killed_at_every_step_forward_an_order_is_completed_once() {
    let places = [
        "check:before",
        "check:after",
        "checked:saved",
        "reserve:before",
        "reserve:after",
        "stock_reserved:saved",
        "charge:before",
        "charge:after",
        "paid:saved",
        "confirm:before",
        "confirm:after",
        "completed:saved",
    ];
    for place in places {
        let (world, (status, body)) = crash_and_look(place, "tok_visa").await;
        assert_eq!((status, &body["status"]), (201, &json!("completed")), "{place}: {body}");
        assert_eq!(
            world.books().await,
            json!({ "charges": 1, "orders": 1, "doubled": 0, "cents": 500 }),
            "{place}"
        );
        assert_eq!(world.stock().await, (8, 0), "{place}");
    }
}

#[tokio::test]
async fn killed_at_every_step_back_an_order_is_undone_whole() {
    let places = [
        "closing:saved",
        "void:before",
        "void:after",
        "payment_voided:saved",
        "release:before",
        "release:after",
        "stock_released:saved",
        "rejected:saved",
    ];
    for place in places {
        let (world, (status, body)) = crash_and_look(place, "tok_declined").await;
        assert_eq!((status, &body["error"]), (402, &json!("payment_declined")), "{place}: {body}");
        assert_eq!(world.books().await["charges"], 0, "{place}");
        assert_eq!(world.stock().await, (10, 0), "{place}");
    }
}

#[tokio::test]
async fn killed_at_any_moment_no_order_is_lost_and_none_is_paid_twice() {
    const ORDERS: usize = 60;
    let world = World::new(2 * 40).await;
    let keys: Vec<_> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    for life in 0..4 {
        let mut process = world.start(&[]).await;
        let placing = futures_util::future::join_all(
            keys.iter().map(async |key| world.place(&process, key, "tok_visa").await),
        );
        // Each life is a little longer than the one before.
        let _killed_first = tokio::time::timeout(Duration::from_millis(60 + 90 * life), placing).await;
        process.child.kill().await.unwrap();
    }
    let process = world.start(&[]).await;
    let ends =
        futures_util::future::join_all(keys.iter().map(|key| world.ends(&process, key, "tok_visa"))).await;
    let count = |status| ends.iter().filter(|end| end.0 == status).count();
    assert_eq!((count(201), count(409)), (40, 20), "{ends:?}");
    assert_eq!(world.books().await, json!({ "charges": 40, "orders": 40, "doubled": 0, "cents": 20_000 }));
    assert_eq!(world.stock().await, (0, 0));
    until("the list follows", async || world.orders(&process).await == i64::try_from(ORDERS).unwrap()).await;
}

#[tokio::test]
async fn of_two_on_one_database_either_can_be_killed() {
    const ORDERS: usize = 60;
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("order").await.unwrap();
    let world = World::new(2 * 40).await;
    let settings = [("DATABASE_URL", database.as_str())];
    let keys: Vec<_> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    let mut both = [world.start(&settings).await, world.start(&settings).await];
    for life in 0..4 {
        // Each key at both: it is one order all the same.
        let placing = futures_util::future::join_all(keys.iter().map(async |key| {
            tokio::join!(world.place(&both[0], key, "tok_visa"), world.place(&both[1], key, "tok_visa"))
        }));
        let _killed_first = tokio::time::timeout(Duration::from_millis(100 + 150 * life), placing).await;
        let one = usize::try_from(life % 2).unwrap();
        both[one].child.kill().await.unwrap();
        both[one] = world.start(&settings).await;
    }
    let ends = futures_util::future::join_all(keys.iter().enumerate().map(async |(n, key)| {
        let (here, there) = (&both[n % 2], &both[(n + 1) % 2]);
        let end = world.ends(here, key, "tok_visa").await;
        assert_eq!(world.ends(there, key, "tok_visa").await.0, end.0, "{key}");
        end
    }));
    let ends = ends.await;
    let count = |status| ends.iter().filter(|end| end.0 == status).count();
    assert_eq!((count(201), count(409)), (40, 20), "{ends:?}");
    assert_eq!(world.books().await, json!({ "charges": 40, "orders": 40, "doubled": 0, "cents": 20_000 }));
    assert_eq!(world.stock().await, (0, 0));
    for process in &both {
        until("both lists follow", async || world.orders(process).await == i64::try_from(ORDERS).unwrap())
            .await;
    }
}
