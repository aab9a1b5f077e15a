//! The doors of a plan: the routes of one direction, from blocks that name each other's defaults.

use std::sync::Arc;

use super::{Notion, Target, route};
use crate::document::OneOrMany;
use crate::document::policy::Policies;
use crate::document::route::Route as WrittenRoute;
use crate::document::words::{Host as HostWord, Name};
use crate::plan::Route;
use crate::route::{Pattern, Table};

/// The routes of one direction.
#[derive(Debug)]
pub struct Door {
    /// Which of them speaks for a request.
    pub table: Table,
    /// They, in the table's order.
    pub routes: Vec<Arc<Route>>,
}

pub(super) fn edge(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("routes");
    for written in &document.routes.0 {
        let own = notion.whole(written.policies(), &written.profiles);
        let name = written.name.as_ref().map_or("", Name::as_str);
        making.add(notion, &format!("routes/{name}"), written, own, None);
    }
    making.door(notion)
}

/// The block's own policies hold for everything; its routes say more about some of it.
pub(super) fn inbound(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("inbound");
    if let Some(service) = &document.service {
        let app = notion.app.clone()?;
        let block = document.inbound.clone().unwrap_or_default();
        // The block is the document's own, so that its policies live as long as the others.
        let (own, routes) = match &document.inbound {
            Some(inbound) => (notion.whole(inbound.policies(), &block.profiles), inbound.routes.0.as_slice()),
            None => (Policies::default(), [].as_slice()),
        };
        making.block(notion, "inbound", &service.name, &[], own, routes, &app);
    }
    making.door(notion)
}

pub(super) fn outbound(notion: &mut Notion<'_>) -> Option<Door> {
    let document = notion.document;
    let mut making = Making::new("calls");
    for (name, call) in &document.calls.0 {
        let Some(target) = notion.target(name.as_str()) else { continue };
        let own = notion.whole(call.policies(), &call.profiles);
        let named = [HostWord(name.0.clone())];
        let hosts = if call.host.0.is_empty() { &named[..] } else { &call.host.0[..] };
        making.block(notion, &format!("calls/{name}"), name, hosts, own, &call.routes.0, &target);
    }
    making.door(notion)
}

/// A door in the making.
struct Making {
    about: &'static str,
    patterns: Vec<Pattern>,
    routes: Vec<Arc<Route>>,
}

impl Making {
    fn new(about: &'static str) -> Self {
        Self { about, patterns: Vec::new(), routes: Vec::new() }
    }

    /// `place` is the route's own in the whole document: its living state goes by it.
    fn add<'a>(
        &mut self,
        notion: &mut Notion<'a>,
        place: &str,
        written: &WrittenRoute,
        policies: Policies<'a>,
        home: Option<&Arc<Target>>,
    ) {
        let pattern = notion.good(self.about, written.pattern());
        let route = route::compile(notion, self.routes.len(), place, written, policies, home);
        if let (Some(pattern), Some(route)) = (pattern, route) {
            self.patterns.push(pattern);
            self.routes.push(Arc::new(route));
        }
    }

    /// All requests to one target: its own routes, and one for whatever they do not speak for.
    #[allow(clippy::too_many_arguments, reason = "as many as a block has parts")]
    fn block<'a>(
        &mut self,
        notion: &mut Notion<'a>,
        place: &str,
        name: &Name,
        hosts: &[HostWord],
        own: Policies<'a>,
        routes: &'a [WrittenRoute],
        home: &Arc<Target>,
    ) {
        for route in routes {
            let policies = notion.whole(route.policies(), &route.profiles).or(own);
            let mut route = route.clone();
            if route.host.0.is_empty() {
                route.host.0 = hosts.to_vec();
            }
            // Routes of two blocks may have one name.
            let own = route.name.as_ref().map_or("", Name::as_str);
            self.add(notion, &format!("{place}/{own}"), &route, policies, Some(home));
        }
        let rest = WrittenRoute {
            name: Some(name.clone()),
            host: OneOrMany(hosts.to_vec()),
            ..WrittenRoute::default()
        };
        self.add(notion, place, &rest, own, Some(home));
    }

    /// Builds the table. Routes that cannot be told apart were refused when the document was loaded.
    fn door(self, notion: &mut Notion<'_>) -> Option<Door> {
        match Table::build(self.patterns) {
            Ok(table) => Some(Door { table, routes: self.routes }),
            Err(conflicts) => {
                conflicts.iter().for_each(|conflict| notion.trouble(self.about, conflict));
                None
            }
        }
    }
}
