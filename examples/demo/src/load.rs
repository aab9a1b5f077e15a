//! The load report: orders and ten times as many looks come at a rate, whether the shop keeps up or not, and it is told how
//! they were served. It is told in Markdown, for `bench/README.md`; it judges nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::demo::Demo;
use crate::ledger::Ledger;
use crate::programs::{Stores, sidecar_name};
use crate::settings::Settings;
use crate::shop::{LEGACY_NAME, SERVICES};
use crate::shoppers::{Customer, Kind, Rush, Tally};
use crate::summary::{Sight, words};
use crate::usage::Usage;

/// So many, that nobody buys faster than the limit.
const GUESTS: usize = 100;
/// More than are ever ordered.
const ON_HAND: i64 = 10_000_000;
/// Connections are made and caches filled, and then it counts.
const WARM_UP: Duration = Duration::from_secs(5);
const SIGNED_IN_WITHIN: Duration = Duration::from_secs(120);
const SETTLED_WITHIN: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How looks are spread: pages of the catalogue, products, searches.
const LOOKS: [(Kind, f64); 3] = [(Kind::Browse, 0.4), (Kind::Product, 0.4), (Kind::Search, 0.2)];

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    lasts: Duration,
    orders_per_minute: u32,
    looks_per_minute: u32,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum LoadError {
    #[error("{0}")]
    Books(#[from] sqlx::Error),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("{0}")]
    Shop(String),
}

impl Load {
    /// As it was asked for.
    pub fn of(settings: &Settings, seconds: u64) -> Self {
        Self {
            lasts: Duration::from_secs(seconds),
            orders_per_minute: settings.orders_per_minute,
            looks_per_minute: settings.browse_per_minute,
        }
    }

    fn rushes(&self) -> Vec<Rush> {
        let rush = |kind, per_minute: f64| Rush { kind, per_second: per_minute / 60.0, at_once: 1 };
        let looks = LOOKS.map(|(kind, part)| rush(kind, part * f64::from(self.looks_per_minute)));
        let orders = rush(Kind::Order, f64::from(self.orders_per_minute));
        std::iter::once(orders).chain(looks).collect()
    }
}

/// Offers it, and tells how it was served.
pub async fn report(demo: &Demo, load: Load) -> Result<String, LoadError> {
    let ledger = Ledger::open(&demo.folder, &demo.stores).await?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let shoppers = &demo.shoppers;
    let products = shoppers.street.stranger().browse(1).await;
    shoppers.street.fill(&products, ON_HAND).await.map_err(LoadError::Shop)?;
    let guests = guests(demo).await?;
    let rushes = load.rushes();
    shoppers.rush(&guests, &products, &rushes, WARM_UP).await;

    let (before, used, given_up) =
        (shoppers.crowds.now(), usage(demo), shoppers.given_up.load(Ordering::Relaxed));
    let (since, began, sight) =
        (Timestamp::now().as_millisecond(), Instant::now(), Sight::now(&client).await);
    shoppers.rush(&guests, &products, &rushes, load.lasts).await;
    let lasted = began.elapsed();
    let (now, sight_after) = (usage(demo), Sight::now(&client).await);
    let seen = crate::shoppers::since(&shoppers.crowds.now(), &before);
    let given_up = shoppers.given_up.load(Ordering::Relaxed) - given_up;
    let until = Instant::now() + SETTLED_WITHIN;
    while ledger.books().await?.open > 0 {
        if Instant::now() > until {
            return Err(LoadError::Shop(format!("orders are open {} s later", SETTLED_WITHIN.as_secs())));
        }
        sleep(LOOK_EVERY).await;
    }

    let mut text = head(demo, load);
    text += &requests(&rushes, load.lasts, &seen);
    let took = ledger.took(since).await?;
    let _ = writeln!(
        text,
        "\n{} orders completed: from placed to completed p50 {} ms, p99 {} ms; payment at its sidecar's door p99 {}; given \
         up before they were sent: {given_up}.\n",
        took.len(),
        share(&took, 0.5),
        share(&took, 0.99),
        ms(sight_after.quantile(&sight, "payment", "charge", 0.99)) + " ms",
    );
    text += &programs(&used, &now, lasted);
    Ok(text)
}

/// Guests with a token each; the gateway lets no address sign in as fast as it can.
async fn guests(demo: &Demo) -> Result<Vec<Arc<Customer>>, LoadError> {
    let guests = demo.shoppers.guests(GUESTS).await;
    let until = Instant::now() + SIGNED_IN_WITHIN;
    for guest in &guests {
        while guest.token().await.is_none() {
            if Instant::now() > until {
                return Err(LoadError::Shop("not every guest can sign in".to_owned()));
            }
            sleep(LOOK_EVERY).await;
            guest.register().await;
        }
    }
    Ok(guests)
}

fn usage(demo: &Demo) -> BTreeMap<String, Usage> {
    let each = demo.processes.all().iter();
    each.filter_map(|process| Some((process.program.name.clone(), process.usage()?))).collect()
}

fn head(demo: &Demo, load: Load) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let stores = match demo.stores {
        Stores::Embedded => "SQLite, events over HTTP",
        Stores::Servers { .. } => "Postgres, Redis, RabbitMQ",
    };
    format!(
        "{} orders and {} looks a minute for {} s, all programs and their shoppers on {cores} cores, {} build, {stores}. Open \
         loop: times count from when a request was to be sent.\n\n",
        load.orders_per_minute,
        load.looks_per_minute,
        load.lasts.as_secs(),
        if cfg!(debug_assertions) { "debug" } else { "release" },
    )
}

fn requests(rushes: &[Rush], lasts: Duration, seen: &BTreeMap<Kind, Tally>) -> String {
    let mut text = "| requests | offered | done | failed | p50 ms | p95 ms | p99 ms | max ms | |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|---|\n"
        .to_owned();
    for rush in rushes {
        let tally = seen.get(&rush.kind).cloned().unwrap_or_default();
        let offered = (rush.per_second * lasts.as_secs_f64()).ceil();
        let done: u64 = tally.fine.values().sum();
        let time = |share| ms(tally.times.quantile(share));
        let _ = writeln!(
            text,
            "| {} | {offered:.0} | {done} | {} | {} | {} | {} | {} | {} |",
            format!("{:?}", rush.kind).to_lowercase(),
            tally.asked() - done,
            time(0.5),
            time(0.95),
            time(0.99),
            time(1.0),
            words(&tally)
        );
    }
    text
}

fn programs(before: &BTreeMap<String, Usage>, after: &BTreeMap<String, Usage>, lasted: Duration) -> String {
    let used = |name: &str| {
        let (Some(before), Some(after)) = (before.get(name), after.get(name)) else {
            return "| |".to_owned();
        };
        let cores = after.cpu.saturating_sub(before.cpu).as_secs_f64() / lasted.as_secs_f64();
        format!("{:.1} | {} |", cores * 100.0, after.resident_kib / 1024)
    };
    let mut text =
        "| program | CPU, % of a core | RSS, MiB | its sidecar: CPU | RSS |\n|---|--:|--:|--:|--:|\n"
            .to_owned();
    let _ = writeln!(text, "| gateway | {} | |", used("gateway"));
    for service in &SERVICES {
        let name = service.name;
        let _ = writeln!(text, "| {name} | {} {}", used(name), used(&sidecar_name(name)));
    }
    let _ = write!(text, "| {LEGACY_NAME} | {} | |", used(LEGACY_NAME));
    text
}

fn ms(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

/// What this share of them took at most; they are in order.
fn share(took: &[i64], share: f64) -> String {
    let many = took.len() as f64 * share;
    let at = took.iter().enumerate().find(|(at, _)| (*at as f64) + 1.0 >= many);
    at.map_or_else(|| "-".to_owned(), |(_, took)| took.to_string())
}
