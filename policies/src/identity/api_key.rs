//! Callers known by a key in a header. The keys themselves are not kept, only their digests.
//!
//! What is compared is the SHA-256 digest of what was presented. How long a look-up takes may tell something about
//! digests, and a digest says nothing about the key: nobody can choose one to get closer to another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use ring::digest;

use crate::access::Scopes;
use crate::verdict::Denial;
use crate::why::Witness;

/// 16 characters of base64 are 96 bits; a key that can be guessed is not a key. Only the text is measured, digests
/// tell nothing.
const SECRET_BYTES_MIN: usize = 16;

/// Nobody's key is longer, and hashing takes time by length.
const SECRET_BYTES_MAX: usize = 512;

/// Above this, keys belong into a token issuer.
const KEYS_MAX: usize = 10_000;

/// What the document says about API keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKeysSettings {
    /// The header they stand in. Default `x-api-key`.
    pub header: HeaderName,
    /// The keys. Several may have one name: a new key is added before the old one is taken away.
    pub keys: Vec<ApiKeySettings>,
}

impl Default for ApiKeysSettings {
    fn default() -> Self {
        Self { header: HeaderName::from_static("x-api-key"), keys: Vec::new() }
    }
}

/// One key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKeySettings {
    /// Whose it is.
    pub name: String,
    /// How it is recognised.
    pub secret: ApiSecret,
    /// What its owner may do.
    pub scopes: Vec<String>,
    /// What else the operator wants to know of its owner.
    pub labels: BTreeMap<String, String>,
}

/// How a key is recognised.
#[derive(Clone, Eq, PartialEq)]
pub enum ApiSecret {
    /// By its SHA-256 digest, 64 hexadecimal digits.
    Digest(String),
    /// By itself, 16 to 512 bytes; hashed when it is loaded.
    Text(String),
}

impl fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digest(_) => "Digest(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

/// Why API keys cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApiKeysError {
    /// Not 64 hexadecimal digits.
    #[error("the digest of API key `{name}` is not 64 hexadecimal digits")]
    NotADigest {
        /// Whose.
        name: String,
    },
    /// The text of a key is shorter than 16 or longer than 512 bytes.
    #[error("API key `{name}` must have 16 to 512 bytes")]
    SecretLength {
        /// Whose.
        name: String,
    },
    /// More than 10,000.
    #[error("there are more than 10000 API keys")]
    TooMany,
    /// One key, two names: nobody could say who is calling.
    #[error("`{first}` and `{second}` have the same API key")]
    Twice {
        /// Whose.
        first: String,
        /// And whose.
        second: String,
    },
}

/// Who an API key belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiCaller {
    /// Its name.
    pub name: Box<str>,
    /// What it may do.
    pub scopes: Scopes,
    /// What else the operator wrote down.
    pub labels: BTreeMap<String, String>,
}

/// The API keys of a route, compiled.
pub struct ApiKeys {
    header: HeaderName,
    /// By digest, ascending.
    callers: Box<[(Digest, Arc<ApiCaller>)]>,
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Digest([u8; 32]);

impl ApiKeys {
    /// Compiles the settings; refuses keys that can be guessed and keys that stand for two callers.
    pub fn compile(settings: &ApiKeysSettings) -> Result<Self, ApiKeysError> {
        if settings.keys.len() > KEYS_MAX {
            return Err(ApiKeysError::TooMany);
        }
        let mut callers = settings.keys.iter().map(caller).collect::<Result<Vec<_>, _>>()?;
        callers.sort_by_key(|(digest, _)| *digest);
        let same = callers.windows(2).find_map(|pair| match pair {
            [(one, first), (other, second)] if one == other => Some((first, second)),
            _ => None,
        });
        match same {
            Some((first, second)) => {
                Err(ApiKeysError::Twice { first: first.name.to_string(), second: second.name.to_string() })
            }
            None => Ok(Self { header: settings.header.clone(), callers: callers.into() }),
        }
    }

    /// The header the keys stand in, for whoever must not send it on.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Who is calling. None presented is `api-key-missing`; an unknown one, or two at once, `api-key-unknown`.
    pub fn find(&self, headers: &HeaderMap, why: &mut impl Witness) -> Result<&Arc<ApiCaller>, Denial> {
        let mut presented = headers.get_all(&self.header).iter();
        let Some(key) = presented.next().filter(|key| !key.is_empty()) else {
            why.note("api_key", || format!("the request has no `{}`", self.header));
            return Err(Denial::ApiKeyMissing);
        };
        let known = if presented.next().is_none() { self.caller(key.as_bytes()) } else { None };
        why.note("api_key", || match known {
            Some(caller) => format!("the key is that of `{}`", caller.name),
            None => format!("`{}` is not one known key", self.header),
        });
        known.ok_or(Denial::ApiKeyUnknown)
    }

    fn caller(&self, key: &[u8]) -> Option<&Arc<ApiCaller>> {
        if key.len() > SECRET_BYTES_MAX {
            return None;
        }
        let digest = Digest::of(key);
        let place = self.callers.binary_search_by_key(&digest, |(digest, _)| *digest).ok()?;
        self.callers.get(place).map(|(_, caller)| caller)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("header", &self.header).field("keys", &self.callers.len()).finish()
    }
}

impl Digest {
    fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret).as_ref());
        Self(bytes)
    }

    fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits = hex.as_bytes().as_chunks::<2>();
        if hex.len() != 2 * bytes.len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.0) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

fn caller(settings: &ApiKeySettings) -> Result<(Digest, Arc<ApiCaller>), ApiKeysError> {
    let name = || settings.name.clone();
    let digest = match &settings.secret {
        ApiSecret::Digest(hex) => {
            Digest::parse(hex).ok_or_else(|| ApiKeysError::NotADigest { name: name() })?
        }
        ApiSecret::Text(text) if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) => {
            Digest::of(text.as_bytes())
        }
        ApiSecret::Text(_) => return Err(ApiKeysError::SecretLength { name: name() }),
    };
    let caller = ApiCaller {
        name: settings.name.as_str().into(),
        scopes: settings.scopes.iter().map(String::as_str).collect(),
        labels: settings.labels.clone(),
    };
    Ok((digest, Arc::new(caller)))
}
