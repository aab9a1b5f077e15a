//! What no single value can know of itself: references, contradictions, choices of which exactly one must be made.
//!
//! The checks run on whatever could be read, so that one run shows all problems.

mod identities;
mod place;
mod policies;
mod routes;
mod targets;

use super::Document;
use super::reader::Cuts;
use super::tree::Node;
use place::Place;

/// More have something else in mind than a request, and a map of fields has a bound that ends the program.
const HEADER_COUNT_MAX: u16 = 1024;

/// Notes everything that is wrong with a document whose parts are each well-formed.
pub(super) fn check(document: &Document, root: &Node, cuts: &Cuts) {
    let root = Place::root(root, cuts);
    version(document, root);
    guard(document, root);
    targets::check(document, root);
    identities::check(document, root);
    routes::check(document, root);
    mesh(document, root);
}

fn version(document: &Document, root: Place<'_>) {
    match document.version {
        Some(1) => {}
        None if root.names("version") => {}
        None => root.problem_with_hint("`version` is missing", "write `version: 1`"),
        Some(_) => root.key("version").problem("this version of the language is not known; there is 1"),
    }
}

fn guard(document: &Document, root: Place<'_>) {
    let count = document.guard.as_ref().and_then(|guard| guard.header_count);
    if count.is_some_and(|count| !(1..=HEADER_COUNT_MAX).contains(&count)) {
        root.key("guard")
            .key("header_count")
            .problem(format!("expected 1 to {HEADER_COUNT_MAX} header fields"));
    }
}

fn mesh(document: &Document, root: Place<'_>) {
    let sidecar = [("inbound", document.inbound.is_some()), ("calls", !document.calls.0.is_empty())];
    if document.service.is_none() && !root.names("service") {
        for (key, _) in sidecar.iter().filter(|(_, there)| *there) {
            root.named(key).problem(format!("`{key}` belongs to a sidecar, and a sidecar needs `service`"));
        }
    }
    let services =
        document.service.iter().map(|service| (service.protocol, root.key("service").key("protocol")));
    for (protocol, place) in services {
        if protocol.is_some_and(|protocol| protocol == super::target::Protocol::Http2) {
            place.problem_with_hint("the app beside us is spoken to in plain text", "use `h2c`");
        }
    }
    for (name, call) in &document.calls.0 {
        let place = root.key("calls").named(name.as_str());
        target(document, root, name, place);
        if let Some(listen) = &call.listen {
            listener(listen, place.key("listen"));
        }
    }
}

fn listener(listen: &str, place: Place<'_>) {
    match listen.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => {}
        Ok(_) => place.problem("an app reaches its sidecar on a loopback address"),
        Err(_) => place.problem("expected an address with a port, such as 127.0.0.1:15010"),
    }
}

/// A reference to a target.
fn target(document: &Document, root: Place<'_>, name: &super::Name, place: Place<'_>) {
    if !document.targets.0.contains_key(name) && !root.key("targets").names(name.as_str()) {
        place.dangling("target", name.as_str(), document.targets.0.keys().map(super::Name::as_str));
    }
}
