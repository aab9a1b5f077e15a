//! What a verified token says.

use std::time::Duration;

use serde_json::{Map, Value};

use super::json;
use super::token::{Flaw, decode};
use crate::access::{ClaimPath, Scopes};
use crate::verdict::Denial;

/// The claims of a token whose signature, issuer, audience and times have been checked. Nothing outside `identity`
/// can make one.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// Who the caller is (`sub`), by the issuer's naming.
    pub subject: Option<Box<str>>,
    /// Who says so (`iss`).
    pub issuer: Box<str>,
    /// What the caller may do: `scope` and `scp`, each a string with spaces or an array.
    pub scopes: Scopes,
    /// The second, since 1970, at which the token ends (`exp`), before any allowance for skewed clocks.
    pub expires_unix_secs: u64,
    /// The second at which it begins (`nbf`), if it says.
    pub begins_unix_secs: Option<u64>,
    /// The second at which it was issued (`iat`), if it says.
    pub issued_unix_secs: Option<u64>,
    /// Everything the token says, the above included.
    pub all: Map<String, Value>,
}

impl Claims {
    /// The claim at this path.
    pub fn find(&self, path: &ClaimPath) -> Option<&Value> {
        path.find(&self.all)
    }

    /// Reads the payload of a token whose signature is good. Every flaw here is one the issuer signed.
    pub(super) fn parse(payload: &str) -> Result<Self, Flaw> {
        let all = json::object(&decode(payload)?)
            .ok_or(malformed("the token's claims are not a JSON object with each name once, or too many"))?;
        let expires = seconds(&all, "exp")?
            .ok_or(Flaw(Denial::TokenEndless, "the token has no `exp`, so it would never end"))?;
        Ok(Self {
            subject: text(&all, "sub")?.map(Box::from),
            issuer: text(&all, "iss")?
                .ok_or(Flaw(Denial::TokenIssuer, "the token does not say who issued it"))?
                .into(),
            scopes: scopes(&all)?,
            expires_unix_secs: expires,
            begins_unix_secs: seconds(&all, "nbf")?,
            issued_unix_secs: seconds(&all, "iat")?,
            all,
        })
    }

    /// RFC 7519 section 4.1.3: `aud` is one string or an array of them; it is enough if one is ours.
    pub(super) fn is_for(&self, audiences: &[Box<str>]) -> Result<bool, Flaw> {
        Ok(strings(&self.all, "aud")?.any(|audience| audiences.iter().any(|ours| **ours == *audience)))
    }

    pub(super) fn weight(&self) -> usize {
        size_of::<Self>()
            + json::weight_of_members(&self.all)
            + 2 * self.scopes.iter().map(str::len).sum::<usize>()
    }
}

const fn malformed(words: &'static str) -> Flaw {
    Flaw(Denial::TokenMalformed, words)
}

fn text<'m>(claims: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Flaw> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(malformed("`iss` or `sub` of the token is not a string")),
    }
}

/// RFC 7519 section 2: a NumericDate is a number of seconds, "non-integer values can be represented". The fraction is
/// dropped; what is negative, endless or not a number is refused.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, Flaw> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let fraction = |seconds| Duration::try_from_secs_f64(seconds).ok().map(|time| time.as_secs());
    match value.as_u64().or_else(|| value.as_f64().and_then(fraction)) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(malformed("`exp`, `nbf` or `iat` of the token is not a number of seconds")),
    }
}

/// Authorization servers write scopes in four ways: `scope` as RFC 8693 section 4.2 has it, `scp`, and either as an
/// array.
fn scopes(claims: &Map<String, Value>) -> Result<Scopes, Flaw> {
    let texts = strings(claims, "scope")?.chain(strings(claims, "scp")?);
    Ok(texts.flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty()).collect())
}

fn strings<'m>(claims: &'m Map<String, Value>, name: &str) -> Result<impl Iterator<Item = &'m str>, Flaw> {
    let values = match claims.get(name) {
        None => &[],
        Some(Value::Array(values)) => values.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    if values.iter().all(Value::is_string) {
        return Ok(values.iter().filter_map(Value::as_str));
    }
    Err(malformed("`aud`, `scope` or `scp` of the token is neither a string nor an array of strings"))
}
