//! The decision: is this token one of its issuer's, and does it hold now?
//!
//! Order matters. First whether the keys are believed at all: without them we cannot know, and say so (503) rather
//! than refuse (401). Then the cache. Then the form, the key, the signature, and only then what the token says:
//! claims nobody signed are never read.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::cache::{Kept, TokenCache};
use super::claims::Claims;
use super::issuer::Issuer;
use super::jwks::{Ask, Keyring};
use super::keys::{Key, KeyPrint, KeySet};
use super::last::LastToken;
use super::token::{self, Flaw, Header, Parts};
use crate::time::{Now, Tick};
use crate::verdict::{Denial, Fault};
use crate::why::Witness;

/// A token that names no key is tried against this many: one that was sent to cost us time costs 64 checks otherwise.
/// Issuers that name no keys publish one, or two while they change it.
const KEYS_TRIED_MAX: usize = 8;

/// Has this request already waited for new keys?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Yes: answer with what there is.
    Already,
    /// No: it may.
    NotYet,
}

/// Why a token was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Not decided: newer keys may settle it. Fetch them ([`Keyring::due`]), or wait for the fetch that is in the
    /// air, and ask again with [`Asked::Already`].
    AskKeys {
        /// The key the token names.
        key_id: Option<Box<str>>,
    },
    /// The token is no good.
    Denial(Denial),
    /// We cannot know.
    Fault(Fault),
}

/// What a token is checked against.
#[derive(Clone, Copy)]
pub struct TokenCheck<'a> {
    /// Whom we believe, and what about.
    pub issuer: &'a Issuer,
    /// Its keys.
    pub keyring: &'a Keyring,
    /// Tokens seen lately.
    pub cache: &'a TokenCache,
    /// The one that the connection showed last.
    pub last: Option<&'a LastToken>,
}

impl TokenCheck<'_> {
    /// Verifies a token. A token seen lately is answered from memory, without allocating.
    pub fn verify(
        &self,
        token: &str,
        now: Now,
        asked: Asked,
        why: &mut impl Witness,
    ) -> Result<Arc<Claims>, Refused> {
        let held = self.keyring.held();
        let Some(held) = held.as_ref().filter(|held| held.believed(now.tick)) else {
            // What is no token is no token under any key, and makes nobody wait for them.
            self.shaped(token).map_err(|flaw| told(flaw, why))?;
            return Err(self.without_keys(now.tick, asked, why));
        };
        if let Some(kept) = self.remembered(token, &held.keys, now.tick) {
            self.issuer.timely(&kept.claims, now.unix_secs).map_err(|flaw| told(flaw, why))?;
            why.note("jwt", || "the token was verified lately and still holds".to_owned());
            return Ok(kept.claims);
        }
        let (claims, key) = self.examine(token, &held.keys, now, asked).map_err(|wrong| wrong.told(why))?;
        let claims = Arc::new(claims);
        let (token, kept) = (Arc::from(token), Kept { claims: claims.clone(), key, verified: now.tick });
        self.show(&token, &kept);
        self.cache.keep(self.issuer.print(), token, kept);
        why.note("jwt", || format!("the token is genuine and from {:?}", claims.issuer));
        Ok(claims)
    }

    /// What the connection or the cache knows, if the key that signed is still one of the issuer's.
    fn remembered(&self, token: &str, keys: &KeySet, now: Tick) -> Option<Kept> {
        let shown = self.last.and_then(|last| last.find(self.issuer.print(), token));
        let kept = match shown.filter(|kept| self.cache.believes(kept, now)) {
            Some(kept) => kept,
            None => {
                let (token, kept) = self.cache.find(self.issuer.print(), token, now)?;
                self.show(&token, &kept);
                kept
            }
        };
        keys.holds(kept.key).then_some(kept)
    }

    fn show(&self, token: &Arc<str>, kept: &Kept) {
        if let Some(last) = self.last {
            last.keep(self.issuer.print(), token, kept);
        }
    }

    fn without_keys(&self, now: Tick, asked: Asked, why: &mut impl Witness) -> Refused {
        why.note("jwt", || format!("there are no keys of `{}` to check with", self.issuer.name()));
        match self.may_ask(now, asked) {
            Ask::No => Refused::Fault(Fault::KeysUnavailable),
            Ask::Yes => Refused::AskKeys { key_id: None },
        }
    }

    fn shaped(&self, token: &str) -> Result<(), Flaw> {
        let header = Header::parse(token::split(token)?.header)?;
        self.issuer.accepts(&header)
    }

    fn may_ask(&self, now: Tick, asked: Asked) -> Ask {
        match asked {
            Asked::Already => Ask::No,
            Asked::NotYet => self.keyring.ask(now),
        }
    }

    fn examine(
        &self,
        token: &str,
        keys: &KeySet,
        now: Now,
        asked: Asked,
    ) -> Result<(Claims, KeyPrint), Wrong> {
        let parts = token::split(token)?;
        let header = Header::parse(parts.header)?;
        self.issuer.accepts(&header)?;
        let print = match signed_by(&parts, &header, keys)? {
            Signer::Known(print) => print,
            Signer::Unknown(flaw) => match self.may_ask(now.tick, asked) {
                Ask::No if self.keyring.may_miss_keys(now.tick) => return Err(Wrong::Unknowable),
                Ask::No => return Err(Wrong::Flaw(flaw)),
                Ask::Yes => return Err(Wrong::MissesKey(header.key_id)),
            },
        };
        let claims = Claims::parse(parts.payload)?;
        self.issuer.believes(&claims, now.unix_secs)?;
        Ok((claims, print))
    }
}

/// What keeps a token from being accepted, before anybody is told.
enum Wrong {
    Flaw(Flaw),
    MissesKey(Option<Box<str>>),
    Unknowable,
}

impl From<Flaw> for Wrong {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl Wrong {
    fn told(self, why: &mut impl Witness) -> Refused {
        match self {
            Self::Flaw(flaw) => told(flaw, why),
            Self::MissesKey(key_id) => {
                why.note("jwt", || "no key we have signed the token; newer keys may have".to_owned());
                Refused::AskKeys { key_id }
            }
            Self::Unknowable => {
                why.note("jwt", || {
                    "no key we have signed the token, and newer keys cannot be had".to_owned()
                });
                Refused::Fault(Fault::KeysUnavailable)
            }
        }
    }
}

fn told(Flaw(denial, words): Flaw, why: &mut impl Witness) -> Refused {
    why.note("jwt", || words.to_owned());
    Refused::Denial(denial)
}

/// Who signed a token.
enum Signer {
    /// This key of the issuer's.
    Known(KeyPrint),
    /// None we have; the flaw it is if no newer key turns up.
    Unknown(Flaw),
}

/// Finds the key that signed. If the token names a key we have, that key decides. Otherwise those it may mean are
/// tried: keys without an id if it names one, all if it names none. And if none of them signed, a newer one may have.
fn signed_by(parts: &Parts<'_>, header: &Header, keys: &KeySet) -> Result<Signer, Flaw> {
    let signature = token::decode(parts.signature)?;
    let signed = |key: &Key| key.verifies(header.algorithm, parts.signed.as_bytes(), &signature);
    let is_named = |key: &&Key| header.key_id.is_some() && key.id == header.key_id;

    if keys.iter().any(|key| is_named(&key)) {
        let named = candidates(keys.iter().filter(is_named), header.algorithm)?;
        let signer = named.into_iter().find(|key| signed(key));
        return signer.map(|key| Signer::Known(key.print)).ok_or(NOT_SIGNED);
    }
    let meant = keys.iter().filter(|key| header.key_id.is_none() || key.id.is_none());
    let meant = match candidates(meant, header.algorithm) {
        Ok(meant) => meant,
        // It names no key, and no key takes its algorithm: this is somebody trying, not a change of keys.
        Err(flaw) if header.key_id.is_none() => return Err(flaw),
        Err(_) => return Ok(Signer::Unknown(KEY_UNKNOWN)),
    };
    match meant.into_iter().find(|key| signed(key)) {
        Some(key) => Ok(Signer::Known(key.print)),
        None => Ok(Signer::Unknown(NOT_SIGNED)),
    }
}

const KEY_UNKNOWN: Flaw =
    Flaw(Denial::TokenKeyUnknown, "the token names a key that the issuer does not publish");
const NOT_SIGNED: Flaw = Flaw(Denial::TokenSignature, "no key the token may mean has signed it");

/// Of these keys the first few that may verify this algorithm; that there is none is a flaw.
fn candidates<'k>(
    keys: impl Iterator<Item = &'k Key>,
    algorithm: Algorithm,
) -> Result<smallvec::SmallVec<[&'k Key; KEYS_TRIED_MAX]>, Flaw> {
    let able: smallvec::SmallVec<_> =
        keys.filter(|key| key.may_verify(algorithm)).take(KEYS_TRIED_MAX).collect();
    let none = Flaw(Denial::TokenAlgorithm, "the key does not allow the token's algorithm");
    if able.is_empty() { Err(none) } else { Ok(able) }
}
