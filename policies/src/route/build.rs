//! From patterns to a table: every route is put in every place it names, then the places are put in order.

use std::cmp::Reverse;

use ahash::RandomState;
use hashbrown::{HashMap, HashSet};

use super::method::Methods;
use super::order;
use super::params::Captures;
use super::path::{End, Shape};
use super::regexes::Regexes;
use super::sites::{Site, Sites};
use super::table::{Candidate, Table};
use super::trie::{Behind, NONE, SEEDS, Trie, index};
use super::{Conflict, Host, Path, Pattern};

/// Ten times the largest table that was measured. With the bounds on one pattern it keeps every index in 32 bits.
const PLACES_MAX: usize = 1 << 20;

/// Where candidates wait together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Spot<'p> {
    Closed {
        node: u32,
    },
    Open {
        node: u32,
    },
    /// Sorted as `order::paths` has it: longer text first, then by the alphabet.
    Regex {
        site: usize,
        longest: Reverse<usize>,
        text: &'p str,
    },
}

/// One route in one place, on its way to its spot.
struct Placed<'p> {
    spot: Spot<'p>,
    candidate: Candidate,
    rule: &'p Pattern,
    host: &'p Host,
    path: &'p Path,
}

/// The table in the making.
#[derive(Default)]
struct Draft<'p> {
    trie: Trie,
    candidates: Vec<Candidate>,
    captures: Vec<Captures>,
    sites: Vec<SiteDraft<'p>>,
}

/// A site in the making.
struct SiteDraft<'p> {
    host: &'p Host,
    root: u32,
    /// In order, with who stands behind each.
    expressions: Vec<(&'p str, Behind)>,
}

/// What a pattern that lists no host or no path stands for.
pub(super) struct Anywhere {
    hosts: [Host; 1],
    paths: [Path; 1],
}

impl Anywhere {
    pub(super) fn new() -> Self {
        Self { hosts: [Host::default()], paths: [Path::any()] }
    }

    /// Every host and path of every route.
    pub(super) fn places<'p>(
        &'p self,
        patterns: &'p [Pattern],
    ) -> impl Iterator<Item = (usize, &'p Pattern, &'p Host, &'p Path)> {
        patterns.iter().enumerate().flat_map(move |(route, rule)| {
            let hosts = if rule.hosts.is_empty() { &self.hosts[..] } else { &rule.hosts };
            let paths = if rule.paths.is_empty() { &self.paths[..] } else { &rule.paths };
            hosts.iter().flat_map(move |host| paths.iter().map(move |path| (route, rule, host, path)))
        })
    }
}

pub(super) fn build(patterns: Vec<Pattern>) -> Result<Table, Vec<Conflict>> {
    let anywhere = Anywhere::new();
    if anywhere.places(&patterns).nth(PLACES_MAX).is_some() {
        return Err(vec![Conflict::TooManyPlaces { most: PLACES_MAX }]);
    }
    let mut draft = Draft::default();
    let mut placed = draft.place(&anywhere, &patterns);
    placed.sort_by(|one, two| one.spot.cmp(&two.spot).then_with(|| order::rules(one.rule, two.rule)));
    let conflicts = conflicts(&placed);
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    draft.settle(&placed);
    let sites = draft.finish_sites()?;
    let Draft { trie, candidates, captures, .. } = draft;
    Ok(Table { patterns, sites, trie, candidates, captures })
}

impl<'p> Draft<'p> {
    fn place(&mut self, anywhere: &'p Anywhere, patterns: &'p [Pattern]) -> Vec<Placed<'p>> {
        let mut sites: HashMap<&Host, usize, RandomState> = HashMap::with_hasher(SEEDS);
        let mut placed = Vec::with_capacity(patterns.len());
        for (route, rule, host, path) in anywhere.places(patterns) {
            let site = *sites.entry(host).or_insert_with(|| {
                self.sites.push(SiteDraft { host, root: self.trie.root(), expressions: Vec::new() });
                self.sites.len() - 1
            });
            let (spot, captures) = self.spot(site, path);
            let methods = Methods::of(&rule.methods);
            let conditions = !(rule.headers.is_empty() && rule.query.is_empty());
            let candidate = Candidate { route: index(route), captures, methods, conditions };
            placed.push(Placed { spot, candidate, rule, host, path });
        }
        placed
    }

    fn spot(&mut self, site: usize, path: &'p Path) -> (Spot<'p>, u32) {
        let (segments, end) = match &path.0 {
            Shape::Regex(expression) => {
                let text = expression.text();
                return (Spot::Regex { site, longest: Reverse(text.len()), text }, NONE);
            }
            Shape::Segments { segments, end } => (segments, end),
        };
        let root = self.sites.get(site).map_or(NONE, |site| site.root);
        let node = self.trie.grow(root, segments);
        let captures = Captures::of(segments, end).map_or(NONE, |captures| {
            self.captures.push(captures);
            index(self.captures.len() - 1)
        });
        (if *end == End::Closed { Spot::Closed { node } } else { Spot::Open { node } }, captures)
    }

    /// Lays the candidates of each spot side by side and tells the spot where they are.
    fn settle(&mut self, placed: &[Placed<'p>]) {
        for together in placed.chunk_by(|one, two| one.spot == two.spot) {
            let behind = match together {
                [alone] => Behind::One(alone.candidate),
                several => {
                    let start = index(self.candidates.len());
                    self.candidates.extend(several.iter().map(|placed| placed.candidate));
                    Behind::Several { start, len: index(several.len()) }
                }
            };
            if let Some(placed) = together.first() {
                self.point(placed.spot, behind);
            }
        }
    }

    fn point(&mut self, spot: Spot<'p>, behind: Behind) {
        match spot {
            Spot::Closed { node } => {
                if let Some(node) = self.trie.node_mut(node) {
                    node.closed = behind;
                }
            }
            Spot::Open { node } => {
                if let Some(node) = self.trie.node_mut(node) {
                    node.open = behind;
                }
            }
            Spot::Regex { site, text, .. } => {
                if let Some(site) = self.sites.get_mut(site) {
                    site.expressions.push((text, behind));
                }
            }
        }
    }

    fn finish_sites(&self) -> Result<Sites, Vec<Conflict>> {
        let mut sites = Sites::new();
        let mut conflicts = Vec::new();
        for SiteDraft { host, root, expressions } in &self.sites {
            let regexes = match expressions.as_slice() {
                [] => None,
                some => match Regexes::build(some) {
                    Ok(regexes) => Some(Box::new(regexes)),
                    Err(_) => {
                        conflicts.push(Conflict::RegexesTooLarge { host: host.to_string() });
                        None
                    }
                },
            };
            sites.insert(host, Site { root: *root, regexes });
        }
        if conflicts.is_empty() { Ok(sites) } else { Err(conflicts) }
    }
}

/// Routes that wait at the same spot, ask the same of a request, and share a method. Equals stand side by side.
fn conflicts(placed: &[Placed<'_>]) -> Vec<Conflict> {
    let mut known = HashSet::with_hasher(SEEDS);
    let mut conflicts = Vec::new();
    let same =
        |one: &Placed<'_>, two: &Placed<'_>| one.spot == two.spot && order::rules(one.rule, two.rule).is_eq();
    for equals in placed.chunk_by(same).filter(|equals| equals.len() > 1) {
        let mut taken = HashMap::with_hasher(SEEDS);
        for one in equals {
            let methods: Vec<_> = match one.rule.methods.as_slice() {
                [] => vec![None],
                named => named.iter().map(Some).collect(),
            };
            for method in methods {
                let earlier: &&Placed<'_> = taken.entry(method).or_insert(one);
                let (first, second) = in_document_order(earlier, one);
                let pair = (first.candidate.route, second.candidate.route);
                if pair.0 != pair.1 && known.insert(pair) {
                    conflicts.push(Conflict::SameRequests {
                        first: pair.0 as usize,
                        second: pair.1 as usize,
                        names: [first.rule.name.clone(), second.rule.name.clone()],
                        host: one.host.to_string(),
                        path: one.path.to_string(),
                        method: method.cloned(),
                    });
                }
            }
        }
    }
    conflicts
}

fn in_document_order<'a, 'p>(one: &'a Placed<'p>, two: &'a Placed<'p>) -> (&'a Placed<'p>, &'a Placed<'p>) {
    if one.candidate.route <= two.candidate.route { (one, two) } else { (two, one) }
}
