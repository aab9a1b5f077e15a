//! One lookup under way. The data path and `explain` run this same code; only the witness differs.
//!
//! Every node of the trie is entered at most once, because only one path leads to it: a lookup costs at most the
//! number of nodes that the path could match, and its depth is bounded by the longest pattern.

use http::{HeaderMap, Method};
use smallvec::SmallVec;

use super::method::Methods;
use super::params::cut;
use super::sites::Site;
use super::table::{Candidate, Table};
use super::trie::Behind;
use super::{Allowed, Ask, Pattern};
use crate::why::Witness;

/// What a lookup knows so far.
pub(super) struct Search<'r, 'p, 'w, W> {
    table: &'r Table,
    method: &'r Method,
    headers: &'r HeaderMap,
    query: Option<&'r str>,
    /// As it is matched.
    path: &'p str,
    bit: Methods,
    /// Who waits at nodes with an open end that were passed, in the order of specificity. Sixteen are more than a shop's table
    /// has above one path; a document that stacks more costs an allocation.
    open: SmallVec<[Behind; 16]>,
    /// Whom only the method kept out.
    pub(super) allowed: Allowed<'r>,
    why: &'w mut W,
}

impl<'r, 'p, 'w, W: Witness> Search<'r, 'p, 'w, W> {
    pub(super) fn new(table: &'r Table, ask: &Ask<'r>, path: &'p str, why: &'w mut W) -> Self {
        let Ask { method, headers, query, .. } = *ask;
        let (bit, open, allowed) = (Methods::bit(method), SmallVec::new(), Allowed::default());
        Self { table, method, headers, query, path, bit, open, allowed, why }
    }

    /// Asks one host's routes, most specific first.
    pub(super) fn ask(&mut self, site: &Site) -> Option<Candidate> {
        self.open.clear();
        self.descend(site.root, self.path.strip_prefix('/'))
            .or_else(|| site.regexes.as_ref()?.choose(self.path, |behind| self.choose(behind)))
            .or_else(|| (0..self.open.len()).find_map(|next| self.choose(*self.open.get(next)?)))
    }

    /// `rest` is what follows the slash after this node, if there is a slash.
    fn descend(&mut self, at: u32, rest: Option<&str>) -> Option<Candidate> {
        let table = self.table;
        let node = table.trie.node(at)?;
        let chosen = match rest {
            None => self.choose(node.closed),
            Some(rest) => {
                let (segment, further) = cut(rest);
                let literal = table.trie.child(at, segment).and_then(|child| self.descend(child, further));
                literal.or_else(|| match segment {
                    "" => None,
                    _ => self.descend(node.free, further),
                })
            }
        };
        if chosen.is_none() && !matches!(node.open, Behind::Nobody) {
            self.open.push(node.open);
        }
        chosen
    }

    /// The first of these that takes the request, those that name a HEAD request's method before the others.
    fn choose(&mut self, behind: Behind) -> Option<Candidate> {
        let candidates = self.table.candidates(&behind);
        let favours = self.bit.favours();
        let favoured = candidates.iter().filter(|candidate| candidate.methods.meets(favours));
        let others = candidates.iter().filter(|candidate| !candidate.methods.meets(favours));
        favoured.chain(others).find(|candidate| self.takes(**candidate)).copied()
    }

    fn takes(&mut self, candidate: Candidate) -> bool {
        if candidate.conditions && !self.conditions_hold(candidate) {
            return false;
        }
        if !self.method_fits(candidate) {
            let rule = self.table.pattern(candidate);
            self.allowed.add(candidate.methods, rule.map_or(&[], |rule| &rule.methods));
            let method = self.method;
            self.why
                .note("route", || format!("{} loses: it does not answer {method}", called(rule, candidate)));
            return false;
        }
        let table = self.table;
        self.why.note("route", || format!("{} wins", called(table.pattern(candidate), candidate)));
        true
    }

    fn method_fits(&self, candidate: Candidate) -> bool {
        if candidate.methods.meets(Methods::ANY) {
            return true;
        }
        if self.bit == Methods::OTHER {
            let rule = self.table.pattern(candidate);
            return rule.is_some_and(|rule| rule.methods.contains(self.method));
        }
        candidate.methods.meets(self.bit.answered_by())
    }

    fn conditions_hold(&mut self, candidate: Candidate) -> bool {
        let Some(rule) = self.table.pattern(candidate) else { return false };
        if let Some(broken) = rule.headers.iter().find(|field| !field.holds(self.headers)) {
            self.why
                .note("route", || format!("{} loses: not true that {broken}", called(Some(rule), candidate)));
            return false;
        }
        if let Some(broken) = rule.query.iter().find(|pair| !pair.holds(self.query)) {
            self.why
                .note("route", || format!("{} loses: not true that {broken}", called(Some(rule), candidate)));
            return false;
        }
        true
    }
}

/// What a route is called in a remark.
fn called(rule: Option<&Pattern>, candidate: Candidate) -> String {
    match rule {
        Some(rule) if !rule.name.is_empty() => format!("`{}`", rule.name),
        _ => format!("route {}", candidate.route),
    }
}
