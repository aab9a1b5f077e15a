//! A plan with what the shell keeps beside it: for each target where it is, for each route where it is counted. Made once
//! per plan, so that no request looks anything up by name.

use std::collections::HashMap;
use std::sync::Arc;

use policies::plan::{Plan, Route, Target, Way};

use crate::telemetry::RouteCells;
use crate::upstream::Upstream;

/// A plan ready for requests.
pub struct Planned {
    /// What is decided by.
    pub plan: Arc<Plan>,
    upstreams: HashMap<usize, Arc<Upstream>>,
    cells: HashMap<(usize, usize), RouteCells>,
    unrouted: HashMap<Way, RouteCells>,
}

/// Targets and routes live as long as their plan: where they lie is a name that costs nothing to compare.
fn place<T>(thing: &Arc<T>) -> usize {
    Arc::as_ptr(thing).addr()
}

impl Planned {
    /// Joins a plan with the upstreams of its targets and the counters of its routes.
    pub fn new(
        plan: Arc<Plan>,
        upstream: impl Fn(&Target) -> Option<Arc<Upstream>>,
        cells: impl Fn(Way, &str, &str) -> RouteCells,
    ) -> Self {
        let upstreams = plan.called();
        let upstreams = upstreams.filter_map(|target| Some((place(target), upstream(target)?))).collect();
        let mut counted = HashMap::new();
        let mut unrouted = HashMap::new();
        for (way, door) in plan.doors() {
            for route in &door.routes {
                for target in targets(route) {
                    counted.insert((place(route), place(target)), cells(way, &route.name, &target.name));
                }
                counted.insert((place(route), 0), cells(way, &route.name, ""));
            }
            unrouted.insert(way, cells(way, "", ""));
        }
        Self { plan, upstreams, cells: counted, unrouted }
    }

    /// Where a target is.
    pub fn upstream(&self, target: &Arc<Target>) -> Option<&Arc<Upstream>> {
        self.upstreams.get(&place(target))
    }

    /// Is the app beside us well, as far as anybody has asked? There may be none.
    pub fn app_is_well(&self) -> bool {
        let upstream = self.plan.app.as_ref().and_then(|app| self.upstream(app));
        upstream.is_none_or(|upstream| {
            let endpoints = upstream.endpoints();
            endpoints.set.endpoints().iter().any(|endpoint| !endpoint.state.is_failed())
        })
    }

    /// Where a request is counted.
    pub fn cells(
        &self,
        way: Way,
        route: Option<&Arc<Route>>,
        target: Option<&Arc<Target>>,
    ) -> Option<&RouteCells> {
        let of = |route: &Arc<Route>| self.cells.get(&(place(route), target.map_or(0, place)));
        route.and_then(of).or_else(|| self.unrouted.get(&way))
    }
}

/// Every target a route may ask.
fn targets(route: &Route) -> impl Iterator<Item = &Arc<Target>> {
    use policies::plan::{Action, FallbackAnswer};
    let sides = match &route.action {
        Action::Answer(_) | Action::Redirect(_) => [None, None],
        Action::Forward(side) => [Some(side), None],
        Action::Migrate(migration) => [Some(&migration.from), Some(&migration.to)],
    };
    let fallback = route.fallback.as_ref().and_then(|fallback| match &fallback.give {
        FallbackAnswer::Target(side) => Some(side),
        FallbackAnswer::Fixed(_) | FallbackAnswer::LastGood(_) => None,
    });
    sides.into_iter().flatten().chain(fallback).map(|side| &side.target)
}
