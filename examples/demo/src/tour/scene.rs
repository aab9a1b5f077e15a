//! Where the tour is played: the shop, the books, some guests, and what steps have in common.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::comfort::Comfort;
use crate::demo::Demo;
use crate::ledger::{Books, Ledger};
use crate::shop::GATEWAY;
use crate::shoppers::{Customer, Kind, Rush, Tally, since};
use crate::summary::{Sight, words};

/// Guests, so that no one of them buys faster than the limit.
pub const GUESTS: usize = 40;
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Something was not as it was told.
#[derive(Debug)]
pub struct Unlike {
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
}

impl<E: std::error::Error> From<E> for Unlike {
    fn from(error: E) -> Self {
        Self { expected: "that it can be done at all".to_owned(), seen: error.to_string() }
    }
}

/// It is so, or the tour ends.
pub fn expect(is_so: bool, expected: impl Display, seen: impl Display) -> Result<(), Unlike> {
    if is_so { Ok(()) } else { Err(Unlike { expected: expected.to_string(), seen: seen.to_string() }) }
}

/// What shoppers have seen in a while.
pub type Seen = BTreeMap<Kind, Tally>;

/// Nothing failed and nothing was refused.
pub fn all_fine(seen: &Seen) -> Result<(), Unlike> {
    let unwell = |tally: &&Tally| tally.failed() > 0 || !tally.refused.is_empty();
    let sick: Vec<_> = seen.iter().filter(|(_, tally)| unwell(tally)).map(told).collect();
    expect(sick.is_empty() && asked(seen) > 0, "an answer to every request", sick.join("; "))
}

fn told((kind, tally): (&Kind, &Tally)) -> String {
    format!("{kind:?}: {}", words(tally))
}

/// How many requests were made.
pub fn asked(seen: &Seen) -> u64 {
    seen.values().map(Tally::asked).sum()
}

/// So many a second, one by one.
pub fn rush(kind: Kind, per_second: f64) -> Rush {
    Rush { kind, per_second, at_once: 1 }
}

/// So many in one moment, and no more in that second.
pub fn wave(kind: Kind, at_once: u32) -> Rush {
    Rush { kind, per_second: f64::from(at_once), at_once }
}

/// The scene.
pub struct Scene<'d> {
    /// The shop.
    pub demo: &'d mut Demo,
    /// Its books.
    pub ledger: Ledger,
    /// Guests who have signed in.
    pub guests: Vec<Arc<Customer>>,
    /// What can be bought.
    pub products: Vec<String>,
    /// For what no shopper does.
    pub client: reqwest::Client,
    /// What this machine can bear.
    pub comfort: Comfort,
}

impl<'d> Scene<'d> {
    /// Opens the books, and looks what there is to buy.
    pub async fn set(demo: &'d mut Demo) -> Result<Self, Unlike> {
        let ledger = Ledger::open(&demo.folder, &demo.stores).await?;
        let products = demo.shoppers.street.stranger().browse(1).await;
        expect(!products.is_empty(), "products in the catalogue", "none")?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let mut scene =
            Self { demo, ledger, guests: Vec::new(), products, client, comfort: Comfort::default() };
        scene.comfort = Comfort::measure(&mut scene).await?;
        Ok(scene)
    }

    /// Lets guests in, who sign in wherever one signs in now.
    pub async fn invite(&mut self, guests: usize) -> Result<(), Unlike> {
        self.guests = self.demo.shoppers.guests(guests).await;
        for guest in &self.guests {
            expect(guest.token().await.is_some(), "a token for every guest", "one has none")?;
        }
        Ok(())
    }

    /// Does something while a crowd comes. What came of it, and what the crowd has seen.
    pub async fn meanwhile<T>(
        &self,
        rushes: &[Rush],
        lasts: Duration,
        deed: impl Future<Output = Result<T, Unlike>>,
    ) -> Result<(T, Seen), Unlike> {
        let figures = &self.demo.shoppers.street.figures;
        let before = figures.now();
        let crowd = self.demo.shoppers.rush(&self.guests, &self.products, rushes, lasts);
        let (done, ()) = tokio::join!(deed, crowd);
        Ok((done?, since(&figures.now(), &before)))
    }

    /// A crowd, and nothing else.
    pub async fn crowd(&self, rushes: &[Rush], lasts: Duration) -> Result<Seen, Unlike> {
        self.meanwhile(rushes, lasts, async { Ok(()) }).await.map(|((), seen)| seen)
    }

    /// What people do on an ordinary day, so many times over.
    pub fn day(&self, times: f64) -> Vec<Rush> {
        let Comfort { orders, looks } = self.comfort;
        let wishes = [
            (Kind::Browse, 0.4 * looks),
            (Kind::Product, 0.4 * looks),
            (Kind::Search, 0.2 * looks),
            (Kind::Order, orders),
        ];
        wishes.map(|(kind, often)| rush(kind, often * times)).into()
    }

    /// The numbers of all proxies.
    pub async fn sight(&self) -> Sight {
        Sight::now(&self.client).await
    }

    /// A path at the gateway.
    pub fn at(&self, path: &str) -> String {
        format!("http://127.0.0.1:{GATEWAY}{path}")
    }

    /// Sets something at a service itself, as an operator does at the machine.
    pub async fn operate(&self, port: u16, path: &str, body: &Value) -> Result<(), Unlike> {
        let request = self.client.put(format!("http://127.0.0.1:{port}{path}")).json(body);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Looks again and again until it is so; what was found then.
    pub async fn eventually<T>(
        &self,
        within: Duration,
        expected: &str,
        look: impl AsyncFn(&Self) -> Result<Result<T, String>, Unlike>,
    ) -> Result<T, Unlike> {
        let until = Instant::now() + within;
        loop {
            match look(self).await? {
                Ok(found) => return Ok(found),
                Err(seen) if Instant::now() >= until => {
                    return Err(Unlike {
                        expected: format!("{expected}, within {} s", within.as_secs()),
                        seen,
                    });
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Waits until every order is done with. The books then.
    pub async fn settled(&self, within: Duration) -> Result<Books, Unlike> {
        self.eventually(within, "all orders done", async |scene| {
            let books = scene.ledger.books().await?;
            let waits =
                ["delayed", "queued", "running"].iter().any(|status| books.orders.contains_key(*status));
            let seen = format!("{} open: {:?}", books.open, books.orders);
            Ok(if books.open == 0 && !waits { Ok(books) } else { Err(seen) })
        })
        .await
    }

    /// Everything the shop has promised since `from` is in its books and was seen through, and the money is right.
    pub async fn kept(&self, from: usize, books: &Books) -> Result<usize, Unlike> {
        let promised = self.demo.shoppers.street.orders.all();
        let promised = promised.get(from..).unwrap_or_default();
        self.seen_through(promised.iter().map(|placed| placed.id.as_str())).await?;
        let Books { doubled, unpaid, kept_money, .. } = *books;
        expect(
            (doubled, unpaid, kept_money) == (0, 0, 0),
            "every completed order paid once, and no other",
            format!("{doubled} paid twice, {unpaid} not paid, {kept_money} paid and not delivered"),
        )?;
        Ok(promised.len())
    }

    /// Each of these orders is in the books, and is completed, or is refused for a reason the shopper has to bear.
    pub async fn seen_through<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Result<(), Unlike> {
        let orders = self.ledger.orders().await?;
        let mut unlike = Vec::new();
        for id in ids {
            match orders.get(id) {
                Some(fate) if fate.is_fair() => {}
                Some(fate) => unlike.push(format!("{id} is {}: {}", fate.status, fate.reason)),
                None => unlike.push(format!("{id} is in no book")),
            }
        }
        let (many, first) = (unlike.len(), unlike.first().map_or("", String::as_str));
        expect(
            unlike.is_empty(),
            "every order completed or honestly refused",
            format!("{many} are not; {first}"),
        )
    }

    /// Has nothing crashed?
    pub fn all_run(&self) -> Result<(), Unlike> {
        let down: Vec<_> = self.demo.processes.all().iter().filter(|process| !process.runs()).collect();
        let down: Vec<_> = down.iter().map(|process| process.program.name.as_str()).collect();
        expect(down.is_empty(), "that all programs run", format!("{} do not", down.join(", ")))
    }
}
