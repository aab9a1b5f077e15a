//! The token that a connection showed last. A client shows the same one with each of its requests: to compare it costs less
//! than to look it up, and asks for no lock that other cores want.
//!
//! What is found here is worth as much as what is found in the cache, and no more: `verify.rs` asks of both whether the
//! settings are those it passed under, whether the key that signed is still believed, and whether the token holds now.

use std::fmt;
use std::sync::Arc;

use super::cache::Kept;
use super::issuer::IssuerPrint;
use crate::sync::{Mutex, lock};

/// A longer one is looked up each time: so much may stay with every connection that rests.
const BYTES_MAX: usize = 4096;

/// The last good token of one connection, and all that was found out about it. Its text and claims are those of the cache,
/// not copies.
pub struct LastToken(Mutex<Option<Shown>>);

struct Shown {
    issuer: IssuerPrint,
    token: Arc<str>,
    kept: Kept,
}

impl Default for LastToken {
    /// None was shown yet.
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl fmt::Debug for LastToken {
    /// Says nothing: whoever has the token is the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastToken").finish_non_exhaustive()
    }
}

impl LastToken {
    /// What is remembered, if it is this token, byte by byte, and passed under these settings.
    pub(super) fn find(&self, issuer: IssuerPrint, token: &str) -> Option<Kept> {
        let shown = lock(&self.0);
        let same = |shown: &&Shown| shown.issuer == issuer && *shown.token == *token;
        shown.as_ref().filter(same).map(|shown| shown.kept.clone())
    }

    /// Remembers a good token in the place of the one before.
    pub(super) fn keep(&self, issuer: IssuerPrint, token: &Arc<str>, kept: &Kept) {
        let shown =
            (token.len() <= BYTES_MAX).then(|| Shown { issuer, token: token.clone(), kept: kept.clone() });
        *lock(&self.0) = shown;
    }
}
