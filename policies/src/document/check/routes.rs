//! Checks of `routes`, `profiles`, `inbound.routes` and `calls.*.routes`.

use std::collections::HashMap;

use super::place::Place;
use super::{policies, target};
use crate::document::migrate::{GateLimit, Measure, Migrate, Stage};
use crate::document::policy::Policies;
use crate::document::route::{Redirect, Route};
use crate::document::target::Protocol;
use crate::document::words::{Name, Path};
use crate::document::{Document, OneOrMany};
use crate::rewrite::Template;
use crate::route::{Conflict, Table};

pub(super) fn check(document: &Document, root: Place<'_>) {
    for (name, profile) in &document.profiles.0 {
        let place = root.key("profiles").named(name.as_str());
        if !profile.profiles.0.is_empty() {
            place.key("use").problem("a profile uses no other profile: one level is enough to understand");
        }
        policies::each(document, root, profile.policies(), place);
    }
    routes(document, root, &document.routes.0, root.key("routes"), Side::Edge, Policies::default());
    if let Some(inbound) = &document.inbound {
        let place = root.key("inbound");
        policies::hollow(place, &["allow"]);
        let all = block(document, root, inbound.policies(), &inbound.profiles, Policies::default(), place);
        templated(&[], all, place);
        routes(document, root, &inbound.routes.0, place.key("routes"), Side::Mesh, all);
    }
    for (name, call) in &document.calls.0 {
        let place = root.key("calls").named(name.as_str());
        let all = block(document, root, call.policies(), &call.profiles, Policies::default(), place);
        templated(&[], all, place);
        routes(document, root, &call.routes.0, place.key("routes"), Side::Mesh, all);
    }
}

/// Whose routes are these? The mesh's have their target already.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Side {
    Edge,
    Mesh,
}

/// `outer` are the policies of the block they stand in.
fn routes(
    document: &Document,
    root: Place<'_>,
    routes: &[Route],
    list: Place<'_>,
    side: Side,
    outer: Policies<'_>,
) {
    let mut names: HashMap<&Name, usize> = HashMap::new();
    let places = list.items();
    for (n, route) in routes.iter().enumerate() {
        let place = places.get(n).copied().unwrap_or(list);
        match &route.name {
            None if !place.names("name") => {
                place.problem_with_hint(
                    "`name` is missing",
                    "a route's name stands in logs, metrics and messages",
                );
            }
            None => {}
            Some(name) => {
                let known = names.insert(name, n);
                known
                    .iter()
                    .for_each(|_| place.key("name").problem(format!("another route is named `{name}`")));
            }
        }
        if route.path_regex.is_some() && !route.path.0.is_empty() {
            place.key("path_regex").problem("either `path` or `path_regex`, not both");
        }
        action(document, root, route, place, side);
        let all = block(document, root, route.policies(), &route.profiles, outer, place);
        templated(&route.path.0, all, place);
    }
    overlaps(routes, list, &places);
}

/// Routes that no order can tell apart.
fn overlaps(routes: &[Route], list: Place<'_>, places: &[Place<'_>]) {
    let whole = |n: usize, route: &Route| places.get(n).is_none_or(|place| is_whole(route, *place));
    let patterns = routes.iter().enumerate().filter(|(n, route)| whole(*n, route));
    let patterns = patterns.filter_map(|(n, route)| Some((n, route.pattern().ok()?)));
    let (numbers, patterns): (Vec<_>, Vec<_>) = patterns.unzip();
    let Err(conflicts) = Table::build(patterns) else { return };
    for conflict in conflicts {
        let second = match &conflict {
            Conflict::SameRequests { second, .. } => numbers.get(*second),
            Conflict::RegexesTooLarge { .. } | Conflict::TooManyPlaces { .. } => None,
        };
        second.and_then(|n| places.get(*n)).copied().unwrap_or(list).problem(conflict.to_string());
    }
}

/// Could all that says which requests it is for be read? A route whose path is a problem would seem to be for every path.
fn is_whole(route: &Route, place: Place<'_>) -> bool {
    let read = [
        ("path", !route.path.0.is_empty()),
        ("path_regex", route.path_regex.is_some()),
        ("host", !route.host.0.is_empty()),
        ("method", !route.method.0.is_empty()),
        ("match", route.matching.is_some()),
    ];
    read.iter().all(|(key, there)| *there || !place.names(key) || place.is_hollow(key))
}

/// A block with policies of its own and with profiles; returns all that hold for it.
fn block<'d>(
    document: &'d Document,
    root: Place<'_>,
    own: Policies<'d>,
    profiles: &OneOrMany<Name>,
    outer: Policies<'d>,
    place: Place<'_>,
) -> Policies<'d> {
    policies::each(document, root, own, place);
    let mut all = own;
    for (n, name) in profiles.0.iter().enumerate() {
        match document.profiles.0.get(name) {
            Some(profile) => all = all.or(profile.policies()),
            None if root.key("profiles").names(name.as_str()) => {}
            None => {
                place.key("use").item(n).dangling(
                    "profile",
                    name.as_str(),
                    document.profiles.0.keys().map(Name::as_str),
                );
            }
        }
    }
    let all = all.or(outer);
    policies::together(all, place);
    all
}

/// A rewritten path may only use parameters that every path of the route has, wherever it was written.
fn templated(paths: &[Path], all: Policies<'_>, place: Place<'_>) {
    if let Some(template) = all.rewrite.and_then(|rewrite| Template::parse(rewrite.path.as_deref()?).ok()) {
        parameters(paths, &template, place.key("rewrite").key("path"));
    }
}

fn action(document: &Document, root: Place<'_>, route: &Route, place: Place<'_>, side: Side) {
    let ways = [
        ("to", route.to.is_some()),
        ("migrate", route.migrate.is_some()),
        ("redirect", route.redirect.is_some()),
        ("answer", route.answer.is_some()),
    ];
    let said: Vec<_> = ways.iter().filter(|(_, there)| *there).map(|(way, _)| *way).collect();
    match (said.as_slice(), side) {
        ([], Side::Mesh) => {}
        (["to" | "migrate"], Side::Mesh) => {
            place.problem("this route's target is known from where it stands");
        }
        ([_], _) => {}
        ([], Side::Edge) if ways.iter().any(|(way, _)| place.names(way)) => {}
        ([], Side::Edge) => place
            .problem_with_hint("this route does nothing", "give it one of: to, migrate, redirect, answer"),
        (several, _) => place.problem(format!("a route does one thing, not {}", several.join(" and "))),
    }
    if let Some(to) = &route.to {
        target(document, root, to, place.key("to"));
        grpc(document, route, to, place.key("to"));
    }
    if let Some(migrate) = &route.migrate {
        migration(document, root, migrate, place.key("migrate"));
        grpc(document, route, &migrate.from, place.key("migrate").key("from"));
        grpc(document, route, &migrate.to, place.key("migrate").key("to"));
    }
    if let Some(redirect) = &route.redirect {
        redirection(route, redirect, place.key("redirect"));
    }
    if let Some(answer) = &route.answer {
        policies::answer(answer, place.key("answer"));
    }
}

/// gRPC lives in trailers, and trailers do not survive a hop that speaks HTTP/1.
fn grpc(document: &Document, route: &Route, to: &Name, place: Place<'_>) {
    let Some(target) = document.targets.0.get(to).filter(|_| route.grpc) else { return };
    if !target.protocol.unwrap_or_default().carries_grpc() {
        let spoken = target.protocol.unwrap_or(Protocol::Http1).as_str();
        place.problem_with_hint(
            format!("this route carries gRPC, and `{to}` speaks {spoken}"),
            format!("set `protocol: h2c` (or http2) on the target `{to}`"),
        );
    }
}

fn redirection(route: &Route, redirect: &Redirect, place: Place<'_>) {
    if redirect.status.is_some_and(|status| !matches!(status, 301 | 302 | 303 | 307 | 308)) {
        place.key("status").problem("expected 301, 302, 303, 307 or 308");
    }
    if redirect.scheme.as_ref().is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        place.key("scheme").problem("expected http or https");
    }
    if redirect.scheme.is_none() && redirect.host.is_none() && redirect.path.is_none() {
        place.problem("this redirect leads back to itself: give it a scheme, a host or a path");
    }
    redirect.host.iter().for_each(|host| policies::host(host, place.key("host")));
    match redirect.path.as_deref().map(Template::parse) {
        None => {}
        Some(Err(error)) => place.key("path").problem(error.to_string()),
        Some(Ok(template)) => parameters(&route.path.0, &template, place.key("path")),
    }
}

/// A template may only use parameters that every path of the route has.
fn parameters(paths: &[Path], template: &Template, place: Place<'_>) {
    for name in template.parameters() {
        let has =
            |path: &str| path.contains(&format!("{{{name}}}")) || path.contains(&format!("{{{name}...}}"));
        if paths.is_empty() || !paths.iter().all(|path| has(path.as_str())) {
            place.problem(format!("`{{{name}}}` is not a parameter of this route's path"));
        }
    }
}

fn migration(document: &Document, root: Place<'_>, migrate: &Migrate, place: Place<'_>) {
    target(document, root, &migrate.from, place.key("from"));
    target(document, root, &migrate.to, place.key("to"));
    if migrate.from == migrate.to {
        place.key("to").problem("a migration leads from one target to another");
    }
    match (&migrate.plan, migrate.share) {
        (Some(plan), None) => stages(plan, place.key("plan")),
        (None, Some(_)) => {}
        (Some(_), Some(_)) => place.key("share").problem("either `plan` or `share`, not both"),
        (None, None) if place.names("plan") || place.names("share") => {}
        (None, None) => {
            place.problem_with_hint("this migration moves nobody", "give it a `plan` or a `share`");
        }
    }
    let shadows =
        migrate.shadow.is_some() || migrate.plan.iter().flatten().any(|stage| *stage == Stage::Shadow);
    for (n, gate) in migrate.roll_back_if.iter().enumerate() {
        let place = place.key("roll_back_if").item(n);
        if let GateLimit::OldPlus(old, _) | GateLimit::OldTimes(old, _) = &gate.limit
            && *old != migrate.from
        {
            place.problem_with_hint(
                format!("`{old}` is not what this migration leads away from"),
                format!("compare with `{}`", migrate.from),
            );
        }
        if gate.measure == Measure::Diff && !shadows {
            place.problem_with_hint("nothing is compared, so nothing can differ", "add a `shadow` block");
        }
    }
}

fn stages(plan: &[Stage], place: Place<'_>) {
    if plan.is_empty() {
        place.problem("a plan has at least one stage");
    }
    for (n, pair) in plan.windows(2).enumerate() {
        if let [before, after] = pair {
            let place = place.item(n + 1);
            match (before, after) {
                (_, Stage::Shadow) => place.problem("`shadow` comes first: later stages shadow as well"),
                (Stage::Share(before), Stage::Share(after)) if after <= before => {
                    place.problem(format!("{after} does not come after {before}: stages grow"));
                }
                _ => {}
            }
        }
    }
}
