//! A plan with what the shell keeps beside it: for each target where it is, for each route where it is counted. Made once
//! per plan, so that no request looks anything up by name.

use std::collections::HashMap;
use std::sync::Arc;

use policies::plan::{Plan, Route, Target};

use crate::telemetry::RouteCells;
use crate::upstream::Upstream;

/// A plan ready for requests.
pub struct Planned {
    /// What is decided by.
    pub plan: Arc<Plan>,
    upstreams: HashMap<usize, Arc<Upstream>>,
    cells: HashMap<(usize, usize), RouteCells>,
    unrouted: RouteCells,
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
        cells: impl Fn(&str, &str) -> RouteCells,
    ) -> Self {
        let upstreams = plan.targets.iter();
        let upstreams = upstreams.filter_map(|target| Some((place(target), upstream(target)?))).collect();
        let mut counted = HashMap::new();
        for route in &plan.edge.routes {
            for target in targets(route) {
                counted.insert((place(route), place(target)), cells(&route.name, &target.name));
            }
            counted.insert((place(route), 0), cells(&route.name, ""));
        }
        Self { plan, upstreams, cells: counted, unrouted: cells("", "") }
    }

    /// Where a target is.
    pub fn upstream(&self, target: &Arc<Target>) -> Option<&Arc<Upstream>> {
        self.upstreams.get(&place(target))
    }

    /// Where a request is counted.
    pub fn cells(&self, route: Option<&Arc<Route>>, target: Option<&Arc<Target>>) -> &RouteCells {
        let Some(route) = route else { return &self.unrouted };
        let target = target.map_or(0, place);
        self.cells.get(&(place(route), target)).unwrap_or(&self.unrouted)
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
