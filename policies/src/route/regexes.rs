//! The regular expressions of one host as one automaton: the path is read once, however many there are.

use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::meta::Regex;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, PatternSet};

use super::BadPattern;
use super::expression::{compile, whole};
use super::trie::Behind;

/// All expressions of one host together: thirty-two of the largest there may be.
const AUTOMATON_BYTES_MAX: usize = 32 << 20;

/// One host's expressions, most specific first, and who stands behind each.
#[derive(Debug)]
pub(super) struct Regexes {
    automaton: Regex,
    /// Which expressions matched: a set kept for every thread, so that a lookup allocates nothing.
    matched: Pool<PatternSet, Box<dyn Fn() -> PatternSet + Send + Sync + UnwindSafe + RefUnwindSafe>>,
    behind: Vec<Behind>,
}

impl Regexes {
    /// Compiles them together, in this order; refuses what is too large together.
    pub(super) fn build(expressions: &[(&str, Behind)]) -> Result<Self, BadPattern> {
        let texts: Vec<_> = expressions.iter().map(|(text, _)| whole(text)).collect();
        let count = expressions.len();
        Ok(Self {
            automaton: compile(&texts, AUTOMATON_BYTES_MAX)?,
            matched: Pool::new(Box::new(move || PatternSet::new(count))),
            behind: expressions.iter().map(|(_, behind)| *behind).collect(),
        })
    }

    /// Offers who stands behind each expression that matches the whole path, until somebody is chosen.
    pub(super) fn choose<T>(&self, path: &str, mut offer: impl FnMut(Behind) -> Option<T>) -> Option<T> {
        let mut matched = self.matched.get();
        matched.clear();
        let input = Input::new(path).anchored(Anchored::Yes);
        self.automaton.which_overlapping_matches(&input, &mut matched);
        matched.iter().filter_map(|which| self.behind.get(which.as_usize())).find_map(|behind| offer(*behind))
    }
}
