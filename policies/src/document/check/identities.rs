//! Checks of `identities`.

use std::time::Duration;

use super::place::Place;
use crate::document::Document;
use crate::document::identity::{ApiKey, Identity};
use crate::headers::IdentityNames;

pub(super) fn check(document: &Document, root: Place<'_>) {
    for (name, identity) in &document.identities.0 {
        let place = root.key("identities").named(name.as_str());
        kind(identity, place);
        if identity.is_token() {
            token(identity, place);
        }
        for (owner, key) in identity.api_keys.iter().flatten() {
            api_key(key, place.key("api_keys").named(owner.as_str()));
        }
    }
}

fn kind(identity: &Identity, place: Place<'_>) {
    let ways = [
        ("jwks", identity.jwks.is_some()),
        ("keys", identity.keys.is_some()),
        ("secret", identity.secret.is_some()),
        ("api_keys", identity.api_keys.is_some()),
    ];
    let said: Vec<_> = ways.iter().filter(|(_, there)| *there).map(|(way, _)| *way).collect();
    match said.as_slice() {
        [_] => {}
        [] if ways.iter().any(|(way, _)| place.names(way)) => {}
        [] => place.problem_with_hint(
            "this identity has nothing to check anybody with",
            "give it one of: jwks, keys, secret, api_keys",
        ),
        several => {
            place.problem(format!("an identity is checked in one way, not by {}", several.join(" and by ")));
        }
    }
}

fn token(identity: &Identity, place: Place<'_>) {
    let said = [("issuer", identity.issuer.is_some()), ("audience", identity.audience.is_some())];
    for (key, _) in said.iter().filter(|(key, there)| !there && !place.names(key)) {
        place.problem_with_hint(
            format!("`{key}` is missing"),
            "without it, a token made for somebody else would be taken",
        );
    }
    if let Some(jwks) = &identity.jwks {
        let file = jwks.strip_prefix("file:").is_some_and(|path| !path.is_empty());
        let url = jwks.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if !file && !url {
            place
                .key("jwks")
                .problem("expected a URL such as https://id.shop.example/jwks.json, or file:PATH");
        }
    }
    if identity.skew.is_some_and(|skew| skew.0 > Duration::from_secs(60)) {
        place.key("skew").problem("more than 60s would keep expired tokens alive");
    }
    for field in identity.claims_to_headers.keys() {
        if let Err(error) = IdentityNames::new([field.0.clone()]) {
            place.key("claims_to_headers").named(field.0.as_str()).problem(error.to_string());
        }
    }
}

fn api_key(key: &ApiKey, place: Place<'_>) {
    match (&key.secret, &key.sha256) {
        (Some(_), Some(_)) => place.problem("either `secret` or `sha256`, not both"),
        (None, None) if !place.names("secret") && !place.names("sha256") => {
            place.problem_with_hint(
                "this key has no value",
                "give it `secret: { env: NAME }` or `sha256: DIGEST`",
            );
        }
        (_, Some(digest)) if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            place.key("sha256").problem("a SHA-256 has 64 hexadecimal digits");
        }
        _ => {}
    }
}
