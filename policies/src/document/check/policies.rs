//! Checks of the policies of one block, each by itself and all together.

use super::place::Place;
use super::target;
use crate::document::Document;
use crate::document::policy::{
    Answer, Breaker, Cors, Fallback, HeaderEdits, InjectedFault, Limit, Policies, Require, Retry, Rewrite,
};
use crate::document::words::{By, Name};
use crate::headers::{EditError, Edits};
use crate::limit::Quota;
use crate::rewrite::Template;

/// Each policy that stands in the block itself.
pub(super) fn each(document: &Document, root: Place<'_>, policies: Policies<'_>, place: Place<'_>) {
    hollow(place, &["require"]);
    if let Some(require) = policies.require {
        requirement(document, root, require, place.key("require"));
    }
    if let Some(retry) = policies.retry {
        retrying(retry, place.key("retry"));
    }
    if let Some(breaker) = policies.breaker {
        breaking(breaker, place.key("breaker"));
    }
    if let Some(fallback) = policies.fallback {
        falling_back(document, root, fallback, place.key("fallback"));
    }
    if let Some(fault) = policies.fault {
        injecting(fault, place.key("fault"));
    }
    if let Some(rewrite) = policies.rewrite {
        rewriting(rewrite, place.key("rewrite"));
    }
    if let Some(headers) = policies.headers {
        let sides = [("request", &headers.request), ("response", &headers.response)];
        for (key, edits) in sides {
            edits.iter().for_each(|edits| editing(edits, place.key("headers").key(key)));
        }
    }
    if let Some(cors) = policies.cors {
        sharing(cors, place.key("cors"));
    }
    if policies.deadline.is_some_and(|deadline| deadline.0.is_zero()) {
        place.key("deadline").problem("no time at all: every request would fail");
    }
    for (n, limit) in policies.limit.iter().flat_map(|limits| limits.0.iter().enumerate()) {
        limiting(limit, place.key("limit").item(n));
    }
}

/// What one policy demands of another, profiles included.
pub(super) fn together(all: Policies<'_>, place: Place<'_>) {
    let require = all.require;
    let token = require.is_some_and(|require| require.jwt.is_some());
    let key = require.is_some_and(|require| require.api_key.is_some());
    for (n, limit) in all.limit.iter().flat_map(|limits| limits.0.iter().enumerate()) {
        let place = place.key("limit").item(n).key("per");
        match &limit.per {
            By::Key if !key => place.problem("nobody has a key here: add `require: { api_key: ... }`"),
            By::Claim(_) if !token => place.problem("nobody has claims here: add `require: { jwt: ... }`"),
            _ => {}
        }
    }
    let asks = require
        .is_some_and(|require| require.jwt.is_some() || require.api_key.is_some() || require.peers.is_some());
    if asks && all.fallback.is_some_and(|fallback| fallback.last_good.is_some()) {
        place.key("fallback").key("last_good").problem_with_hint(
            "the last good answer is given to whoever asks, and this route first asks who that is",
            "give the fallback a `to` or an `answer`, or take `require` away",
        );
    }
    if let (Some(per_try), Some(deadline)) = (all.retry.and_then(|retry| retry.per_try), all.deadline)
        && per_try > deadline
    {
        place
            .key("retry")
            .key("per_try")
            .problem(format!("one attempt may not take longer than the deadline, {deadline}"));
    }
}

/// A list of who may call that has lost its last line must not let everybody in without a word.
pub(super) fn hollow(place: Place<'_>, keys: &[&str]) {
    for key in keys.iter().filter(|key| place.is_hollow(key)) {
        place.named(key).problem_with_hint(
            format!("`{key}` is there and demands nothing"),
            "say who may call, or take the key out",
        );
    }
}

fn requirement(document: &Document, root: Place<'_>, require: &Require, place: Place<'_>) {
    hollow(place, &["addresses", "api_key", "claims", "jwt", "peers", "scope"]);
    hollow(place.key("addresses"), &["allow", "deny"]);
    require.claims.keys().for_each(|claim| hollow(place.key("claims"), &[claim]));
    for (n, name) in require.jwt.iter().flat_map(|names| names.0.iter().enumerate()) {
        let place = place.key("jwt").item(n);
        identity(document, root, name, place, Kind::Token);
    }
    if let Some(name) = &require.api_key {
        identity(document, root, name, place.key("api_key"), Kind::ApiKeys);
    }
    let nobody = require.jwt.is_none() && !place.names("jwt");
    if require.scope.is_some() && nobody && require.api_key.is_none() && !place.names("api_key") {
        place.key("scope").problem("scopes come from a token or an API key: add `jwt` or `api_key`");
    }
    if !require.claims.is_empty() && nobody {
        place.key("claims").problem("claims come from a token: add `jwt`");
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    ApiKeys,
    Token,
}

fn identity(document: &Document, root: Place<'_>, name: &Name, place: Place<'_>, kind: Kind) {
    match document.identities.0.get(name) {
        None if root.key("identities").names(name.as_str()) => {}
        None => place.dangling("identity", name.as_str(), document.identities.0.keys().map(Name::as_str)),
        Some(identity) if identity.is_token() && kind == Kind::ApiKeys => {
            place.problem(format!("`{name}` issues tokens; it has no API keys"));
        }
        Some(identity) if identity.api_keys.is_some() && kind == Kind::Token => {
            place.problem(format!("`{name}` has API keys; it issues no tokens"));
        }
        Some(_) => {}
    }
}

fn limiting(limit: &Limit, place: Place<'_>) {
    if limit.burst == Some(0) {
        place.key("burst").problem("nothing could ever pass: expected at least 1");
    }
    let quota =
        Quota { count: limit.rate.count, per: limit.rate.per, burst: limit.burst.filter(|burst| *burst > 0) };
    if let Err(error) = quota.compile() {
        place.key("rate").problem(error.to_string());
    }
    if limit.shared == Some(false) && limit.if_store_down.is_some() {
        place.key("if_store_down").problem("this limit is not shared, so it has no store that could be down");
    }
}

fn retrying(retry: &Retry, place: Place<'_>) {
    if retry.attempts.is_some_and(|attempts| !(1..=10).contains(&attempts)) {
        place.key("attempts").problem("expected 1 to 10 attempts, the first included");
    }
    if let (Some(first), Some(longest)) = (retry.backoff, retry.backoff_max)
        && first > longest
    {
        place.key("backoff_max").problem(format!("the longest pause is shorter than the first, {first}"));
    }
    if retry.per_try.is_some_and(|wait| wait.0.is_zero()) {
        place.key("per_try").problem("no time at all: every attempt would fail");
    }
}

fn breaking(breaker: &Breaker, place: Place<'_>) {
    if breaker.probes == Some(0) {
        place.key("probes").problem("without a probe it would never close: expected at least 1");
    }
    if breaker.stay_open.is_some_and(|wait| wait.0.is_zero()) {
        place.key("stay_open").problem("expected some time for the target to recover");
    }
}

fn falling_back(document: &Document, root: Place<'_>, fallback: &Fallback, place: Place<'_>) {
    let ways = [
        ("to", fallback.to.is_some()),
        ("answer", fallback.answer.is_some()),
        ("last_good", fallback.last_good.is_some()),
    ];
    match ways.iter().filter(|(_, there)| *there).count() {
        1 => {}
        0 if ways.iter().any(|(way, _)| place.names(way)) => {}
        0 => place.problem_with_hint("this fallback does nothing", "give it one of: to, answer, last_good"),
        _ => place.problem("a fallback does one thing: to, answer or last_good"),
    }
    if let Some(to) = &fallback.to {
        target(document, root, to, place.key("to"));
    }
    if let Some(fixed) = &fallback.answer {
        answer(fixed, place.key("answer"));
    }
}

/// A fixed answer: of a route, or of a fallback.
pub(super) fn answer(answer: &Answer, place: Place<'_>) {
    if answer.status.is_some_and(|status| !(200..600).contains(&status)) {
        place.key("status").problem("expected a status from 200 to 599");
    }
    for (field, value) in &answer.headers {
        let place = place.key("headers").named(field.0.as_str());
        edit(field, value, place);
    }
}

fn injecting(fault: &InjectedFault, place: Place<'_>) {
    if fault.delay.is_none() && fault.abort.is_none() && !place.names("delay") && !place.names("abort") {
        place.problem_with_hint("this fault does nothing", "give it a `delay` or an `abort`");
    }
    if fault.abort.is_some_and(|status| !(400..600).contains(&status)) {
        place.key("abort").problem("expected a status from 400 to 599");
    }
}

fn rewriting(rewrite: &Rewrite, place: Place<'_>) {
    if rewrite.path.is_some() && (rewrite.strip_prefix.is_some() || rewrite.add_prefix.is_some()) {
        place.key("path").problem("a whole new path leaves nothing for strip_prefix or add_prefix to do");
    }
    for (key, prefix) in [("strip_prefix", &rewrite.strip_prefix), ("add_prefix", &rewrite.add_prefix)] {
        if prefix.as_ref().is_some_and(|prefix| !prefix.starts_with('/') || prefix.ends_with('/')) {
            place.key(key).problem("a prefix begins with `/` and does not end with one");
        }
    }
    if let Some(Err(error)) = rewrite.path.as_deref().map(Template::parse) {
        place.key("path").problem(error.to_string());
    }
    rewrite.host.iter().for_each(|text| host(text, place.key("host")));
}

/// A host as it stands in a Host or a URL: a name, perhaps a port, and never a user.
pub(super) fn host(text: &str, place: Place<'_>) {
    let authority = text.parse::<http::uri::Authority>();
    if !authority.is_ok_and(|authority| !authority.host().is_empty() && !text.contains('@')) {
        place.problem("expected a host such as orders.shop.example");
    }
}

/// Fields that frame the message, belong to the connection, or are ours, are nobody's to edit.
fn protected(name: &http::HeaderName) -> Result<(), EditError> {
    Edits::new(vec![(name.clone(), http::HeaderValue::from_static(""))], Vec::new(), Vec::new()).map(drop)
}

fn editing(edits: &HeaderEdits, place: Place<'_>) {
    for (key, fields) in [("set", &edits.set), ("add", &edits.add)] {
        for (field, value) in fields {
            edit(field, value, place.key(key).named(field.0.as_str()));
        }
    }
    for (n, field) in edits.remove.iter().enumerate() {
        if let Err(error) = protected(&field.0) {
            place.key("remove").item(n).problem(error.to_string());
        }
    }
}

fn edit(field: &crate::document::words::Field, value: &str, place: Place<'_>) {
    if let Err(error) = protected(&field.0) {
        place.problem(error.to_string());
    }
    if http::HeaderValue::from_str(value).is_err() {
        place.problem(format!("the value of `{field}` holds characters no header can hold"));
    }
}

fn sharing(cors: &Cors, place: Place<'_>) {
    if cors.origins.is_empty() && !place.names("origins") {
        place.problem_with_hint(
            "`origins` is missing",
            "name the pages that may call, such as https://shop.example",
        );
    }
    for (n, origin) in cors.origins.iter().enumerate() {
        if origin == "*" && cors.credentials {
            place
                .key("origins")
                .item(n)
                .problem("`*` together with credentials would let every page act for its visitor");
        }
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if origin != "*" && !host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@']))
        {
            place
                .key("origins")
                .item(n)
                .problem("expected an origin such as https://shop.example, without a path");
        }
    }
}
