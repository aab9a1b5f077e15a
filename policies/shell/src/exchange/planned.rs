//! A plan with what the shell keeps beside it: for each target where it is, for each route where it is counted. Made once
//! per plan, so that no request looks anything up by name.

use std::sync::Arc;

use policies::plan::{Door, Plan, Route, Target, Way};
use smallvec::SmallVec;

use crate::telemetry::RouteCells;
use crate::upstream::Upstream;

/// A plan ready for requests.
pub struct Planned {
    /// What is decided by.
    pub plan: Arc<Plan>,
    /// By the target's number.
    upstreams: Vec<(Arc<Target>, Option<Arc<Upstream>>)>,
    edge: Counted,
    inbound: Counted,
    outbound: Counted,
}

/// Where the requests of one door are counted.
struct Counted {
    /// By the route's number; the last one is also for those that come after it. All but the first thousands are counted
    /// together, and of many routes the next one is in no cache.
    routes: Vec<OfRoute>,
    unrouted: RouteCells,
}

/// Where the requests of one route are counted.
#[derive(PartialEq)]
struct OfRoute {
    /// By the number of the target that was asked. Most routes know one.
    targets: SmallVec<[(usize, RouteCells); 1]>,
    untargeted: RouteCells,
}

impl Planned {
    /// Joins a plan with the upstreams of its targets and the counters of its routes.
    pub fn new(
        plan: Arc<Plan>,
        upstream: impl Fn(&Target) -> Option<Arc<Upstream>>,
        cells: impl Fn(Way, &str, &str) -> RouteCells,
    ) -> Self {
        let upstreams = plan.called().map(|target| (target.clone(), upstream(target))).collect();
        let counted = |way| Counted::new(plan.door(way), |route, target| cells(way, route, target));
        let (edge, inbound, outbound) = (counted(Way::Edge), counted(Way::Inbound), counted(Way::Outbound));
        Self { plan, upstreams, edge, inbound, outbound }
    }

    /// Where a target of this plan is. Another plan's may have the same number, and be somewhere else.
    pub fn upstream(&self, target: &Target) -> Option<&Arc<Upstream>> {
        let (ours, upstream) = self.upstreams.get(target.number)?;
        upstream.as_ref().filter(|_| std::ptr::eq(&**ours, target))
    }

    /// Is the app beside us well, as far as anybody has asked? There may be none.
    pub fn app_is_well(&self) -> bool {
        let upstream = self.plan.app.as_ref().and_then(|app| self.upstream(app));
        upstream.is_none_or(|upstream| {
            let endpoints = upstream.endpoints();
            endpoints.set.endpoints().iter().any(|endpoint| !endpoint.state.is_failed())
        })
    }

    /// Where a request is counted that came to this door, to this route of this plan and to this target.
    pub fn cells(&self, way: Way, route: Option<&Route>, target: Option<&Target>) -> &RouteCells {
        let counted = match way {
            Way::Edge => &self.edge,
            Way::Inbound => &self.inbound,
            Way::Outbound => &self.outbound,
        };
        route.and_then(|route| counted.of(route)?.cells(target)).unwrap_or(&counted.unrouted)
    }
}

impl Counted {
    fn new(door: &Door, cells: impl Fn(&str, &str) -> RouteCells) -> Self {
        let of = |route: &Arc<Route>| OfRoute {
            targets: targets(route).map(|target| (target.number, cells(&route.name, &target.name))).collect(),
            untargeted: cells(&route.name, ""),
        };
        let mut routes: Vec<_> = door.routes.iter().map(of).collect();
        while matches!(routes.as_slice(), [.., before, last] if before == last) {
            routes.pop();
        }
        routes.shrink_to_fit();
        Self { routes, unrouted: cells("", "") }
    }

    fn of(&self, route: &Route) -> Option<&OfRoute> {
        self.routes.get(route.number).or(self.routes.last())
    }
}

impl OfRoute {
    fn cells(&self, target: Option<&Target>) -> Option<&RouteCells> {
        let Some(target) = target else { return Some(&self.untargeted) };
        self.targets.iter().find(|(number, _)| *number == target.number).map(|(_, cells)| cells)
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod tests {
    use policies::document::{Document, Source};
    use policies::plan::Materials;
    use policies::state::{Living, Room};

    use super::*;
    use crate::telemetry::Metrics;
    use crate::upstream::{ResolverSettings, Roots, Unable, Upstreams};

    fn plan(text: &str) -> Arc<Plan> {
        let document = Document::load(&[Source::new("shop.yaml", format!("version: 1\n{text}"))]).unwrap();
        let living = Arc::new(Living::new(&Room::seeded([1, 2, 3, 4])));
        Arc::new(Plan::compile(&document, &Materials::default(), &living, 1).unwrap())
    }

    fn planned(plan: &Arc<Plan>, metrics: &Metrics) -> Planned {
        let house = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let unable = Unable { spiffe: None, tcp: None, send_proxy: None };
        let roots = Arc::new(Roots::load(None).unwrap());
        let upstreams = Upstreams::new(house.handle().clone(), roots, unable, &ResolverSettings::default());
        upstreams.apply(plan, upstreams.prepare(plan).unwrap());
        Planned::new(plan.clone(), |target| upstreams.of(target), |way, r, t| metrics.cells(way, r, t))
    }

    const THREE: &str = "
targets: { new: { url: http://192.0.2.1 }, old: { url: http://192.0.2.2 }, spare: { url: http://192.0.2.3 } }
routes:
- { name: orders, path: /orders, migrate: { from: old, to: new, share: 10% }, fallback: { to: spare } }
- { name: health, path: /health, answer: { status: 200 } }
";

    #[test]
    fn every_route_and_each_of_its_targets_is_counted_apart() {
        let (plan, metrics) = (plan(THREE), Metrics::new(1));
        let planned = planned(&plan, &metrics);
        for route in &plan.edge.routes {
            let asked = [None].into_iter().chain(targets(route).map(Some));
            for target in asked {
                let cells = planned.cells(Way::Edge, Some(route), target.map(|target| &**target));
                let name = target.map_or("", |target| &target.name);
                assert!(*cells == metrics.cells(Way::Edge, &route.name, name), "{} {name}", route.name);
            }
        }
        assert_eq!(targets(&plan.edge.routes[0]).count(), 3);
        assert!(*planned.cells(Way::Edge, None, None) == metrics.cells(Way::Edge, "", ""));
        assert!(planned.cells(Way::Edge, None, None) != planned.cells(Way::Inbound, None, None));
    }

    #[test]
    fn a_target_is_where_its_own_plan_says_and_not_where_another_plan_says() {
        let (plan, next) =
            (plan(THREE), self::plan("targets: { other: { url: http://192.0.2.9 } }\nroutes: []\n"));
        let planned = planned(&plan, &Metrics::new(1));
        for target in plan.called() {
            assert_eq!(planned.upstream(target).unwrap().name, target.name);
        }
        let strangers: Vec<_> = next.called().collect();
        assert_eq!((strangers.len(), strangers[0].number), (1, 0));
        assert!(planned.upstream(strangers[0]).is_none());
    }
}
