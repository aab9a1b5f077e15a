//! Targets, compiled: where they are, how they are treated, and their living state.

use std::sync::Arc;
use std::time::Duration;

use super::Mode;
use crate::balance;
use crate::document::policy::Breaker as WrittenBreaker;
use crate::document::target::{
    Balance, Dns, Health as WrittenHealth, HostSent, Kubernetes, Pool as WrittenPool, Protocol, ProxyVersion,
    Target as Written, Timeouts as WrittenTimeouts, UpstreamTls, Url,
};
use crate::document::words::By;
use crate::overload;
use crate::resilience::{breaker, bulkhead, outlier};
use crate::state::Living;
use crate::units::Share;

/// A target.
#[derive(Debug)]
pub struct Target {
    /// Its name in the document.
    pub name: String,
    /// Its place among all that the plan calls: whoever keeps something beside each of them finds it without a search.
    pub number: usize,
    /// Where it is.
    pub whereabouts: Whereabouts,
    /// TLS towards it, as written; the shell reads the files.
    pub tls: Option<UpstreamTls>,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// How it is asked whether it is well.
    pub health: Option<Health>,
    /// How its endpoints share the work.
    pub balance: balance::Settings,
    /// What keeps a caller on one endpoint, if the balance is by hash.
    pub hash_by: Option<By>,
    /// Concurrency, queue and wait.
    pub bulkhead: Option<(Arc<bulkhead::Bulkhead>, Mode)>,
    /// Adaptive concurrency.
    pub overload: Option<(Arc<overload::Limiter>, Mode)>,
    /// Leaving out single bad endpoints.
    pub outlier: (outlier::Settings, Mode),
    /// How long the steps of a call may take.
    pub timeouts: Timeouts,
    /// Connections kept open.
    pub pool: Pool,
    /// May writes be shadowed to it?
    pub dry_runs: bool,
    /// Which Host it sees.
    pub host: HostSent,
    /// The PROXY header sent to it.
    pub send_proxy: Option<ProxyVersion>,
    pub(super) breaker: Option<WrittenBreaker>,
}

/// Where a target's endpoints come from.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "as in the document")]
pub enum Whereabouts {
    Dns(Dns),
    Endpoints(Vec<Url>),
    Kubernetes(Kubernetes),
}

/// Asking an endpoint whether it is well.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "as in the document")]
pub struct Health {
    pub path: Option<String>,
    pub every: Duration,
    pub timeout: Duration,
    pub fail_after: u32,
    pub pass_after: u32,
    /// None listed: 200 to 299.
    pub status: Vec<u16>,
}

impl Health {
    /// Does this status say that the endpoint is well?
    pub fn takes(&self, status: u16) -> bool {
        if self.status.is_empty() { (200..300).contains(&status) } else { self.status.contains(&status) }
    }
}

/// How long the steps of a call may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "as in the document")]
pub struct Timeouts {
    pub connect: Duration,
    /// `None`: what the deadline leaves.
    pub answer: Option<Duration>,
    pub idle: Duration,
}

/// Connections kept open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "as in the document")]
pub struct Pool {
    pub idle: u32,
    pub idle_for: Duration,
    pub age: Duration,
}

impl Target {
    pub(super) fn compile(number: usize, name: &str, written: &Written, living: &Living) -> Self {
        let (balance, hash_by) = balance(written);
        Self {
            name: name.into(),
            number,
            whereabouts: whereabouts(written),
            tls: written.tls.clone(),
            protocol: written.protocol.unwrap_or_default(),
            health: written.health.as_ref().map(health),
            balance,
            hash_by,
            bulkhead: bulkhead(name, written, living),
            overload: overload(name, written, living),
            outlier: outlier(written),
            timeouts: timeouts(written.timeouts.as_ref()),
            pool: pool(written.pool.as_ref()),
            dry_runs: written.dry_runs,
            host: written.host.unwrap_or_default(),
            send_proxy: written.send_proxy,
            breaker: written.breaker.clone(),
        }
    }
}

fn whereabouts(written: &Written) -> Whereabouts {
    match (&written.dns, &written.kubernetes) {
        (Some(dns), _) => Whereabouts::Dns(dns.clone()),
        (None, Some(kubernetes)) => Whereabouts::Kubernetes(kubernetes.clone()),
        (None, None) => {
            Whereabouts::Endpoints(written.url.iter().chain(&written.endpoints).cloned().collect())
        }
    }
}

fn health(written: &WrittenHealth) -> Health {
    Health {
        path: written.path.clone(),
        every: written.every.map_or(Duration::from_secs(5), |wait| wait.0),
        timeout: written.timeout.map_or(Duration::from_secs(1), |wait| wait.0),
        fail_after: written.fail_after.unwrap_or(3),
        pass_after: written.pass_after.unwrap_or(2),
        status: written.status.clone().unwrap_or_default().0,
    }
}

fn balance(written: &Written) -> (balance::Settings, Option<By>) {
    let (policy, by) = match written.balance.clone().unwrap_or_default() {
        Balance::Hash(by) => (balance::Policy::Hash, Some(by)),
        Balance::LeastLoad => (balance::Policy::LeastLoad, None),
        Balance::RoundRobin => (balance::Policy::RoundRobin, None),
    };
    let slow_start = written.slow_start.map_or(Duration::ZERO, |wait| wait.0);
    (balance::Settings { policy, slow_start, ..balance::Settings::default() }, by)
}

fn bulkhead(name: &str, written: &Written, living: &Living) -> Option<(Arc<bulkhead::Bulkhead>, Mode)> {
    let written = written.bulkhead.as_ref()?;
    let settings = bulkhead::Settings {
        max: written.max,
        queue: written.queue,
        wait: written.wait.map_or(Duration::from_millis(100), |wait| wait.0),
    };
    let state = living.keep("bulkhead", name, &settings, || bulkhead::Bulkhead::new(settings));
    Some((state, written.mode.unwrap_or_default()))
}

fn overload(name: &str, written: &Written, living: &Living) -> Option<(Arc<overload::Limiter>, Mode)> {
    let written = written.overload.as_ref()?;
    let (min, max) = (written.min.unwrap_or(4), written.max.unwrap_or(1000));
    let settings = overload::Settings {
        min,
        max,
        initial: written.start.unwrap_or(50).clamp(min, max.max(min)),
        ..overload::Settings::default()
    };
    let state = living.keep("overload", name, &settings, || overload::Limiter::new(settings));
    Some((state, written.mode.unwrap_or_default()))
}

fn outlier(written: &Written) -> (outlier::Settings, Mode) {
    let written = written.outlier.clone().unwrap_or_default();
    let defaults = outlier::Settings::default();
    let settings = outlier::Settings {
        in_a_row: written.failures.unwrap_or(5),
        eject_for: written.out_for.map_or(Duration::from_secs(10), |wait| wait.0),
        eject_max: written.out_for_max.map_or(Duration::from_secs(300), |wait| wait.0),
        max_ejected: written.max_out.map_or(0.5, Share::ratio),
        ..defaults
    };
    (settings, written.mode.unwrap_or_default())
}

fn timeouts(written: Option<&WrittenTimeouts>) -> Timeouts {
    Timeouts {
        connect: written.and_then(|w| w.connect).map_or(Duration::from_secs(2), |wait| wait.0),
        answer: written.and_then(|w| w.answer).map(|wait| wait.0),
        idle: written.and_then(|w| w.idle).map_or(Duration::from_secs(30), |wait| wait.0),
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: 128, idle_for: Duration::from_secs(60), age: Duration::from_secs(3600) }
    }
}

fn pool(written: Option<&WrittenPool>) -> Pool {
    let usual = Pool::default();
    Pool {
        idle: written.and_then(|w| w.idle).unwrap_or(usual.idle),
        idle_for: written.and_then(|w| w.idle_for).map_or(usual.idle_for, |wait| wait.0),
        age: written.and_then(|w| w.age).map_or(usual.age, |wait| wait.0),
    }
}

/// The breaker of a target, or of one route to it, with the state it had.
pub(super) fn breaker(
    name: &str,
    written: &WrittenBreaker,
    living: &Living,
) -> (Arc<breaker::Breaker>, Mode) {
    let defaults = breaker::Settings::default();
    let settings = breaker::Settings {
        open_at: written.open_at.share.ratio(),
        volume: written.open_at.volume,
        window: written.open_at.window,
        stay_open: written.stay_open.map_or(defaults.stay_open, |wait| wait.0),
        probes: written.probes.unwrap_or(3),
    };
    let state = living.keep("breaker", name, &settings, || breaker::Breaker::new(settings));
    (state, written.mode.unwrap_or_default())
}
