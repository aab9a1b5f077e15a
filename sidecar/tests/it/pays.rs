//! A payment service with bad luck: it crashes, is silent, breaks off. Whatever happens, nobody pays twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::actor::{Actor, Asked, Does, actor};
use crate::world::{Answer, Client, World, eventually, world};

/// What happens to an order the first time that the service reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Luck {
    Good,
    CrashesBeforeCharging,
    CrashesAfterCharging,
    SilentAfterCharging,
    BreaksOffAfterCharging,
    RefusesBeforeCharging,
}

const LUCKS: [Luck; 6] = [
    Luck::Good,
    Luck::CrashesBeforeCharging,
    Luck::CrashesAfterCharging,
    Luck::SilentAfterCharging,
    Luck::BreaksOffAfterCharging,
    Luck::RefusesBeforeCharging,
];

/// What the service has written down.
#[derive(Default)]
struct Books {
    /// How often each order was read.
    read: HashMap<String, usize>,
    /// The charges of each key; of a request without one, of its order.
    charges: HashMap<String, usize>,
}

type Ledger = Arc<Mutex<Books>>;

/// Charges once for each key, as a payment service does, and every time where there is none.
fn charge(books: &mut Books, asked: &Asked) {
    let (order, key) = (asked.field("x-order").to_owned(), asked.field("idempotency-key").to_owned());
    match key.is_empty() {
        true => *books.charges.entry(order).or_default() += 1,
        false if books.charges.contains_key(&key) => {}
        false => *books.charges.entry(key).or_default() += 1,
    }
}

fn payment(on: [u8; 4], ledger: Ledger) -> Actor {
    actor(on, move |asked| {
        let mut books = ledger.lock().unwrap();
        let order = asked.field("x-order").to_owned();
        let times = books.read.entry(order.clone()).or_default();
        *times += 1;
        let number: usize = order.parse().unwrap();
        let luck = if *times == 1 { LUCKS[number % LUCKS.len()] } else { Luck::Good };
        match luck {
            Luck::CrashesBeforeCharging => return Does::Resets,
            Luck::RefusesBeforeCharging => return Does::Answers(503, String::new()),
            _ => charge(&mut books, asked),
        }
        match luck {
            Luck::SilentAfterCharging => Does::Nothing,
            Luck::BreaksOffAfterCharging => Does::BreaksOff,
            Luck::CrashesAfterCharging => Does::Resets,
            _ => Does::Answers(200, format!("paid {order}")),
        }
    })
}

fn calling(payment: &Actor) -> World {
    world(&format!(
        "version: 1\nservice: {{ name: order, url: \"http://127.0.0.1:1\" }}\ntargets: {{ payment: {{ url: {}, timeouts: {{ answer: 300ms }} }} }}\n\
         calls: {{ payment: {{ listen: 127.0.0.1:0, retry: {{ attempts: 3, on: [connect, reset, timeout, 502, 503], budget: 100% }} }} }}\n",
        payment.url()
    ))
}

/// One order; of every third the body is larger than is kept for another attempt.
fn order(number: usize, key: &str) -> String {
    let body = "x".repeat(if number.is_multiple_of(3) { 100_000 } else { 100 });
    let length = body.len();
    format!(
        "POST /charges HTTP/1.1\r\nHost: payment\r\nX-Order: {number}\r\n{key}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn is_paid(answer: &Answer, number: usize) -> bool {
    let paid = answer.status == 200 && answer.header("x-truncated").is_empty();
    assert!(
        !paid || answer.body == format!("paid {number}"),
        "half an answer was taken for the whole: {answer:?}"
    );
    paid
}

/// Sends until it is told that it has paid.
fn insist(world: &World, number: usize) -> usize {
    let mut times = 0;
    let mut client = world.to("payment");
    eventually("it is paid", || {
        times += 1;
        let answer = client.send(&order(number, &format!("Idempotency-Key: key-{number}\r\n")));
        client = world.to("payment");
        is_paid(&answer, number)
    });
    times
}

/// Does this for each number, several at a time.
fn each(numbers: std::ops::Range<usize>, act: impl Fn(usize) + Sync) {
    const AT_ONCE: usize = 8;
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let (numbers, act) = (numbers.clone(), &act);
            scope.spawn(move || numbers.skip(first).step_by(AT_ONCE).for_each(act));
        }
    });
}

#[test]
fn with_a_key_every_order_is_paid_and_none_twice() {
    let ledger = Ledger::default();
    let mut payment = payment([127, 0, 0, 91], ledger.clone());
    let world = calling(&payment);
    const ORDERS: usize = 60;
    let sent = Mutex::new(0);
    each(0..ORDERS, |number| {
        // A client that loses patience sends the same again while the first is on its way.
        let times: usize = std::thread::scope(|scope| {
            let twice = [(); 2].map(|()| scope.spawn(|| insist(&world, number)));
            twice.into_iter().map(|one| one.join().unwrap()).sum()
        });
        *sent.lock().unwrap() += times;
    });
    // Killed before it has read anything, while it has been written to; then gone, then back.
    payment.turns_deaf();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| insist(&world, ORDERS));
        eventually("it was written to", || payment.unread() > 0);
        payment.stop();
        payment.listens();
        std::thread::sleep(Duration::from_millis(50));
        payment.start();
        *sent.lock().unwrap() += late.join().unwrap();
    });
    let (books, sent) = (ledger.lock().unwrap(), *sent.lock().unwrap());
    let read: usize = books.read.values().sum();
    println!(
        "{} orders, sent {sent} times by clients, read {read} times, charged {} times",
        ORDERS + 1,
        books.charges.values().sum::<usize>()
    );
    assert_eq!(books.charges.len(), ORDERS + 1);
    assert!(books.charges.values().all(|charges| *charges == 1), "{:?}", books.charges);
}

#[test]
fn without_a_key_nothing_is_sent_a_second_time() {
    let ledger = Ledger::default();
    let mut payment = payment([127, 0, 0, 92], ledger.clone());
    let world = calling(&payment);
    const ORDERS: usize = 60;
    each(0..ORDERS, |number| {
        let answer = world.to("payment").send(&order(number, ""));
        let good = LUCKS[number % LUCKS.len()] == Luck::Good;
        assert_eq!(is_paid(&answer, number), good, "{answer:?}");
    });
    {
        let books = ledger.lock().unwrap();
        println!("{ORDERS} orders, read {} times", books.read.values().sum::<usize>());
        assert_eq!(books.read.len(), ORDERS);
        assert!(
            books.read.values().chain(books.charges.values()).all(|times| *times == 1),
            "{:?}",
            books.read
        );
    }
    // What is reset unread may have been read, for all we know: on a connection that rested, and on a new one.
    let mut client = world.to("payment");
    assert_eq!(client.send(&order(ORDERS * 6, "")).status, 200);
    payment.turns_deaf();
    for nth in 1..=20 {
        let answer = Client::to(world.sidecar().reaches("payment").unwrap()).send(&order(nth, ""));
        assert_eq!((answer.status, answer.slug().as_str()), (502, "upstream-reset"), "{answer:?}");
        assert_eq!(payment.unread(), nth, "its bytes went out once");
    }
    payment.listens();
    // Nobody is there: nothing was sent, so it may be tried again, and nobody is charged.
    payment.stop();
    let answer = client.send(&order(ORDERS * 6, ""));
    assert_eq!((answer.status, answer.slug().as_str()), (502, "connect-failed"), "{answer:?}");
    payment.start();
    assert_eq!(ledger.lock().unwrap().charges[&(ORDERS * 6).to_string()], 1);
}
