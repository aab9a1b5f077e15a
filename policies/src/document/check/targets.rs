//! Checks of `targets`.

use super::place::Place;
use crate::document::Document;
use crate::document::target::{Health, Protocol, Scheme, Target, UpstreamTls, Url};

pub(super) fn check(document: &Document, root: Place<'_>) {
    for (name, target) in &document.targets.0 {
        let place = root.key("targets").named(name.as_str());
        whereabouts(target, place);
        tls(target, place);
        protocol(target, place);
        numbers(target, place);
        if let Some(health) = &target.health {
            asking(health, place.key("health"));
        }
    }
}

fn whereabouts(target: &Target, place: Place<'_>) {
    let ways = [
        ("url", target.url.is_some()),
        ("endpoints", !target.endpoints.is_empty()),
        ("dns", target.dns.is_some()),
        ("kubernetes", target.kubernetes.is_some()),
    ];
    let said: Vec<_> = ways.iter().filter(|(_, there)| *there).map(|(way, _)| *way).collect();
    match said.as_slice() {
        [_] => {}
        // A way that is there but could not be read is a problem already.
        [] if ways.iter().any(|(way, _)| place.names(way)) => {}
        [] => place.problem_with_hint(
            "this target does not say where it is",
            "give it one of: url, endpoints, dns, kubernetes",
        ),
        several => place.problem(format!("a target is in one place, not in {}", several.join(" and in "))),
    }
    let schemes_differ =
        target.endpoints.windows(2).any(|pair| matches!(pair, [a, b] if a.scheme != b.scheme));
    if schemes_differ {
        place.key("endpoints").problem("some endpoints speak TLS and some do not");
    }
    if let Some(dns) = &target.dns
        && dns.port.is_none()
        && !dns.srv
    {
        place
            .key("dns")
            .problem_with_hint("`port` is missing", "or set `srv: true` for records that carry ports");
    }
}

fn urls(target: &Target) -> impl Iterator<Item = &Url> {
    target.url.iter().chain(&target.endpoints)
}

/// A TLS connection whose server name is not known cannot be verified, so it is not made.
fn tls(target: &Target, place: Place<'_>) {
    let name = target.tls.as_ref().and_then(|tls| tls.name.as_deref());
    let spiffe = target.tls.as_ref().is_some_and(|tls| tls.spiffe.is_some());
    let missing = "the server's name is not known, so its certificate could not be checked";
    let hint = "add `tls: { name: NAME }`, the name in the server's certificate";
    if let Some(url) = urls(target).find(|url| url.scheme == Scheme::Https && url.address().is_some())
        && name.is_none()
        && !spiffe
    {
        place.problem_with_hint(format!("{url} is an address: {missing}"), hint);
    }
    let Some(tls) = &target.tls else { return };
    let here = place.key("tls");
    if target.kubernetes.is_some() && name.is_none() && !spiffe {
        here.problem_with_hint(missing, hint);
    }
    if let Some(url) = urls(target).find(|url| url.scheme == Scheme::Http) {
        place
            .named("tls")
            .problem_with_hint(format!("`tls` is set, but {url} is plain text"), "write https://");
    }
    pairs(tls, here);
    if let Some(name) = name
        && (name.is_empty() || name.len() > 253 || name.contains(['/', ':', '*', ' ']))
    {
        here.key("name").problem("expected the name in the server's certificate, without scheme or port");
    }
    if let Some(spiffe) = &tls.spiffe
        && let Err(error) = crate::spiffe::SpiffeId::parse(spiffe)
    {
        here.key("spiffe").problem(format!("not a SPIFFE ID: {error}"));
    }
}

fn pairs(tls: &UpstreamTls, place: Place<'_>) {
    match (&tls.certificate, &tls.key) {
        (Some(_), None) => place.key("certificate").problem("a certificate needs its `key`"),
        (None, Some(_)) => place.key("key").problem("a key needs its `certificate`"),
        _ => {}
    }
}

fn protocol(target: &Target, place: Place<'_>) {
    let Some(protocol) = target.protocol else { return };
    let encrypted = target.tls.is_some() || urls(target).any(|url| url.scheme == Scheme::Https);
    match protocol {
        Protocol::Http2 if !encrypted => place
            .key("protocol")
            .problem_with_hint("http2 is spoken over TLS, and this target is plain text", "use `h2c`"),
        Protocol::H2c if encrypted => {
            place
                .key("protocol")
                .problem_with_hint("h2c is plain text, and this target has TLS", "use `http2`");
        }
        _ => {}
    }
}

fn numbers(target: &Target, place: Place<'_>) {
    if target.bulkhead.as_ref().is_some_and(|bulkhead| bulkhead.max == 0) {
        place.key("bulkhead").key("max").problem("nothing could ever pass: expected at least 1");
    }
    if let Some(overload) = &target.overload {
        let (min, max) = (overload.min.unwrap_or(4), overload.max.unwrap_or(1000));
        let start = overload.start.unwrap_or(50.clamp(min, max.max(min)));
        if min == 0 || min > max || !(min..=max).contains(&start) {
            place.key("overload").problem("expected 1 <= min <= start <= max");
        }
    }
    let timeouts = target.timeouts.clone().unwrap_or_default();
    let zero = [("connect", timeouts.connect), ("answer", timeouts.answer), ("idle", timeouts.idle)];
    for (key, _) in zero.iter().filter(|(_, wait)| wait.is_some_and(|wait| wait.0.is_zero())) {
        place.key("timeouts").key(key).problem("no time at all: every call would fail");
    }
}

fn asking(health: &Health, place: Place<'_>) {
    if health.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        place.key("path").problem("a path begins with `/`");
    }
    if health.every.is_some_and(|every| every.0.is_zero()) {
        place.key("every").problem("expected some time between two questions");
    }
    for (n, status) in health.status.iter().flat_map(|list| list.0.iter().enumerate()) {
        if !(100..600).contains(status) {
            place.key("status").item(n).problem("expected a status from 100 to 599");
        }
    }
    for (key, count) in [("fail_after", health.fail_after), ("pass_after", health.pass_after)] {
        if count == Some(0) {
            place.key(key).problem("expected at least 1");
        }
    }
}
