//! The service is killed, at every step and at any moment. Afterwards the books of all three services are counted: no
//! order lost, nobody charged twice, no stock gone astray.

use std::future::pending;

use chassis::servers::Postgres;
use chassis::testing::until;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Process, World, progress};

/// Crashes at this place, starts again, and sees what came of the order.
async fn crash_and_look(place: &str, token: &str) -> (World, (u16, Value)) {
    let world = World::new(10).await;
    let process = world.start(&[("CRASH_AT", place)]).await;
    assert_eq!(world.place(&process, "k-1", token).await, None, "{place}: it crashed");
    process.dies().await;
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

/// The way back, and what stands in the provider's books when it dies there, if there was something.
const BACK: [(&str, &str); 8] = [
    ("closing:saved", "charged"),
    ("void:before", "charged"),
    ("void:after", "voided"),
    ("payment_voided:saved", "voided"),
    ("release:before", "voided"),
    ("release:after", "voided"),
    ("stock_released:saved", "voided"),
    ("rejected:saved", "voided"),
];

#[tokio::test]
async fn killed_at_every_step_back_an_order_is_undone_whole() {
    for (place, _) in BACK {
        let (world, (status, body)) = crash_and_look(place, "tok_declined").await;
        assert_eq!((status, &body["error"]), (402, &json!("payment_declined")), "{place}: {body}");
        assert_eq!(world.books().await["charges"], 0, "{place}");
        assert_eq!(world.stock().await, (10, 0), "{place}");
    }
}

/// It is paid, and its stock has gone to somebody else meanwhile.
#[tokio::test]
async fn killed_at_every_step_back_what_was_paid_is_given_back_once() {
    for (place, stands) in BACK {
        let (world, process, order) = charged_and_nobody_knows(place).await;
        world.release(&order).await;
        world.behave(json!({})).await;
        process.dies().await;
        assert_eq!(world.charges().await, [(stands.to_owned(), 500)], "{place}: it dies there");
        let process = world.start(&[]).await;
        let (status, body) = world.ends(&process, "k-1", "tok_visa").await;
        assert_eq!((status, &body["error"]), (409, &json!("out_of_stock")), "{place}: {body}");
        voided_once(&world, place).await;
    }
}

/// It is paid, nobody knows, and the shopper calls it off.
#[tokio::test]
async fn killed_while_it_is_called_off_what_was_paid_is_given_back_once() {
    let places = [
        ("void:before", "charged"),
        ("void:after", "voided"),
        ("payment_voided:saved", "voided"),
        ("cancelled:saved", "voided"),
    ];
    for (place, stands) in places {
        let (world, process, order) = charged_and_nobody_knows(place).await;
        world.cancel(&process, &order).await;
        world.behave(json!({})).await;
        process.dies().await;
        assert_eq!(world.charges().await, [(stands.to_owned(), 500)], "{place}: it dies there");
        let process = world.start(&[]).await;
        let (status, body) = world.ends(&process, "k-1", "tok_visa").await;
        assert_eq!((status, &body["error"]), (422, &json!("cancelled")), "{place}: {body}");
        voided_once(&world, place).await;
    }
}

/// An order whose money is taken and whose payment has no answer, in a service that will crash at this place.
async fn charged_and_nobody_knows(place: &str) -> (World, Process, Value) {
    let world = World::new(10).await;
    world.behave(json!({ "lost_rate": 1.0 })).await;
    let process = world.start(&[("CRASH_AT", place)]).await;
    let (status, order) = world.place(&process, "k-1", "tok_visa").await.unwrap();
    assert_eq!((status, &order["status"]), (202, &json!("delayed")), "{place}: {order}");
    assert_eq!(world.charges().await, [("charged".to_owned(), 500)], "{place}: the money is taken");
    (world, process, order)
}

async fn voided_once(world: &World, place: &str) {
    assert_eq!(world.charges().await, [("voided".to_owned(), 500)], "{place}");
    let nothing = json!({ "charges": 0, "orders": 0, "doubled": 0, "cents": 0 });
    assert_eq!(world.books().await, nothing, "{place}");
    assert_eq!(world.stock().await, (10, 0), "{place}");
}

const ORDERS: usize = 60;
const LIVES: usize = 4;

/// The keys that are sent in this life: those of the lives before, and new ones.
fn known_in(life: usize, keys: &[String]) -> &[String] {
    &keys[..ORDERS * life / LIVES]
}

/// Waits until so much has happened since, and some order is under way.
async fn is_busy(database: &str, since: i64, happened: usize) {
    until("orders are under way", async || {
        let (events, open) = progress(database).await;
        open > 0 && usize::try_from(events - since).unwrap() >= happened
    })
    .await;
}

#[tokio::test]
async fn killed_at_any_moment_no_order_is_lost_and_none_is_paid_twice() {
    let world = World::new(2 * 40).await;
    let database = world.database();
    let keys: Vec<_> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    for life in 1..=LIVES {
        let mut process = world.start(&[]).await;
        let (before, _) = progress(database).await;
        let placing = async {
            let keys = known_in(life, &keys).iter();
            join_all(keys.map(async |key| world.place(&process, key, "tok_visa").await)).await;
            pending::<()>().await;
        };
        // Each life gets a little further than the one before.
        tokio::select! {
            () = is_busy(database, before, 10 * life) => {}
            () = placing => {}
        }
        process.child.kill().await.unwrap();
        assert!(progress(database).await.1 > 0, "in life {life} it dies with orders under way");
    }
    let process = world.start(&[]).await;
    let ends = join_all(keys.iter().map(|key| world.ends(&process, key, "tok_visa"))).await;
    let count = |status| ends.iter().filter(|end| end.0 == status).count();
    assert_eq!((count(201), count(409)), (40, 20), "{ends:?}");
    assert_eq!(world.books().await, json!({ "charges": 40, "orders": 40, "doubled": 0, "cents": 20_000 }));
    assert_eq!(world.stock().await, (0, 0));
    until("the list follows", async || world.orders(&process).await == i64::try_from(ORDERS).unwrap()).await;
}

#[tokio::test]
async fn of_two_on_one_database_either_can_be_killed() {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("order").await.unwrap();
    let world = World::new(2 * 40).await;
    let settings = [("DATABASE_URL", database.as_str())];
    let keys: Vec<_> = (0..ORDERS).map(|n| format!("k-{n}")).collect();
    let mut both = [world.start(&settings).await, world.start(&settings).await];
    for life in 1..=LIVES {
        let (before, _) = progress(&database).await;
        let placing = async {
            // Each key at both: it is one order all the same.
            let at_both = known_in(life, &keys).iter().map(async |key| {
                tokio::join!(world.place(&both[0], key, "tok_visa"), world.place(&both[1], key, "tok_visa"))
            });
            join_all(at_both).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = is_busy(&database, before, 10 * life) => {}
            () = placing => {}
        }
        let one = life % 2;
        both[one].child.kill().await.unwrap();
        both[one] = world.start(&settings).await;
    }
    let ends = join_all(keys.iter().enumerate().map(async |(n, key)| {
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
