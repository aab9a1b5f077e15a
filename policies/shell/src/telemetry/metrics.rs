//! Counters and gauges. A request writes to cells that belong to its route, its target and its core, and to nobody else's;
//! they are added up when somebody looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use policies::balance::Outcome;
use policies::observe::{self, Metric, Record, method_label};
use policies::plan::Way;
use policies::verdict::{Denial, Fault};
use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

/// Pairs of route and target that are counted apart; what a document has beyond that is counted together.
const PAIRS_MAX: usize = 10_000;
/// Kinds of answer (method and status) that are counted apart for each pair and core.
const KINDS: usize = 32;
/// Slugs that are counted apart for each pair and core.
const SLUGS: usize = 16;
/// Upper bounds of the histogram, in microseconds: from a cache's answer to the longest deadline.
const BOUNDS: [u64; 13] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];
/// In the order of a cell's attempts.
const OUTCOMES: [&str; 4] = ["success", "failure", "busy", "neutral"];

/// Whatever others can be asked for when somebody looks.
pub trait Gauges: Send + Sync {
    /// Gives each value, with its labels in the metric's order.
    fn collect(&self, out: &mut dyn FnMut(&'static Metric, &[&str], f64));
}

/// What was dropped so far because nobody took it.
#[derive(Clone, Copy, Default)]
pub(super) struct Dropped {
    /// Lines of the access log.
    pub access_lines: u64,
    /// Lines of the process log.
    pub process_lines: u64,
    /// Spans.
    pub spans: u64,
}

/// All metrics of the process.
pub struct Metrics {
    workers: usize,
    pairs: RwLock<BTreeMap<Pair, RouteCells>>,
    malformed: Mutex<HashMap<&'static str, u64>>,
    gauges: Mutex<Vec<Arc<dyn Gauges>>>,
}

/// Which way, which route, which target.
type Pair = (Way, String, String);

/// Where the requests of one route to one target are counted, by core. A core's cell is made when it counts first: of many
/// routes most are seldom asked for.
#[derive(Clone)]
pub struct RouteCells(Arc<[OnceLock<Box<Cell>>]>);

impl Default for RouteCells {
    fn default() -> Self {
        Self([OnceLock::new()].into())
    }
}

/// The same cells, not the same counts.
impl PartialEq for RouteCells {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl RouteCells {
    fn of(&self, worker: usize) -> Option<&Cell> {
        Some(self.0.get(worker)?.get_or_init(Box::default))
    }

    fn made(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter().filter_map(OnceLock::get).map(|cell| &**cell)
    }
}

/// One core's counts of one pair. Written by one thread only, so that counting is a load and a store; aligned so that no two
/// cores write to one line of the cache. What every request counts stands in front and together: of many routes the next one
/// is in no cache.
#[derive(Default)]
#[repr(C, align(128))]
struct Cell {
    attempts: [AtomicU64; OUTCOMES.len()],
    micros: AtomicU64,
    retries: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    kinds: Slots<KINDS>,
    /// What found no place among the kinds, by the first digit of its status: a 503 must not hide behind many 404s.
    classes: [AtomicU64; 6],
    slugs: Slots<SLUGS>,
    observed: Slots<SLUGS>,
}

/// The key of what found no place.
const OTHERS: u64 = u64::MAX;

/// A few counters by key; keys are taken as they come. The last place is for all that find none.
struct Slots<const N: usize>([(AtomicU64, AtomicU64); N]);

impl<const N: usize> Default for Slots<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

impl<const N: usize> Slots<N> {
    /// Keys are not zero. `false`: there was no place for this one.
    fn has_counted(&self, key: u64) -> bool {
        for (taken, count) in self.0.iter().take(N - 1) {
            match taken.load(Ordering::Relaxed) {
                0 => {
                    taken.store(key, Ordering::Relaxed);
                    add(count, 1);
                    return true;
                }
                other if other == key => {
                    add(count, 1);
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    fn count_other(&self) {
        if let Some((taken, count)) = self.0.last() {
            taken.store(OTHERS, Ordering::Relaxed);
            add(count, 1);
        }
    }

    fn each(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(key, count)| (key.load(Ordering::Relaxed), count.load(Ordering::Relaxed)))
    }
}

/// Slugs as small numbers, from 1.
fn slug_key(slug: &str) -> u64 {
    slugs().position(|known| known == slug).map_or(0, |at| at as u64) + 1
}

fn slugs() -> impl Iterator<Item = &'static str> {
    Denial::ALL.iter().map(|denial| denial.slug()).chain(Fault::ALL.iter().map(|fault| fault.slug()))
}

fn slug_of(key: u64) -> &'static str {
    slugs().nth(usize::try_from(key.saturating_sub(1)).unwrap_or(usize::MAX)).unwrap_or("other")
}

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];

fn kind_key(record: &Record<'_>) -> u64 {
    let method = method_label(record.method);
    let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1) as u64;
    (method + 1) << 16 | u64::from(record.status.unwrap_or(0))
}

impl Metrics {
    /// Nothing has happened.
    pub fn new(workers: usize) -> Self {
        Self { workers, pairs: RwLock::default(), malformed: Mutex::default(), gauges: Mutex::default() }
    }

    /// Where the requests of this route to this target are counted; the same cells for the same names, over all reloads.
    pub fn cells(&self, way: Way, route: &str, target: &str) -> RouteCells {
        let mut pairs = self.pairs.write().unwrap_or_else(PoisonError::into_inner);
        let known = |pairs: &BTreeMap<_, RouteCells>, key: &Pair| pairs.get(key).cloned();
        let key = (way, route.to_owned(), target.to_owned());
        if let Some(cells) = known(&pairs, &key) {
            return cells;
        }
        let key = if pairs.len() < PAIRS_MAX { key } else { (way, "other".to_owned(), "other".to_owned()) };
        let workers = self.workers;
        let fresh = || RouteCells((0..workers).map(|_| OnceLock::new()).collect());
        pairs.entry(key).or_insert_with(fresh).clone()
    }

    /// Asks these too, when somebody looks.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).push(gauges);
    }

    pub(super) fn count(&self, worker: usize, cells: &RouteCells, record: &Record<'_>) {
        let Some(cell) = cells.of(worker) else { return };
        if !cell.kinds.has_counted(kind_key(record)) {
            let class = usize::from(record.status.unwrap_or(0) / 100).min(cell.classes.len() - 1);
            cell.classes.get(class).iter().for_each(|count| add(count, 1));
        }
        let slugs = record.slug.iter().map(|slug| (&cell.slugs, slug));
        for (slots, slug) in slugs.chain(record.observed.iter().map(|slug| (&cell.observed, slug))) {
            if !slots.has_counted(slug_key(slug)) {
                slots.count_other();
            }
        }
        let micros = u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = cell.buckets.get(bucket) {
            add(bucket, 1);
        }
        add(&cell.micros, micros);
        if record.retries > 0 {
            add(&cell.retries, u64::from(record.retries));
        }
    }

    pub(super) fn malformed(&self, slug: &'static str) {
        *self.malformed.lock().unwrap_or_else(PoisonError::into_inner).entry(slug).or_default() += 1;
    }

    pub(super) fn attempt(&self, worker: usize, cells: &RouteCells, outcome: Outcome) {
        let Some(cell) = cells.of(worker) else { return };
        let [success, failure, busy, neutral] = &cell.attempts;
        let count = match outcome {
            Outcome::Busy => busy,
            Outcome::Failure => failure,
            Outcome::Neutral => neutral,
            Outcome::Success => success,
        };
        add(count, 1);
    }

    /// Everything, in Prometheus' text.
    pub(super) fn scrape(&self, dropped: Dropped) -> String {
        let mut families = Families::default();
        families.put(&observe::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
        families.put(&observe::ACCESS_LOG_DROPPED, &[], dropped.access_lines as f64);
        families.put(&observe::PROCESS_LOG_DROPPED, &[], dropped.process_lines as f64);
        families.put(&observe::SPANS_DROPPED, &[], dropped.spans as f64);
        for (slug, count) in self.malformed.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            families.put(&observe::MALFORMED, &[slug], *count as f64);
        }
        for ((way, route, target), cells) in self.pairs.read().unwrap_or_else(PoisonError::into_inner).iter()
        {
            pair(&mut families, *way, route, target, cells);
        }
        for gauges in self.gauges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauges.collect(&mut |metric, labels, value| families.put(metric, labels, value));
        }
        let mut all = families.finish();
        all.extend(prometheus::gather());
        let mut text = Vec::new();
        // Families without a value are no error of ours.
        let _ = TextEncoder::new().encode(&all, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

fn pair(families: &mut Families, way: Way, route: &str, target: &str, cells: &RouteCells) {
    let mut buckets = [0_u64; BOUNDS.len() + 1];
    let (mut micros, mut retries) = (0, 0);
    for cell in cells.made() {
        for (key, count) in cell.kinds.each().filter(|(_, count)| *count > 0) {
            let method = usize::try_from(key >> 16).ok().and_then(|at| METHODS.get(at.saturating_sub(1)));
            let status = (key & 0xffff).to_string();
            let labels = [way.as_str(), route, target, method.copied().unwrap_or("other"), &status];
            families.add(&observe::REQUESTS, &labels, count as f64);
        }
        for (class, count) in cell.classes.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                let labels = [way.as_str(), route, target, "other", &format!("{class}xx")];
                families.add(&observe::REQUESTS, &labels, count as f64);
            }
        }
        for (slots, metric) in [(&cell.slugs, &observe::DENIALS), (&cell.observed, &observe::OBSERVED)] {
            for (key, count) in slots.each().filter(|(_, count)| *count > 0) {
                families.add(metric, &[route, slug_of(key)], count as f64);
            }
        }
        for (outcome, count) in OUTCOMES.iter().zip(&cell.attempts) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                families.add(&observe::ATTEMPTS, &[target, outcome], count as f64);
            }
        }
        for (sum, bucket) in buckets.iter_mut().zip(&cell.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        micros += cell.micros.load(Ordering::Relaxed);
        retries += cell.retries.load(Ordering::Relaxed);
    }
    if retries > 0 {
        families.add(&observe::RETRIES, &[route, target], retries as f64);
    }
    families.times(&observe::DURATION, route, &buckets, Duration::from_micros(micros));
}

/// Families in the making, in the order of their names.
#[derive(Default)]
struct Families {
    values: BTreeMap<&'static str, (&'static Metric, BTreeMap<Vec<String>, f64>)>,
    times: BTreeMap<String, ([u64; BOUNDS.len() + 1], Duration)>,
}

impl Families {
    fn put(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let (_, values) = self.values.entry(metric.name).or_insert_with(|| (metric, BTreeMap::new()));
        values.insert(labels.iter().map(|label| (*label).to_owned()).collect(), value);
    }

    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        let (_, values) = self.values.entry(metric.name).or_insert_with(|| (metric, BTreeMap::new()));
        *values.entry(labels.iter().map(|label| (*label).to_owned()).collect()).or_default() += value;
    }

    fn times(
        &mut self,
        _metric: &'static Metric,
        route: &str,
        buckets: &[u64; BOUNDS.len() + 1],
        sum: Duration,
    ) {
        let (known, total) = self.times.entry(route.to_owned()).or_default();
        for (known, bucket) in known.iter_mut().zip(buckets) {
            *known += bucket;
        }
        *total += sum;
    }

    fn finish(self) -> Vec<MetricFamily> {
        let mut all = Vec::new();
        for (metric, values) in self.values.into_values() {
            let counter = metric.name.ends_with("_total");
            let mut family = family(metric, if counter { MetricType::COUNTER } else { MetricType::GAUGE });
            let metrics = values.into_iter().map(|(labels, value)| {
                let mut one = labelled(metric.labels, &labels);
                if counter {
                    let mut count = proto::Counter::default();
                    count.set_value(value);
                    one.set_counter(count);
                } else {
                    let mut gauge = proto::Gauge::default();
                    gauge.set_value(value);
                    one.set_gauge(gauge);
                }
                one
            });
            family.set_metric(metrics.collect());
            all.push(family);
        }
        let mut durations = family(&observe::DURATION, MetricType::HISTOGRAM);
        let metrics: Vec<_> = self
            .times
            .into_iter()
            .filter(|(_, (buckets, _))| buckets.iter().any(|bucket| *bucket > 0))
            .map(|(route, (buckets, sum))| {
                let mut one = labelled(observe::DURATION.labels, &[route]);
                one.set_histogram(histogram(&buckets, sum));
                one
            })
            .collect();
        if !metrics.is_empty() {
            durations.set_metric(metrics);
            all.push(durations);
        }
        all
    }
}

fn family(metric: &Metric, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(kind);
    family
}

fn labelled(names: &[&str], values: &[String]) -> proto::Metric {
    let pairs = names.iter().zip(values).map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.clone());
        pair
    });
    let mut metric = proto::Metric::default();
    metric.set_label(pairs.collect());
    metric
}

fn histogram(buckets: &[u64; BOUNDS.len() + 1], sum: Duration) -> proto::Histogram {
    let mut so_far = 0;
    let counted = BOUNDS.iter().zip(buckets).map(|(bound, count)| {
        so_far += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket.set_cumulative_count(so_far);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(counted.collect());
    histogram.set_sample_count(buckets.iter().sum());
    histogram.set_sample_sum(sum.as_secs_f64());
    histogram
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod tests {
    use http::{Method, Version};

    use super::*;
    use crate::telemetry::an_answered_request;

    fn record(method: &Method) -> Record<'_> {
        Record { method, host: "shop.example", route: "orders", target: "monolith", ..an_answered_request() }
    }

    /// What is told of ours; how many files the process has open is not.
    fn series(metrics: &Metrics) -> Vec<String> {
        let text = metrics.scrape(Dropped::default());
        text.lines().filter(|line| line.starts_with("banyan_")).map(str::to_owned).collect()
    }

    fn word(random: &mut fastrand::Rng) -> String {
        (0..random.usize(1..20)).map(|_| random.alphanumeric()).collect()
    }

    #[test]
    fn a_core_that_counts_nothing_of_a_route_keeps_no_cell_for_it() {
        let metrics = Metrics::new(2);
        let cells = metrics.cells(Way::Edge, "orders", "monolith");
        assert_eq!(cells.made().count(), 0);
        metrics.attempt(1, &cells, Outcome::Success);
        metrics.attempt(1, &cells, Outcome::Success);
        assert_eq!(cells.made().count(), 1);
        let line = "banyan_attempts_total{target=\"monolith\",outcome=\"success\"} 2";
        assert!(series(&metrics).contains(&line.to_owned()));
    }

    #[test]
    fn what_runs_and_what_was_dropped_is_told_from_the_start() {
        let told = Metrics::new(1).scrape(Dropped { access_lines: 1, process_lines: 2, spans: 3 });
        for line in [
            concat!("banyan_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "banyan_access_log_dropped_total 1",
            "banyan_process_log_dropped_total 2",
            "banyan_spans_dropped_total 3",
        ] {
            assert!(told.lines().any(|told| told == line), "{line} in {told}");
        }
    }

    #[test]
    fn nothing_a_client_chooses_makes_a_series() {
        let (metrics, mut random) = (Metrics::new(2), fastrand::Rng::with_seed(7));
        let cells = metrics.cells(Way::Edge, "orders", "monolith");
        for method in METHODS {
            // The last is one that nobody knows.
            metrics.count(0, &cells, &record(&method.parse().unwrap()));
        }
        let before = series(&metrics).len();
        let mut counted = METHODS.len();
        for n in 0..3000 {
            let versions =
                [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3];
            let method = Method::from_bytes(word(&mut random).as_bytes()).unwrap();
            let words: Vec<_> = (0..5).map(|_| word(&mut random)).collect();
            let record = Record {
                version: versions[random.usize(..versions.len())],
                host: &words[0],
                path: &words[1],
                request_id: &words[2],
                client: Some(random.u32(..).to_be_bytes().into()),
                caller: Some(&words[3]),
                user_agent: Some(words[4].as_bytes()),
                trace: Some((random.u128(..), random.u64(..))),
                bytes_in: random.u64(..),
                ..record(&method)
            };
            metrics.count(n % 2, &cells, &record);
            counted += 1;
        }
        let after = series(&metrics);
        assert_eq!(after.len(), before, "{after:#?}");
        let count = format!("banyan_request_duration_seconds_count{{route=\"orders\"}} {counted}");
        assert!(after.contains(&count), "{after:#?}");
    }

    #[test]
    fn whatever_a_target_answers_a_route_has_so_many_series_and_counts_every_request() {
        let metrics = Metrics::new(1);
        let cells = metrics.cells(Way::Edge, "orders", "monolith");
        for method in METHODS {
            let method = method.parse().unwrap();
            for status in 200..600 {
                metrics.count(0, &cells, &Record { status: Some(status), ..record(&method) });
            }
        }
        let series = series(&metrics);
        let of_requests = series.iter().filter(|line| line.starts_with("banyan_requests_total{"));
        let counts: Vec<usize> =
            of_requests.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!((counts.len(), counts.iter().sum()), (KINDS - 1 + 4, 400 * METHODS.len()), "{series:#?}");
        let failures = |line: &String| line.contains("method=\"other\",status=\"5xx\"");
        assert!(series.iter().any(failures), "a failure hides behind nothing: {series:#?}");
    }
}
