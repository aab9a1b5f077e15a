//! What there is to see of a running gateway: for metrics and for the admin pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use policies::observe::{self, Metric};
use policies::plan::{Action, Plan, Route, Side};
use policies::request::Priority;
use policies::resilience::breaker::Phase;
use serde_json::{Value, json};

use crate::keys::Keys;
use crate::listen::{Certificates, Counters, Permits};
use crate::reload::Plans;
use crate::store::Store;
use crate::telemetry::Gauges;
use crate::upstream::Upstreams;

/// Everything that can be looked at.
pub struct Sight {
    /// The plans over time.
    pub plans: Arc<Plans>,
    /// Where targets are.
    pub upstreams: Arc<Upstreams>,
    /// Issuers' keys.
    pub keys: Arc<Keys>,
    /// What counts shared limits.
    pub store: Arc<Store>,
    /// How many connections are open.
    pub permits: Arc<Permits>,
    /// What became of them.
    pub counters: Arc<Counters>,
    /// The certificates that are shown.
    pub certificates: Option<Arc<Certificates>>,
}

/// The sides of a route: targets with the breakers before them.
fn sides(route: &Route) -> Vec<&Side> {
    match &route.action {
        Action::Answer(_) | Action::Redirect(_) => Vec::new(),
        Action::Forward(side) => vec![side],
        Action::Migrate(migration) => vec![&migration.from, &migration.to],
    }
}

fn breakers(plan: &Plan) -> Vec<(String, Phase, Value)> {
    let now = crate::clock::tick();
    let mut all = Vec::new();
    for route in plan.routes() {
        for side in sides(route) {
            let Some((breaker, _)) = &side.breaker else { continue };
            let seen = breaker.observe(now);
            let told = json!({
                "state": seen.phase.as_str(), "failed": seen.failed, "calls": seen.calls,
                "reopens_in_ms": u64::try_from(seen.reopens_in.as_millis()).unwrap_or(u64::MAX),
            });
            all.push((format!("{}:{}", route.name, side.target.name), seen.phase, told));
        }
    }
    all
}

impl Sight {
    /// The targets: endpoints, breakers, room.
    pub fn targets(&self) -> Value {
        let (plan, now) = (self.plans.current(), crate::clock::tick());
        let breakers: serde_json::Map<_, _> =
            breakers(&plan).into_iter().map(|(name, _, told)| (name, told)).collect();
        let targets: serde_json::Map<_, _> = self
            .upstreams
            .all()
            .iter()
            .map(|upstream| {
                let endpoints = upstream.endpoints();
                let each = endpoints.set.endpoints().iter().map(|endpoint| {
                    let state = &endpoint.state;
                    json!({
                        "address": endpoint.listed.name,
                        "well": !state.is_failed(),
                        "ejected": state.is_ejected(now),
                        "in_flight": state.in_flight(),
                        "latency_ms": state.latency(now, endpoints.set.settings()).as_secs_f64() * 1000.0,
                    })
                });
                (upstream.name.clone(), json!({ "endpoints": each.collect::<Vec<_>>() }))
            })
            .collect();
        json!({ "targets": targets, "breakers": breakers, "keys": self.keys() })
    }

    fn keys(&self) -> Value {
        let each = self.keys.statuses().into_iter().map(|(name, status)| {
            let told = json!({
                "keys": status.keys, "age_s": status.age.map(|age| age.as_secs()), "failures": status.failures,
                "last_failure": status.last_failure.map(|failure| failure.to_string()),
            });
            (name, told)
        });
        Value::Object(each.collect())
    }

    /// The limits of the plan in force, and the store that counts the shared ones.
    pub fn limits(&self) -> Value {
        let plan = self.plans.current();
        let limits = plan.routes().flat_map(|route| {
            route.limits.iter().map(|limit| {
                json!({
                    "route": &*route.name, "name": limit.name, "rate": limit.rate.to_string(),
                    "shared": limit.shared.is_some(),
                })
            })
        });
        json!({ "limits": limits.collect::<Vec<_>>(), "store": self.store.status() })
    }

    /// What became of connections.
    pub fn connections(&self) -> Value {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        json!({
            "open": self.permits.open(),
            "accepted": count(&counters.accepted),
            "refused_global": count(&counters.refused_global),
            "refused_address": count(&counters.refused_address),
            "handshake_failed": count(&counters.handshake_failed),
            "proxy_header_bad": count(&counters.proxy_header_bad),
            "accept_failed": count(&counters.accept_failed),
        })
    }
}

impl Gauges for Sight {
    fn collect(&self, out: &mut dyn FnMut(&'static Metric, &[&str], f64)) {
        let status = self.plans.status();
        out(&observe::CONFIG_GENERATION, &[], status.generation as f64);
        out(&observe::CONFIG_GOOD, &[], f64::from(u8::from(status.last_failure.is_none())));
        out(&observe::CONFIG_FAILURES, &[], status.failures as f64);
        out(&observe::CONNECTIONS, &[], self.permits.open() as f64);
        if let Value::Object(counts) = self.connections() {
            for (outcome, count) in counts.iter().filter(|(name, _)| *name != "open") {
                out(&observe::CONNECTIONS_TOTAL, &[outcome], count.as_f64().unwrap_or_default());
            }
        }
        let plan = self.plans.current();
        for (name, phase, _) in breakers(&plan) {
            let state = match phase {
                Phase::Closed => 0.0,
                Phase::HalfOpen => 1.0,
                Phase::Open => 2.0,
            };
            out(&observe::BREAKER_STATE, &[&name], state);
        }
        for target in plan.called() {
            if let Some((bulkhead, _)) = &target.bulkhead {
                out(&observe::BULKHEAD_INSIDE, &[&target.name], f64::from(bulkhead.inside()));
                out(&observe::BULKHEAD_WAITING, &[&target.name], f64::from(bulkhead.waiting()));
            }
            if let Some((limiter, _)) = &target.overload {
                out(&observe::OVERLOAD_LIMIT, &[&target.name], f64::from(limiter.limit()));
                for priority in [Priority::Critical, Priority::Normal, Priority::Sheddable] {
                    let shed = limiter.shed(priority) as f64;
                    out(&observe::SHED, &[&target.name, priority.as_str()], shed);
                }
            }
        }
        if let Some(answers) = self.store.status().answers() {
            out(&observe::STORE_UP, &[], f64::from(u8::from(answers)));
        }
        self.endpoints(out);
        for (name, expires) in self.certificates.iter().flat_map(|certificates| certificates.expiries()) {
            out(&observe::CERTIFICATE_EXPIRY, &[&name], expires as f64);
        }
        for (name, keys) in self.keys.statuses() {
            out(&observe::KEYS_AGE, &[&name], keys.age.map_or(-1.0, |age| age.as_secs_f64()));
            out(&observe::KEYS_FAILURES, &[&name], f64::from(keys.failures));
        }
    }
}

impl Sight {
    fn endpoints(&self, out: &mut dyn FnMut(&'static Metric, &[&str], f64)) {
        let now = crate::clock::tick();
        for upstream in self.upstreams.all() {
            let endpoints = upstream.endpoints();
            let count = |of: &dyn Fn(&policies::balance::Endpoint) -> bool| {
                endpoints.set.endpoints().iter().filter(|endpoint| of(endpoint)).count() as f64
            };
            let failed = count(&|endpoint| endpoint.state.is_failed());
            let ejected = count(&|endpoint| endpoint.state.is_ejected(now) && !endpoint.state.is_failed());
            let serving = count(&|endpoint| endpoint.state.in_service(now));
            for (state, value) in [("failed", failed), ("ejected", ejected), ("serving", serving)] {
                out(&observe::ENDPOINTS, &[&upstream.name, state], value);
            }
        }
    }
}
