//! What a document refers to and does not hold: secrets and key files. The shell fetches it, and hands it in.

use std::collections::BTreeMap;

use crate::document::{Document, Secret};

/// The contents of the files and environment variables a document names.
#[derive(Clone, Default)]
pub struct Materials(BTreeMap<Secret, Vec<u8>>);

impl std::fmt::Debug for Materials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Materials {
    /// Adds one.
    pub fn add(&mut self, source: Secret, content: impl Into<Vec<u8>>) {
        self.0.insert(source, content.into());
    }

    /// The bytes of a file.
    pub(super) fn bytes(&self, source: &Secret) -> Result<&[u8], Missing> {
        self.0.get(source).map(Vec::as_slice).ok_or_else(|| Missing(source.clone()))
    }

    /// The text of a secret: a line end at its end is an editor's, not the secret's.
    pub(super) fn text(&self, source: &Secret) -> Result<&str, Missing> {
        let text = std::str::from_utf8(self.bytes(source)?).map_err(|_| Missing(source.clone()))?;
        Ok(text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text)))
    }
}

impl Materials {
    /// Whatever stands behind one identity: when it changes, so do the keys.
    pub(super) fn texts_of(&self, identity: &crate::document::identity::Identity) -> Vec<Option<&Vec<u8>>> {
        let files = identity.keys.iter().flat_map(|files| files.0.iter().cloned().map(Secret::File));
        let jwks = identity.jwks_file().map(|path| Secret::File(path.into()));
        identity
            .secret
            .clone()
            .into_iter()
            .chain(files)
            .chain(jwks)
            .map(|source| self.0.get(&source))
            .collect()
    }
}

/// Something the document refers to was not there, or was not text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} cannot be read")]
pub struct Missing(pub Secret);

/// Everything the shell has to fetch before this document can be compiled.
pub fn wanted(document: &Document) -> Vec<Secret> {
    let mut wanted = Vec::new();
    for identity in document.identities.0.values() {
        wanted.extend(identity.secret.clone());
        wanted.extend(identity.keys.iter().flat_map(|files| files.0.iter().cloned().map(Secret::File)));
        wanted.extend(identity.jwks_file().map(|path| Secret::File(path.into())));
        wanted.extend(identity.api_keys.iter().flatten().filter_map(|(_, key)| key.secret.clone()));
    }
    wanted.sort();
    wanted.dedup();
    wanted
}
