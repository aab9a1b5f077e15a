//! Everybody at once: a promotion asks for the same few products hundreds of times a second.

use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;

use crate::{balances, end, fill, inventory, reserve, stock, told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_hundred_want_a_hundred_and_a_hundred_get_one() {
    let service = inventory(&[]).await;
    fill(&service, "p-hot", 100).await;
    let asked = (0..400).map(async |number| {
        let answer = reserve(&service, &format!("r-{number}"), &[("p-hot", 1)]).await;
        match answer.status {
            201 => true,
            _ => {
                assert_eq!(told(&answer), (409, "out_of_stock"));
                false
            }
        }
    });
    let got = join_all(asked).await.into_iter().filter(|got| *got).count();
    assert_eq!(got, 100);
    assert_eq!(stock(&service, "p-hot").await, (100, 100));
    balances(&service).await;
}

/// Products in every order, in a ring and against it: on Postgres this is how transactions come to wait for each other
/// for ever, if they take their rows as they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_want_the_same_in_another_order_do_not_block_each_other() {
    let service = inventory(&[]).await;
    let products = ["p-a", "p-b", "p-c"];
    for product in products {
        fill(&service, product, 60).await;
    }
    let sold = [const { AtomicI64::new(0) }; 3];
    let asked = (0..300).map(async |number: usize| {
        let mut wanted: Vec<(&str, i64)> = products.iter().map(|product| (*product, 1)).collect();
        wanted.rotate_left(number % 3);
        if number.is_multiple_of(2) {
            wanted.reverse();
        }
        wanted.truncate(2 + number % 2);
        let id = format!("r-{number}");
        match reserve(&service, &id, &wanted).await.status {
            201 if number.is_multiple_of(5) => assert_eq!(end(&service, &id, "release").await.status, 200),
            201 => {
                assert_eq!(end(&service, &id, "confirm").await.status, 200);
                for (product, _) in wanted {
                    let index = products.iter().position(|own| *own == product).unwrap();
                    sold[index].fetch_add(1, Ordering::Relaxed);
                }
            }
            status => assert_eq!(status, 409),
        }
    });
    join_all(asked).await;
    for (product, sold) in products.iter().zip(&sold) {
        assert_eq!(stock(&service, product).await, (60 - sold.load(Ordering::Relaxed), 0), "{product}");
    }
    balances(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_asked_for_by_many_at_once_is_one_reservation() {
    let service = inventory(&[]).await;
    fill(&service, "p-hot", 10).await;
    for round in 0..5 {
        let id = format!("r-{round}");
        let answers = join_all((0..20).map(|_| reserve(&service, &id, &[("p-hot", 2)]))).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let there = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((made, there), (1, 19));
        assert!(answers.iter().all(|answer| answer.body == answers[0].body), "all hear the same");
    }
    assert_eq!(stock(&service, "p-hot").await, (10, 10));
    balances(&service).await;
}

/// Reserve, confirm and release of one name race: whatever wins, the books balance, and none of them fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_for_one_reservation_ends_in_one_state() {
    let service = inventory(&[]).await;
    fill(&service, "p-hot", 100).await;
    let races = (0..40).map(async |number| {
        let id = format!("r-{number}");
        let wanted = [("p-hot", 1)];
        let (reserved, released, confirmed) = futures_util::join!(
            reserve(&service, &id, &wanted),
            end(&service, &id, "release"),
            end(&service, &id, "confirm")
        );
        assert!(matches!(reserved.status, 201 | 409), "{}", reserved.body);
        assert!(matches!(released.status, 200 | 409), "{}", released.body);
        assert!(matches!(confirmed.status, 200 | 404 | 409), "{}", confirmed.body);
        assert_eq!(released.status == 200, confirmed.status != 200, "never both, and not neither");
        i64::from(confirmed.status == 200)
    });
    let sold: i64 = join_all(races).await.into_iter().sum();
    assert_eq!(stock(&service, "p-hot").await, (100 - sold, 0));
    balances(&service).await;
}
