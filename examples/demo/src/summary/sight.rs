//! A look at the whole shop: every proxy's numbers, at one moment.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::metrics::{Page, Sample};
use crate::shop::{GATEWAY_ADMIN, SERVICES, Service};

const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The numbers of one moment.
#[derive(Clone, Debug)]
pub struct Sight {
    at: Instant,
    gateway: Page,
    sidecars: Vec<Page>,
}

/// What one program did between two moments.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Its name.
    pub name: &'static str,
    /// Requests a second.
    pub per_second: f64,
    /// Answers with 5xx, or none, a second.
    pub errors: f64,
    /// The time 99 of 100 answers took at most, in milliseconds.
    pub p99: Option<f64>,
}

impl Sight {
    /// Asks all proxies. Those that do not answer have counted nothing.
    pub async fn now(client: &reqwest::Client) -> Self {
        let ask = async |port: u16| {
            let url = format!("http://127.0.0.1:{port}/metrics");
            let answer = client.get(url).timeout(ANSWER_WITHIN).send().await.ok()?;
            Some(Page::parse(&answer.text().await.ok()?))
        };
        let (gateway, sidecars) =
            tokio::join!(ask(GATEWAY_ADMIN), join_all(SERVICES.iter().map(|service| ask(service.admin()))));
        let sidecars = sidecars.into_iter().map(Option::unwrap_or_default).collect();
        Self { at: Instant::now(), gateway: gateway.unwrap_or_default(), sidecars }
    }

    /// What came to each since `before`: to the gateway, the monolith, the services.
    pub fn paces(&self, before: &Self) -> Vec<Pace> {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.1);
        let pace = |name,
                    now: &Page,
                    before: &Page,
                    fits: &dyn Fn(&Sample) -> bool,
                    timed: &dyn Fn(&Sample) -> bool| {
            let since = |fits: &dyn Fn(&Sample) -> bool| {
                let of = |page: &Page| page.sum("banyan_requests_total", fits);
                (of(now) - of(before)).max(0.0) / seconds
            };
            let buckets = now.buckets_since(before, "banyan_request_duration_seconds", timed);
            Pace {
                name,
                per_second: since(fits),
                errors: since(&|sample| fits(sample) && is_error(sample)),
                p99: buckets.quantile(0.99).map(|seconds| seconds * 1e3),
            }
        };
        let mut paces = vec![
            pace("gateway", &self.gateway, &before.gateway, &|_| true, &|_| true),
            // Nobody stands beside the monolith and takes the time; all we know is what the gateway sends there.
            pace(
                "legacy-shop",
                &self.gateway,
                &before.gateway,
                &|sample| sample.label("target") == "legacy",
                &|_| false,
            ),
        ];
        for (service, (now, before)) in SERVICES.iter().zip(self.sidecars.iter().zip(&before.sidecars)) {
            let inbound = |sample: &Sample| sample.label("direction") == "inbound";
            paces.push(pace(service.name, now, before, &inbound, &|sample| is_inbound(service, sample)));
        }
        paces
    }

    /// The breakers that are not closed: whose, before what, and how they stand.
    pub fn breakers(&self) -> Vec<String> {
        let names = std::iter::once("gateway").chain(SERVICES.iter().map(|service| service.name));
        let pages = std::iter::once(&self.gateway).chain(&self.sidecars);
        let mut open = Vec::new();
        for (name, page) in names.zip(pages) {
            for sample in page.samples("banyan_breaker_state", |sample| sample.value() > 0.0) {
                let state = if sample.value() > 1.0 { "open" } else { "half-open" };
                open.push(format!("{name}: {} is {state}", sample.label("name")));
            }
        }
        open
    }

    /// The time in which this share of what came to a route of a service's sidecar since `before` was answered, in ms.
    pub fn quantile(&self, before: &Self, service: &str, route: &str, share: f64) -> Option<f64> {
        let at = SERVICES.iter().position(|known| known.name == service)?;
        let (now, before) = (self.sidecars.get(at)?, before.sidecars.get(at)?);
        let fits = |sample: &Sample| sample.label("route") == route;
        let buckets = now.buckets_since(before, "banyan_request_duration_seconds", fits);
        buckets.quantile(share).map(|seconds| seconds * 1e3)
    }

    /// How many requests the gateway had answered by this target.
    pub fn answered_by(&self, target: &str) -> f64 {
        self.gateway.sum("banyan_requests_total", |sample| sample.label("target") == target)
    }

    /// Sum of a counter of the gateway.
    pub fn at_gateway(&self, name: &str, fits: impl Fn(&Sample) -> bool) -> f64 {
        self.gateway.sum(name, fits)
    }

    /// Sum of a counter of a service's sidecar.
    pub fn at_sidecar(&self, service: &str, name: &str, fits: impl Fn(&Sample) -> bool) -> f64 {
        let at = SERVICES.iter().position(|known| known.name == service);
        at.and_then(|at| self.sidecars.get(at)).map(|page| page.sum(name, fits)).unwrap_or_default()
    }
}

fn is_error(sample: &Sample) -> bool {
    !sample.label("status").starts_with(['1', '2', '3', '4'])
}

/// A sidecar takes the time of both its doors; those of the outbound one are named after whom the app calls.
fn is_inbound(service: &Service, sample: &Sample) -> bool {
    service.others().all(|other| other.name != sample.label("route"))
}
