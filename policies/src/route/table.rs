//! The table of all routes: built once from patterns, asked once for every request.

use http::{HeaderMap, Method};

use super::build::{Anywhere, build};
use super::method::Methods;
use super::order;
use super::params::Captures;
use super::path::spelled;
use super::search::Search;
use super::sites::Sites;
use super::trie::{Behind, Trie};
use super::{Allowed, Conflict, Host, Params, Path, Pattern, Place};
use crate::why::Witness;

/// All routes, ready to be asked. Immutable; a lookup takes no lock and, unless something unusual happens,
/// allocates nothing.
#[derive(Debug)]
pub struct Table {
    pub(super) patterns: Vec<Pattern>,
    pub(super) sites: Sites,
    pub(super) trie: Trie,
    /// Those who wait together with others.
    pub(super) candidates: Vec<Candidate>,
    pub(super) captures: Vec<Captures>,
}

/// One route in one place, as small as a search needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) route: u32,
    /// Which of the table's captures reads the parameters; out of range if there are none to read.
    pub(super) captures: u32,
    pub(super) methods: Methods,
    /// Are there header or query conditions in the pattern?
    pub(super) conditions: bool,
}

/// What a lookup is about.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'r> {
    /// In lower case, without port.
    pub host: &'r str,
    /// Already normalised. One that does not begin with `/` (`OPTIONS *`, CONNECT) matches no route.
    pub path: &'r str,
    /// What follows the `?`, as it was sent.
    pub query: Option<&'r str>,
    /// The method.
    pub method: &'r Method,
    /// The header.
    pub headers: &'r HeaderMap,
}

/// The answer to [`Ask`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found<'r> {
    /// At least one route takes everything but the method.
    MethodNotAllowed {
        /// For the `Allow` header.
        allowed: Allowed<'r>,
    },
    /// No route takes this request.
    Nothing,
    /// The most specific route that takes this request.
    Route {
        /// Its index in what [`Table::build`] was given.
        index: usize,
        /// What the free parts of its path said.
        params: Params<'r>,
    },
}

impl Table {
    /// Compiles the table; refuses it, with all reasons, if two routes answer the same requests with nothing to
    /// choose between them, or if it would be larger than a table may be.
    pub fn build(patterns: Vec<Pattern>) -> Result<Self, Vec<Conflict>> {
        build(patterns)
    }

    /// The most specific route that takes the request. Where a more specific one does not fit in method, header
    /// or query, the next one is asked, down to less specific hosts.
    ///
    /// The host's case and a trailing dot do not matter even if the caller forgot them, nor which harmless characters of
    /// the path are escaped: a spelling must not lead past a strict route to a lenient one.
    pub fn find<'r>(&'r self, ask: &Ask<'r>, why: &mut impl Witness) -> Found<'r> {
        if !ask.path.starts_with('/') {
            return Found::Nothing;
        }
        let lowered;
        let mut host = ask.host.strip_suffix('.').unwrap_or(ask.host);
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lowered = host.to_ascii_lowercase();
            host = &lowered;
        }
        let path = spelled(ask.path);
        let mut search = Search::new(self, ask, &path, why);
        match self.sites.speaking_for(host).find_map(|site| search.ask(site)) {
            Some(chosen) => {
                let captures = self.captures.get(chosen.captures as usize);
                let params = captures.map(|captures| captures.read(ask.path)).unwrap_or_default();
                Found::Route { index: chosen.route as usize, params }
            }
            None if search.allowed.is_empty() => Found::Nothing,
            None => Found::MethodNotAllowed { allowed: search.allowed },
        }
    }

    /// Every host and path of every route, from most to least specific, with a line that says why it stands
    /// there. Sorts anew at each call: it is for people.
    pub fn order(&self) -> Vec<Place> {
        let anywhere = Anywhere::new();
        let mut places: Vec<_> = anywhere.places(&self.patterns).collect();
        places.sort_by(|(_, rule, host, path), (_, other_rule, other_host, other_path)| {
            order::hosts(host, other_host)
                .then_with(|| order::paths(path, other_path))
                .then_with(|| order::rules(rule, other_rule))
        });
        let with_reason = |(route, rule, host, path): (usize, &Pattern, &Host, &Path)| {
            let reason = order::reason(host, path, rule);
            Place { route, host: host.clone(), path: path.clone(), reason }
        };
        places.into_iter().map(with_reason).collect()
    }

    pub(super) fn candidates<'r>(&'r self, behind: &'r Behind) -> &'r [Candidate] {
        match *behind {
            Behind::Nobody => &[],
            Behind::One(ref candidate) => std::slice::from_ref(candidate),
            Behind::Several { start, len } => {
                self.candidates.get(start as usize..start as usize + len as usize).unwrap_or_default()
            }
        }
    }

    pub(super) fn pattern(&self, candidate: Candidate) -> Option<&Pattern> {
        self.patterns.get(candidate.route as usize)
    }
}
