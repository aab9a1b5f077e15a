//! `identities`: whose word is believed, and how it is checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::many::OneOrMany;
use super::secret::Secret;
use super::words::{Field, Name};
use crate::units::Wait;

/// A source of identity: an issuer of tokens (`jwks`, `keys` or `secret`) or a set of API keys (`api_keys`).
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// The URL of the issuer's JSON Web Key Set, fetched in the background and ahead of time; or a file, as `file:PATH`.
    pub jwks: Option<String>,
    /// Files with public keys in PEM form, instead of `jwks`.
    pub keys: Option<OneOrMany<String>>,
    /// A shared secret for HMAC tokens, instead of `jwks`.
    pub secret: Option<Secret>,
    /// The accepted `iss`, exactly. Needed for tokens.
    pub issuer: Option<OneOrMany<String>>,
    /// The accepted `aud`; one of them must be in the token. Needed for tokens.
    pub audience: Option<OneOrMany<String>>,
    /// The accepted algorithms. Default: those the issuer's keys are for. `none` does not exist.
    pub algorithms: Option<OneOrMany<Algorithm>>,
    /// The `typ` the token must have, such as `at+jwt`. Default: no other than `JWT` and `at+jwt`, so that a logout token is not taken for an access token.
    pub typ: Option<String>,
    /// How far the clocks may differ. Default: `30s`; at most `60s`.
    pub skew: Option<Wait>,
    /// Where the token is: `authorization` (as Bearer), or another header, or a cookie as `cookie:NAME`. Default: `authorization`.
    pub from: Option<String>,
    /// How long the last good keys are believed when the issuer cannot be reached. Default: `24h`.
    pub stale_for: Option<Wait>,
    /// Claims sent on to the service, by header: copies that came from outside are removed first.
    pub claims_to_headers: BTreeMap<Field, String>,
    /// Keys by the name of their owner.
    pub api_keys: Option<BTreeMap<Name, ApiKey>>,
    /// The header the API key is in. Default: `x-api-key`.
    pub header: Option<Field>,
}

/// One API key. The document holds a reference or a digest, never the key.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiKey {
    /// Where the key is.
    pub secret: Option<Secret>,
    /// The SHA-256 of the key, in hexadecimal, instead of `secret`.
    pub sha256: Option<String>,
    /// Scopes its owner has, as a token would.
    pub scopes: Option<OneOrMany<String>>,
}

/// A signature algorithm for tokens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[allow(missing_docs, reason = "the names are RFC 7518's and RFC 8037's")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Identity {
    /// The file its key set is in, if it is not fetched.
    pub fn jwks_file(&self) -> Option<&str> {
        self.jwks.as_deref().and_then(|jwks| jwks.strip_prefix("file:"))
    }

    /// Is it an issuer of tokens, and not a set of API keys?
    pub fn is_token(&self) -> bool {
        self.jwks.is_some() || self.keys.is_some() || self.secret.is_some()
    }
}

impl Algorithm {
    /// Its registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }
}
