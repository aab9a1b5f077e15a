//! Identities, compiled: issuers with their keyrings, and API keys.

use std::sync::Arc;

use super::materials::{Materials, Missing};
use crate::access::{ClaimPath, ClaimRuleError};
use crate::document::identity::{ApiKey, Identity as Written};
use crate::document::words::Name;
use crate::document::{Document, OneOrMany, Secret};
use crate::identity::api_key::{ApiKeySettings, ApiKeys, ApiKeysError, ApiKeysSettings, ApiSecret};
use crate::identity::jwks::{Keyring, KeyringSettings};
use crate::identity::keys::{KeySet, KeysError};
use crate::identity::{Audience, Issuer, IssuerError, IssuerSettings, TokenPlace, algorithm};
use crate::state::{Living, print};

/// One identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name in the document.
    pub name: String,
    /// How it tells callers apart.
    pub kind: Kind,
}

/// How an identity tells callers apart.
#[derive(Clone, Debug)]
pub enum Kind {
    /// By key.
    ApiKeys(Arc<ApiKeys>),
    /// By token.
    Tokens(Arc<Tokens>),
}

/// An issuer, its keys, and what of its tokens is sent on.
#[derive(Debug)]
pub struct Tokens {
    /// Whom we believe, and what about.
    pub issuer: Issuer,
    /// Its keys. The shell fetches them when they are due.
    pub keyring: Arc<Keyring>,
    /// Where the keys are fetched from, if they are.
    pub jwks_url: Option<String>,
    /// Claims sent on, by header.
    pub forwards: Vec<(http::HeaderName, ClaimPath)>,
}

/// Why an identity cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "each says it in its message")]
pub enum IdentityError {
    #[error(transparent)]
    ApiKeys(#[from] ApiKeysError),
    #[error("claims_to_headers: {0}")]
    Claim(#[from] ClaimRuleError),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Missing(#[from] Missing),
}

/// All identities, in the order of their names; those that fail are told of together.
pub(super) fn all(
    document: &Document,
    materials: &Materials,
    living: &Living,
) -> Result<Vec<Identity>, Vec<(Name, IdentityError)>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (name, written) in &document.identities.0 {
        match kind(name, written, materials, living) {
            Ok(kind) => good.push(Identity { name: name.0.clone(), kind }),
            Err(error) => bad.push((name.clone(), error)),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

fn kind(
    name: &Name,
    written: &Written,
    materials: &Materials,
    living: &Living,
) -> Result<Kind, IdentityError> {
    match &written.api_keys {
        Some(keys) => api_keys(written, keys, materials).map(|keys| Kind::ApiKeys(Arc::new(keys))),
        None => tokens(name, written, materials, living).map(|tokens| Kind::Tokens(Arc::new(tokens))),
    }
}

fn api_keys(
    written: &Written,
    keys: &std::collections::BTreeMap<Name, ApiKey>,
    materials: &Materials,
) -> Result<ApiKeys, IdentityError> {
    let mut settings = ApiKeysSettings::default();
    if let Some(header) = &written.header {
        settings.header = header.0.clone();
    }
    for (owner, key) in keys {
        let secret = match (&key.secret, &key.sha256) {
            (Some(secret), _) => ApiSecret::Text(materials.text(secret)?.into()),
            (None, digest) => ApiSecret::Digest(digest.clone().unwrap_or_default()),
        };
        let scopes = key.scopes.clone().unwrap_or_default().0;
        settings.keys.push(ApiKeySettings {
            name: owner.0.clone(),
            secret,
            scopes,
            labels: Default::default(),
        });
    }
    Ok(ApiKeys::compile(&settings)?)
}

fn tokens(
    name: &Name,
    written: &Written,
    materials: &Materials,
    living: &Living,
) -> Result<Tokens, IdentityError> {
    let listed = |list: &Option<OneOrMany<String>>| list.clone().unwrap_or_default().0;
    let defaults = IssuerSettings::default();
    let settings = IssuerSettings {
        name: name.0.clone(),
        issuers: listed(&written.issuer),
        audience: Audience::OneOf(listed(&written.audience)),
        algorithms: written
            .algorithms
            .iter()
            .flat_map(|list| &list.0)
            .filter_map(|a| algorithm(a.as_str()))
            .collect(),
        skew: written.skew.map_or(defaults.skew, |skew| skew.0),
        typ: written.typ.clone(),
        found_in: place(written.from.as_deref()),
    };
    let forwards =
        written.claims_to_headers.iter().map(|(field, path)| Ok((field.0.clone(), ClaimPath::parse(path)?)));
    Ok(Tokens {
        issuer: Issuer::compile(&settings)?,
        keyring: keyring(name, written, materials, living)?,
        jwks_url: written.jwks.clone().filter(|_| written.jwks_file().is_none()),
        forwards: forwards.collect::<Result<_, ClaimRuleError>>()?,
    })
}

fn place(from: Option<&str>) -> TokenPlace {
    match from {
        None | Some("authorization") => TokenPlace::Bearer,
        Some(from) => match (from.strip_prefix("cookie:"), from.parse()) {
            (Some(cookie), _) => TokenPlace::Cookie(cookie.into()),
            (None, Ok(header)) => TokenPlace::Header(header),
            (None, Err(_)) => TokenPlace::Bearer,
        },
    }
}

/// The keys that stand on this machine are read now; those of an issuer keep what was fetched before a reload.
fn keyring(
    name: &Name,
    written: &Written,
    materials: &Materials,
    living: &Living,
) -> Result<Arc<Keyring>, IdentityError> {
    let fixed = if let Some(secret) = &written.secret {
        KeySet::from_secret(materials.text(secret)?.as_bytes())?
    } else if let Some(files) = &written.keys {
        let texts: Result<Vec<_>, _> =
            files.0.iter().map(|file| materials.text(&Secret::File(file.clone()))).collect();
        KeySet::from_pem(&texts?.join("\n"))?
    } else if let Some(file) = written.jwks_file() {
        KeySet::from_jwks(materials.bytes(&Secret::File(file.into()))?)?
    } else {
        let defaults = KeyringSettings::default();
        let settings =
            KeyringSettings { stale_max: written.stale_for.map_or(defaults.stale_max, |w| w.0), ..defaults };
        let which = (written.jwks.clone(), settings);
        return Ok(living.keep("keys", name.as_str(), &which, || Keyring::fetching(settings)));
    };
    let material = print(&(materials.texts_of(written)));
    Ok(living.keep("keys", name.as_str(), &material, || Keyring::fixed(fixed)))
}
