//! Shoppers: they drive traffic through the gateway as people do, each with time to think, or as a crowd that comes at a
//! rate whether the shop keeps up or not. They count what they see.

mod answer;
mod customer;
mod figures;
mod orders;
mod staff;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answer::Answer;
pub use customer::{Customer, Street};
pub use figures::{Figures, Kind, Outcome, Tally, Times, since};
pub use orders::{Orders, Placed};

/// Pages of the catalogue that people look at.
const PAGES: usize = 3;
const WORDS: [&str; 8] = ["shirt", "lamp", "book", "blue", "coffee", "garden", "wool", "small"];
/// A promise is asked after every second, for so long.
const POLLS_MAX: usize = 30;
/// A crowd that nobody answers stands in the street; no more of it than this.
const STANDING_MAX: usize = 3_000;

/// People in the shop.
#[derive(Debug)]
pub struct Shoppers {
    /// What they share.
    pub street: Street,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// What crowds have seen: their times begin when somebody was to come, whether the request left in that moment or not.
    pub crowds: Arc<Figures>,
    /// Requests of a crowd that were not sent, because too many waited already.
    pub given_up: Arc<AtomicUsize>,
}

/// What a visitor does.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The time between two things they do, on average.
    pub think: Duration,
    /// Of a hundred visits, so many end with an order.
    pub buys: u8,
}

/// What a crowd wants, so many times a second.
#[derive(Clone, Copy, Debug)]
pub struct Rush {
    /// What.
    pub kind: Kind,
    /// How often.
    pub per_second: f64,
    /// So many come in the same moment.
    pub at_once: u32,
}

impl Shoppers {
    /// Nobody yet, before the shop at this address.
    pub fn new(shop: &str) -> Self {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { street: Street::new(shop), stop, tasks, crowds: Arc::default(), given_up: Arc::default() }
    }

    /// So many stroll through the shop until they are told to leave.
    pub fn stroll(&self, many: usize, habits: Habits) {
        for _ in 0..many {
            let (customer, stop) = (self.street.stranger(), self.stop.clone());
            self.tasks.spawn(async move {
                let visits = async {
                    // Not all at once.
                    pause(habits.think * 2).await;
                    loop {
                        visit(&customer, habits).await;
                    }
                };
                stop.run_until_cancelled(visits).await;
            });
        }
    }

    /// So many who have signed in.
    pub async fn guests(&self, many: usize) -> Vec<Arc<Customer>> {
        let guests: Vec<_> = (0..many).map(|_| Arc::new(self.street.stranger())).collect();
        // A password is dear to check: a few at a time.
        for few in guests.chunks(4) {
            join_all(few.iter().map(|guest| guest.register())).await;
        }
        guests
    }

    /// A crowd of these guests comes at these rates for so long, whether it is answered or not. Waits for the last answer.
    pub async fn rush(
        &self,
        guests: &[Arc<Customer>],
        products: &[String],
        rushes: &[Rush],
        lasts: Duration,
    ) {
        let tracker = TaskTracker::new();
        let each = rushes.iter().map(|rush| self.come(guests, products, *rush, lasts, &tracker));
        let coming = join_all(each);
        self.stop.run_until_cancelled(coming).await;
        tracker.close();
        tracker.wait().await;
    }

    /// Each of these guests asks for so long, again as soon as it is answered: no more than the shop can bear.
    pub async fn press(&self, guests: &[Arc<Customer>], products: &[String], kind: Kind, lasts: Duration) {
        let until = Instant::now() + lasts;
        let each = guests.iter().map(async |guest| {
            while Instant::now() < until {
                let product = fastrand::choice(products).cloned().unwrap_or_default();
                once(guest, kind, product).await;
            }
        });
        self.stop.run_until_cancelled(join_all(each)).await;
    }

    async fn come(
        &self,
        guests: &[Arc<Customer>],
        products: &[String],
        rush: Rush,
        lasts: Duration,
        tracker: &TaskTracker,
    ) {
        let many = rush.at_once.max(1);
        let mut ticks = interval(Duration::from_secs_f64(f64::from(many) / rush.per_second));
        // Open loop: what was late is made up for, as a crowd does not wait for the one before it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut due = Instant::now();
        let times = (0_u32..).take_while(|done| f64::from(*done) < rush.per_second * lasts.as_secs_f64());
        for number in times {
            if number % many == 0 {
                due = ticks.tick().await.into_std();
            }
            if tracker.len() >= STANDING_MAX {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let Some(guest) = fastrand::choice(guests).cloned() else { return };
            let product = fastrand::choice(products).cloned().unwrap_or_default();
            let crowds = self.crowds.clone();
            tracker.spawn(async move {
                let outcome = once(&guest, rush.kind, product).await;
                crowds.count(rush.kind, outcome, due.elapsed());
            });
        }
    }

    /// Everybody leaves.
    pub async fn leave(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One wish of one guest.
async fn once(guest: &Customer, kind: Kind, product: String) -> Outcome {
    let path = match kind {
        Kind::Browse => format!("/api/products?page={}&size=20", fastrand::usize(1..=PAGES)),
        Kind::LogIn => return guest.log_in().await.outcome,
        Kind::Order => return guest.order(&[product]).await.outcome,
        Kind::Page => "/".to_owned(),
        Kind::Poll => "/api/orders".to_owned(),
        Kind::Product => format!("/api/products/{product}"),
        Kind::Recommend => format!("/api/recommendations?product_id={product}"),
        Kind::Register => return guest.register().await.outcome,
        Kind::Reviews => format!("/api/reviews?product_id={product}"),
        Kind::Search => search(),
    };
    guest.look(kind, &path).await.outcome
}

fn search() -> String {
    format!("/api/search?q={}", fastrand::choice(WORDS).unwrap_or_default())
}

/// A visit: from the door, along the shelves, sometimes to the till.
async fn visit(customer: &Customer, habits: Habits) {
    customer.look(Kind::Page, "/").await;
    pause(habits.think).await;
    let mut products = customer.browse(fastrand::usize(1..=PAGES)).await;
    pause(habits.think).await;
    customer.look(Kind::Search, &search()).await;
    pause(habits.think).await;
    fastrand::shuffle(&mut products);
    products.truncate(fastrand::usize(1..=3));
    for product in &products {
        for kind in [Kind::Product, Kind::Recommend, Kind::Reviews] {
            once(customer, kind, product.clone()).await;
        }
        pause(habits.think).await;
    }
    if products.is_empty() || fastrand::u8(0..100) >= habits.buys {
        return;
    }
    if !customer.is_known().await {
        customer.register().await;
    }
    let mut placed = customer.order(&products).await;
    if placed.status == 401 {
        // The shop wants a token by now, and this one is a stranger to whoever gives them out.
        customer.register().await;
        placed = customer.order(&products).await;
    }
    if placed.status == 202 {
        wait_for(customer, &placed).await;
    }
    pause(habits.think).await;
}

/// Asks after an order that was promised, until it is done with.
async fn wait_for(customer: &Customer, placed: &Answer) {
    for _ in 0..POLLS_MAX {
        sleep(Duration::from_secs(1)).await;
        let seen = customer.poll(placed).await;
        let status = seen.body.get("status").and_then(serde_json::Value::as_str).unwrap_or_default();
        if matches!(status, "completed" | "rejected" | "cancelled") {
            return;
        }
    }
}

/// Some time around this: half of it at least, half as much again at most.
async fn pause(think: Duration) {
    sleep(think.mul_f64(0.5 + fastrand::f64())).await;
}
