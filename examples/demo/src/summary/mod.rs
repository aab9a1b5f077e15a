//! The live summary: what each program does, what shoppers see, and where to look.

mod screen;
mod sight;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use crate::ledger::Ledger;
use crate::process::Crash;
use crate::shop::{COLLECTOR, GATEWAY, GATEWAY_ADMIN};
use crate::shoppers::{Kind, Street, Tally, since};

use screen::Screen;
pub use screen::Style;
pub use sight::{Pace, Sight};

/// How often it is drawn, and how often a line is written where nothing can be redrawn.
const DRAW_EVERY: Duration = Duration::from_secs(2);
const LINE_EVERY: u32 = 3;
/// A line that is longer would wrap in most terminals, and then the place where the block began is not known.
const WIDTH: usize = 100;
/// Rates are those of the last ten seconds.
const SIGHTS: usize = 6;

/// Lines for whoever watches, whatever is drawn below them.
#[derive(Clone, Debug)]
pub struct Voice(mpsc::UnboundedSender<String>);

impl Voice {
    /// Says something.
    pub fn say(&self, words: impl Into<String>) {
        // Nobody listens any more when all has ended.
        let _ = self.0.send(words.into());
    }
}

/// A shop that is open: what there is to sum up.
#[derive(Clone, Debug)]
pub struct Open {
    /// Where the shoppers are.
    pub street: Street,
    /// The books.
    pub ledger: Arc<Ledger>,
}

/// Begins to speak. What is said is written by one task, so that nothing comes in between.
pub fn speak() -> (Voice, mpsc::UnboundedReceiver<String>) {
    let (say, hear) = mpsc::unbounded_channel();
    (Voice(say), hear)
}

/// Writes what is said and, as soon as the shop is open, the summary below it; and shows the latter on the page.
pub async fn write(
    mut hear: mpsc::UnboundedReceiver<String>,
    mut crashes: mpsc::UnboundedReceiver<Crash>,
    open: watch::Receiver<Option<Open>>,
    page: watch::Sender<String>,
    style: Style,
) {
    let mut screen = Screen::new(style);
    let mut history = History::default();
    let mut ticks = interval(DRAW_EVERY);
    let mut lines = 0;
    loop {
        tokio::select! {
            biased;
            said = hear.recv() => match said {
                Some(words) => screen.say(&words),
                None => return,
            },
            Some(crash) = crashes.recv() => screen.say(&crash.to_string()),
            _ = ticks.tick() => {
                let Some(open) = open.borrow().clone() else { continue };
                history.look(&open).await;
                let Some(block) = history.block() else { continue };
                let _ = page.send(block.clone());
                lines += 1;
                match style {
                    Style::Drawn => screen.draw(&block),
                    Style::Lines if lines % LINE_EVERY == 0 => screen.say(&history.line()),
                    Style::Lines | Style::Quiet => {}
                }
            }
        }
    }
}

#[derive(Default)]
struct History {
    client: reqwest::Client,
    began: Option<Instant>,
    sights: VecDeque<(Sight, BTreeMap<Kind, Tally>)>,
    orders: BTreeMap<String, i64>,
}

impl History {
    async fn look(&mut self, open: &Open) {
        self.began.get_or_insert_with(Instant::now);
        if self.sights.len() == SIGHTS {
            self.sights.pop_front();
        }
        self.sights.push_back((Sight::now(&self.client).await, open.street.figures.now()));
        // Books that cannot be read now can be read the next time.
        if let Ok(orders) = open.ledger.statuses().await {
            self.orders = orders;
        }
    }

    fn seconds(&self) -> u64 {
        self.began.map(|began| began.elapsed().as_secs()).unwrap_or_default()
    }

    /// The whole summary.
    fn block(&self) -> Option<String> {
        let ((before, _), (now, figures)) = (self.sights.front()?, self.sights.back()?);
        let mut text = format!("\nthe shop, after {} s\n\n", self.seconds());
        let _ = writeln!(text, "  {:<16}{:>12}{:>12}{:>10}", "", "requests/s", "errors/s", "p99 ms");
        for Pace { name, per_second, errors, p99 } in now.paces(before) {
            let p99 = p99.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
            let _ = writeln!(text, "  {name:<16}{per_second:>12.1}{errors:>12.1}{p99:>10}");
        }
        let _ = writeln!(
            text,
            "\n  {:<16}{:>12}{:>12}{:>10}{:>10}",
            "shoppers", "asked", "failed", "p50 ms", "p99 ms"
        );
        let lately = since(figures, self.sights.front().map(|(_, before)| before)?);
        for (kind, tally) in &lately {
            let all = figures.get(kind)?;
            let time =
                |share| tally.times.quantile(share).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
            let (p50, p99) = (time(0.5), time(0.99));
            let kind = format!("{kind:?}").to_lowercase();
            let _ = writeln!(text, "  {kind:<16}{:>12}{:>12}{p50:>10}{p99:>10}", all.asked(), all.failed());
        }
        let breakers = now.breakers();
        let breakers = if breakers.is_empty() { "all closed".to_owned() } else { breakers.join("; ") };
        let (refused, failed) = unwell(figures);
        for (what, told) in [
            ("breakers", breakers),
            ("orders", list(&self.orders)),
            ("refused", list(&refused)),
            ("failed", list(&failed)),
        ] {
            let _ = writeln!(text, "  {what:<10} {}", told.chars().take(WIDTH - 14).collect::<String>());
        }
        let _ = write!(text, "\n{}", places());
        Some(text)
    }

    /// The same in a line.
    fn line(&self) -> String {
        let (Some((_, before)), Some((sight, now))) = (self.sights.front(), self.sights.back()) else {
            return String::new();
        };
        let lately = since(now, before);
        let mut times = Vec::new();
        for (kind, tally) in &lately {
            if let (Some(p50), Some(p99)) = (tally.times.quantile(0.5), tally.times.quantile(0.99)) {
                times.push(format!("{kind:?} {p50:.0}/{p99:.0}").to_lowercase());
            }
        }
        let asked: u64 = now.values().map(Tally::asked).sum();
        let (refused, failed) = unwell(now);
        let open = sight.breakers().len();
        format!(
            "{} s: {asked} asked, refused {}, failed {}, {open} breakers open; orders: {}; p50/p99 ms: {}",
            self.seconds(),
            list(&refused),
            list(&failed),
            list(&self.orders),
            times.join(", ")
        )
    }
}

/// What was refused and what failed, of all kinds together.
fn unwell(figures: &BTreeMap<Kind, Tally>) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut refused, mut failed) = (BTreeMap::new(), BTreeMap::new());
    for tally in figures.values() {
        add(&mut refused, &tally.refused);
        add(&mut failed, &tally.wrong);
    }
    (refused, failed)
}

fn add(sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (word, many) in more {
        *sum.entry(word.clone()).or_default() += many;
    }
}

/// What became of requests of one kind, in words.
pub fn words(tally: &Tally) -> String {
    [("", &tally.fine), ("refused: ", &tally.refused), ("failed: ", &tally.wrong)]
        .iter()
        .filter(|(_, each)| !each.is_empty())
        .map(|(what, each)| format!("{what}{}", list(each)))
        .collect::<Vec<_>>()
        .join("; ")
}

fn list(words: &BTreeMap<String, impl Display>) -> String {
    if words.is_empty() {
        return "0".to_owned();
    }
    words.iter().map(|(word, many)| format!("{many} {word}")).collect::<Vec<_>>().join(", ")
}

/// Where to look, and what to try.
pub fn places() -> String {
    let shop = format!("http://127.0.0.1:{GATEWAY}");
    format!(
        "  the shop     {shop}/\n\
         \x20 the demo     http://127.0.0.1:{COLLECTOR}/ (what runs, latest traces)\n\
         \x20 the gateway  http://127.0.0.1:{GATEWAY_ADMIN}/\n\n\
         \x20 curl -s '{shop}/api/products?size=3'\n\
         \x20 curl -s '{shop}/api/search?q=lamp'\n\
         \x20 curl -si {shop}/api/orders     # 401: it wants a token\n"
    )
}
