//! Which certificate answers for which name: exact names before wildcards, and one for those who name nobody.

use std::collections::HashMap;

/// Names and what they stand for.
#[derive(Debug)]
pub(super) struct Names<T> {
    exact: HashMap<String, T>,
    /// Under the name behind the first dot.
    wildcard: HashMap<String, T>,
    unnamed: Option<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), unnamed: None }
    }
}

impl<T> Names<T> {
    /// Adds a name out of a certificate. The first one to have it keeps it.
    pub(super) fn add(&mut self, name: &str, value: T) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.to_owned()).or_insert(value),
            None => self.exact.entry(name).or_insert(value),
        };
    }

    /// Answers those who name nobody.
    pub(super) fn set_unnamed(&mut self, value: T) {
        self.unnamed = Some(value);
    }

    /// A wildcard stands for one label: RFC 9525 §6.3.
    pub(super) fn find(&self, name: Option<&str>) -> Option<&T> {
        let Some(name) = name else { return self.unnamed.as_ref() };
        let name = name.to_ascii_lowercase();
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        self.exact.get(&name).or_else(parent)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn exact_names_come_before_wildcards_and_a_wildcard_is_one_label() {
        let mut names = Names::default();
        names.add("*.shop.example", 1);
        names.add("www.shop.example", 2);
        names.set_unnamed(3);
        let rows = [
            (Some("WWW.shop.example"), Some(&2)),
            (Some("api.shop.example"), Some(&1)),
            (Some("a.b.shop.example"), None),
            (Some("shop.example"), None),
            (Some("other.example"), None),
            (None, Some(&3)),
        ];
        for (name, expected) in rows {
            assert_eq!(names.find(name), expected, "{name:?}");
        }
    }
}
