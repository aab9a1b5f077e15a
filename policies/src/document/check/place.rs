//! Where in the text a checked value stands.

use crate::document::problem::{At, did_you_mean};
use crate::document::reader::{Cuts, Reading};
use crate::document::tree::{Node, Value};

/// A place in the document, walked to by the same keys and positions as the typed value.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    node: Option<&'a Node>,
    at: At,
    cuts: &'a Cuts,
}

impl<'a> Place<'a> {
    pub(super) fn root(node: &'a Node, cuts: &'a Cuts) -> Self {
        Self { node: Some(node), at: At { width: 1, ..node.at }, cuts }
    }

    /// The value of this key; where there is none, problems are shown at the block that lacks it.
    pub(super) fn key(self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => Self { node: Some(&entry.node), at: entry.node.at, ..self },
            None => Self { node: None, ..self },
        }
    }

    /// The block of this name: problems with all of it are shown at the name.
    pub(super) fn named(self, name: &str) -> Self {
        match self.node.and_then(|node| node.entry(name)) {
            Some(entry) => Self { node: Some(&entry.node), at: entry.key_at, ..self },
            None => Self { node: None, ..self },
        }
    }

    /// The n-th item that could be read; of a single value that stands for a list, the value.
    pub(super) fn item(self, n: usize) -> Self {
        let Some(node) = self.node else { return self };
        let item = match &node.value {
            // Where nothing was left out, and nowhere else does it matter how many there are, the n-th is the n-th.
            Value::List(items) if self.cuts.is_empty() => items.get(n),
            Value::List(items) => items.iter().filter(|item| !self.cuts.has(item)).nth(n),
            Value::Map(_) | Value::Scalar { .. } => Some(node),
        };
        match item {
            Some(item) => self.at_item(item),
            None => Self { node: None, ..self },
        }
    }

    /// All items that could be read: for a list that may be long, where asking for each by its number would count
    /// from the first one every time.
    pub(super) fn items(self) -> Vec<Self> {
        match self.node.map(|node| &node.value) {
            Some(Value::List(items)) => {
                items.iter().filter(|item| !self.cuts.has(item)).map(|item| self.at_item(item)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn at_item(self, item: &'a Node) -> Self {
        // A block in a list begins where its first key does; that key is the better mark.
        let at = match &item.value {
            Value::Map(entries) => entries.first().map_or(item.at, |entry| entry.key_at),
            _ => item.at,
        };
        Self { node: Some(item), at, ..self }
    }

    /// Do the names that stand here include this one, read or not? What could not be read is a problem already, and
    /// if a whole file could not be read, nobody can say that a name is missing.
    pub(super) fn names(self, name: &str) -> bool {
        self.cuts.reading == Reading::Partial || self.node.is_some_and(|node| node.entry(name).is_some())
    }

    /// Does the key stand here with nothing behind it: no value, or an empty list?
    pub(super) fn is_hollow(self, key: &str) -> bool {
        self.node.and_then(|node| node.entry(key)).is_some_and(|entry| match &entry.node.value {
            Value::List(items) => items.is_empty(),
            Value::Map(_) => false,
            Value::Scalar { .. } => entry.node.is_null(),
        })
    }

    pub(super) fn problem(self, message: impl Into<String>) {
        self.cuts.problems.borrow_mut().add(self.at, message, None);
    }

    pub(super) fn problem_with_hint(self, message: impl Into<String>, hint: impl Into<String>) {
        self.cuts.problems.borrow_mut().add(self.at, message, Some(hint.into()));
    }

    /// A name that refers to nothing.
    pub(super) fn dangling<'n>(
        self,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'n str> + Clone,
    ) {
        self.problem_with_hint(format!("there is no {what} named `{name}`"), did_you_mean(name, known));
    }
}
