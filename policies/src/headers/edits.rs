//! Header edits as data: what the document says shall be set, added and removed.

use http::header::{self, HeaderName, HeaderValue};

use super::Fields;
use super::names::{X_REQUEST_ID, is_hop_by_hop, is_ours};

/// Edits that have been looked over. Made once, applied to every message; most routes have none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edits(Option<Box<Lists>>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Lists {
    add: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, HeaderValue)>,
}

/// An edit no document may make.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EditError {
    /// Connection and its kin.
    #[error("the header `{0}` is about one connection only and cannot be edited")]
    Connection(HeaderName),
    /// Content-Length, Transfer-Encoding.
    #[error("the header `{0}` says where the body ends and cannot be edited")]
    Framing(HeaderName),
    /// A second Host, or none.
    #[error("a request has exactly one `host`: it can be set, but neither added nor removed")]
    Host,
    /// `x-banyan-*`, `x-request-id`.
    #[error("the header `{0}` is set by the proxy itself and cannot be edited")]
    Ours(HeaderName),
}

impl Edits {
    /// Refuses edits of what frames the message, of what belongs to the connection, and of our own fields.
    pub fn new(
        set: Vec<(HeaderName, HeaderValue)>,
        add: Vec<(HeaderName, HeaderValue)>,
        remove: Vec<HeaderName>,
    ) -> Result<Self, EditError> {
        let added = add.iter().map(|(name, _)| name);
        let set_names = set.iter().map(|(name, _)| name);
        added.clone().chain(set_names).chain(&remove).try_for_each(editable)?;
        if added.chain(&remove).any(|name| *name == header::HOST) {
            return Err(EditError::Host);
        }
        let lists = Lists { add, remove, set };
        let none = lists.add.is_empty() && lists.remove.is_empty() && lists.set.is_empty();
        Ok(Self((!none).then(|| Box::new(lists))))
    }

    /// Removes, then sets, then adds: so a document can say "none but this".
    pub fn apply(&self, fields: &mut impl Fields) {
        let Some(lists) = &self.0 else { return };
        for name in &lists.remove {
            fields.remove(name);
        }
        for (name, value) in &lists.set {
            fields.set(name.clone(), value.clone());
        }
        for (name, value) in &lists.add {
            fields.append(name.clone(), value.clone());
        }
    }

    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn editable(name: &HeaderName) -> Result<(), EditError> {
    if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING || *name == header::TRAILER {
        Err(EditError::Framing(name.clone()))
    } else if is_hop_by_hop(name) {
        Err(EditError::Connection(name.clone()))
    } else if is_ours(name) || *name == X_REQUEST_ID {
        Err(EditError::Ours(name.clone()))
    } else {
        Ok(())
    }
}
