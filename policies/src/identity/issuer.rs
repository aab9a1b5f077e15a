//! Whom we believe, and where in a request its token stands: an [`Issuer`], compiled from [`IssuerSettings`].

use std::fmt;
use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use ring::digest;

use super::algorithm::{Algorithm, AlgorithmSet};
use super::claims::Claims;
use super::token::{Flaw, Header};
use crate::verdict::Denial;

/// A minute already covers clocks that nobody looks after; more would lengthen the life of every stolen token.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// What the document says about an issuer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuerSettings {
    /// Its name in the document.
    pub name: String,
    /// What `iss` may be, compared whole. At least one.
    pub issuers: Vec<String>,
    /// For whom a token must have been made.
    pub audience: Audience,
    /// Which algorithms may be used, of those that its keys allow. None named: all that its keys allow.
    pub algorithms: Vec<Algorithm>,
    /// How far its clock and ours may differ. Default 30 s, at most 60 s.
    pub skew: Duration,
    /// What `typ` must be, for instance `at+jwt`. `None`: `JWT`, `at+jwt` or nothing, so that a logout token or the
    /// like is not taken for an access token.
    pub typ: Option<String>,
    /// Where in a request its token stands.
    pub found_in: TokenPlace,
}

impl Default for IssuerSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            issuers: Vec::new(),
            audience: Audience::OneOf(Vec::new()),
            algorithms: Vec::new(),
            skew: Duration::from_secs(30),
            typ: None,
            found_in: TokenPlace::Bearer,
        }
    }
}

/// For whom a token must have been made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Audience {
    /// For anybody. A token that one service was given can then be used on another; it has to be asked for.
    Anyone,
    /// For one of these, compared whole. At least one.
    OneOf(Vec<String>),
}

/// Where in a request a token stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TokenPlace {
    /// `Authorization: Bearer <token>`
    Bearer,
    /// The value of the cookie of this name.
    Cookie(String),
    /// The whole value of this header.
    Header(HeaderName),
}

/// Why an issuer cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IssuerError {
    /// No audience named, and not said that anybody will do.
    #[error("name an audience, or say that a token for anyone will do")]
    NoAudience,
    /// No `iss` named.
    #[error("name at least one issuer")]
    NoIssuer,
    /// More than 60 s.
    #[error("a clock skew of more than 60s lengthens the life of every stolen token")]
    SkewTooLong,
}

/// An issuer whose tokens are believed.
#[derive(Clone)]
pub struct Issuer {
    name: Box<str>,
    issuers: Box<[Box<str>]>,
    /// `None`: anyone.
    audiences: Option<Box<[Box<str>]>>,
    algorithms: AlgorithmSet,
    skew_secs: u64,
    typ: Option<Box<str>>,
    found_in: TokenPlace,
    print: IssuerPrint,
}

/// Tells issuers apart in the cache: a token that passed under other settings did not pass under these.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct IssuerPrint([u8; 32]);

impl Issuer {
    /// Compiles the settings; refuses those that would believe too much.
    pub fn compile(settings: &IssuerSettings) -> Result<Self, IssuerError> {
        let boxed =
            |names: &[String]| names.iter().map(|name| name.as_str().into()).collect::<Box<[Box<str>]>>();
        let audiences = match &settings.audience {
            Audience::Anyone => None,
            Audience::OneOf(names) if names.is_empty() => return Err(IssuerError::NoAudience),
            Audience::OneOf(names) => Some(boxed(names)),
        };
        if settings.issuers.is_empty() {
            return Err(IssuerError::NoIssuer);
        }
        if settings.skew > SKEW_MAX {
            return Err(IssuerError::SkewTooLong);
        }
        let named: AlgorithmSet = settings.algorithms.iter().copied().collect();
        Ok(Self {
            name: settings.name.as_str().into(),
            issuers: boxed(&settings.issuers),
            audiences,
            algorithms: if named.is_empty() { AlgorithmSet::all() } else { named },
            skew_secs: settings.skew.as_secs(),
            typ: settings.typ.as_deref().map(Box::from),
            found_in: settings.found_in.clone(),
            print: print(settings),
        })
    }

    /// Its name in the document.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The header its token stands in, for whoever must not send it on.
    pub fn header(&self) -> &HeaderName {
        match &self.found_in {
            TokenPlace::Bearer => &AUTHORIZATION,
            TokenPlace::Cookie(_) => &COOKIE,
            TokenPlace::Header(name) => name,
        }
    }

    /// The token of a request. None is `token-missing`; two, or bytes that no token has, are `token-malformed`:
    /// another reader might take the other one.
    pub fn find<'h>(&self, headers: &'h HeaderMap) -> Result<&'h str, Denial> {
        match &self.found_in {
            TokenPlace::Bearer => bearer(only(headers, &AUTHORIZATION)?),
            TokenPlace::Cookie(name) => cookie(headers, name),
            TokenPlace::Header(name) => Ok(only(headers, name)?.trim_ascii()),
        }
        .and_then(|token| if token.is_empty() { Err(Denial::TokenMissing) } else { Ok(token) })
    }

    pub(super) fn print(&self) -> IssuerPrint {
        self.print
    }

    /// May a token with this header be checked at all?
    pub(super) fn accepts(&self, header: &Header) -> Result<(), Flaw> {
        if !self.algorithms.contains(header.algorithm) {
            return Err(Flaw(Denial::TokenAlgorithm, "the token's algorithm is not one of the issuer's"));
        }
        let fits = match (&self.typ, &header.typ) {
            (Some(wanted), Some(typ)) => same_type(wanted, typ),
            (Some(_), None) => false,
            (None, Some(typ)) => same_type("JWT", typ) || same_type("at+jwt", typ),
            (None, None) => true,
        };
        if fits {
            Ok(())
        } else {
            Err(Flaw(Denial::TokenKind, "the token's `typ` is of another kind of token"))
        }
    }

    /// Is the token from this issuer, for us, and does it hold now?
    pub(super) fn believes(&self, claims: &Claims, unix_secs: u64) -> Result<(), Flaw> {
        if !self.issuers.contains(&claims.issuer) {
            return Err(Flaw(Denial::TokenIssuer, "the token's `iss` is not one of the issuer's"));
        }
        let for_us = match &self.audiences {
            Some(audiences) => claims.is_for(audiences)?,
            None => true,
        };
        if !for_us {
            return Err(Flaw(Denial::TokenAudience, "the token's `aud` names none of the audiences"));
        }
        self.timely(claims, unix_secs)
    }

    /// Does the token hold now? Asked again each time a token is seen.
    pub(super) fn timely(&self, claims: &Claims, unix_secs: u64) -> Result<(), Flaw> {
        // RFC 7519 section 4.1.4: "the expiration time on or after which the JWT MUST NOT be accepted".
        if unix_secs >= claims.expires_unix_secs.saturating_add(self.skew_secs) {
            return Err(Flaw(Denial::TokenExpired, "the token's `exp` is past"));
        }
        let latest = unix_secs.saturating_add(self.skew_secs);
        if claims.begins_unix_secs.is_some_and(|begins| begins > latest) {
            return Err(Flaw(Denial::TokenNotYetValid, "the token's `nbf` is yet to come"));
        }
        if claims.issued_unix_secs.is_some_and(|issued| issued > latest) {
            return Err(Flaw(Denial::TokenNotYetValid, "the token's `iat` is yet to come"));
        }
        Ok(())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuer").field(&self.name).finish()
    }
}

/// The quotes of `Debug` keep fields apart, so two settings print alike only if they are alike.
fn print(settings: &IssuerSettings) -> IssuerPrint {
    let digest = digest::digest(&digest::SHA256, format!("{settings:?}").as_bytes());
    let mut print = [0; 32];
    print.copy_from_slice(digest.as_ref());
    IssuerPrint(print)
}

/// RFC 7515 section 4.1.9: media types without regard to case, and "application/" may be left out.
fn same_type(wanted: &str, typ: &str) -> bool {
    let short = |typ: &str| match typ.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest.to_ascii_lowercase(),
        _ => typ.to_ascii_lowercase(),
    };
    short(wanted) == short(typ)
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Denial> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(Denial::TokenMissing)?;
    if values.next().is_some() {
        return Err(Denial::TokenMalformed);
    }
    value.to_str().map_err(|_| Denial::TokenMalformed)
}

/// RFC 6750 section 2.1: `"Bearer" 1*SP b64token`; RFC 9110 section 11.1: the scheme's case does not matter. Another
/// scheme is a caller that did not bring a token.
fn bearer(value: &str) -> Result<&str, Denial> {
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Denial::TokenMissing);
    }
    Ok(token.trim_ascii())
}

/// RFC 6265 section 4.2.1: pairs with "; " between them. HTTP/2 may split the field (RFC 9113 section 8.2.3), so
/// several `Cookie` fields are no fault; two cookies of the name are. Read as bytes, so that an odd neighbour neither
/// hides a cookie nor spoils one.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Denial> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let value = |pair: &'h [u8]| pair.trim_ascii_start().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    let mut named = pairs.filter_map(value);
    let token = named.next().ok_or(Denial::TokenMissing)?;
    if named.next().is_some() {
        return Err(Denial::TokenMalformed);
    }
    std::str::from_utf8(token.trim_ascii()).map_err(|_| Denial::TokenMalformed)
}
