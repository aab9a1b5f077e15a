//! Which hosts have routes, and in which order they are asked.

use ahash::RandomState;
use hashbrown::HashMap;

use super::Host;
use super::host::Kind;
use super::regexes::Regexes;
use super::trie::SEEDS;

/// The routes of one host pattern.
#[derive(Debug)]
pub(super) struct Site {
    /// Where its trie begins.
    pub(super) root: u32,
    /// Its regular expressions, if it has any.
    pub(super) regexes: Option<Box<Regexes>>,
}

/// All host patterns.
#[derive(Debug)]
pub(super) struct Sites {
    exact: HashMap<Box<str>, Site, RandomState>,
    under: HashMap<Box<str>, Site, RandomState>,
    /// The longest name in `under`: no longer end of a host needs a look, however many labels an attacker sends.
    under_bytes_max: usize,
    any: Option<Site>,
}

impl Sites {
    pub(super) fn new() -> Self {
        let (exact, under) = (HashMap::with_hasher(SEEDS), HashMap::with_hasher(SEEDS));
        Self { exact, under, under_bytes_max: 0, any: None }
    }

    pub(super) fn insert(&mut self, host: &Host, site: Site) {
        match &host.0 {
            Kind::Exact(name) => drop(self.exact.insert(name.clone(), site)),
            Kind::Under(name) => {
                self.under_bytes_max = self.under_bytes_max.max(name.len());
                self.under.insert(name.clone(), site);
            }
            Kind::Any => self.any = Some(site),
        }
    }

    /// The sites that speak for this host, most specific first.
    pub(super) fn speaking_for<'s>(&'s self, host: &'s str) -> impl Iterator<Item = &'s Site> {
        let ends =
            host.match_indices('.').filter(|(dot, _)| *dot > 0).filter_map(|(dot, _)| host.get(dot + 1..));
        let wildcards =
            ends.filter(|end| end.len() <= self.under_bytes_max).filter_map(|end| self.under.get(end));
        self.exact.get(host).into_iter().chain(wildcards).chain(&self.any)
    }
}
