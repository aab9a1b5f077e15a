//! Regular expressions a document's author may write: linear in time, bounded in size, anchored at both ends.

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use super::BadPattern;

/// Longer than any expression a person would want to review.
const TEXT_BYTES_MAX: usize = 4096;
/// One expression's automaton: `[^/]{1000}` and `\w{20}` fit, `\w{30}` (a letter of any script, thirty times) does not.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;
/// Nesting: deeper needs more stack to parse than text a person wrote.
const NESTING_MAX: u32 = 64;

/// One compiled expression. It matches the whole of a text or not at all, whether it says so or not.
#[derive(Clone, Debug)]
pub struct Expression {
    text: Box<str>,
    regex: Regex,
}

impl Expression {
    /// Compiles it; refuses what is malformed, or larger than a route may be.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadPattern::RegexTooLarge { bytes_max: TEXT_BYTES_MAX });
        }
        // Compiled alone first: `a)(b` is no expression, yet it would become one inside our anchoring group.
        compile(&[text], AUTOMATON_BYTES_MAX)?;
        let regex = compile(&[whole(text)], AUTOMATON_BYTES_MAX).map_err(|error| match error {
            // What is well-formed alone and not inside a group ends in a comment that swallows our bracket.
            BadPattern::Regex { .. } => {
                BadPattern::Regex { reason: "a `(?x)` comment may not be the end of it".to_owned() }
            }
            other => other,
        })?;
        Ok(Self { text: text.into(), regex })
    }

    /// As the author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does the whole of `bytes` match?
    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(Input::new(bytes).anchored(Anchored::Yes))
    }
}

/// The same expression, from end to end.
pub(super) fn whole(text: &str) -> String {
    format!("\\A(?:{text})\\z")
}

/// One automaton for all of `texts`; finds every one that matches, not only the first.
pub(super) fn compile<T: AsRef<str>>(texts: &[T], bytes_max: usize) -> Result<Regex, BadPattern> {
    let config = Regex::config()
        .match_kind(MatchKind::All)
        .nfa_size_limit(Some(bytes_max))
        .which_captures(WhichCaptures::None)
        .utf8_empty(false);
    // Header values and queries may hold any byte.
    let syntax = syntax::Config::new().utf8(false).nest_limit(NESTING_MAX);
    Regex::builder().configure(config).syntax(syntax).build_many(texts).map_err(|error| {
        match (error.size_limit(), error.syntax_error()) {
            (Some(_), _) => BadPattern::RegexTooLarge { bytes_max },
            (None, Some(syntax)) => BadPattern::Regex { reason: last_line(&syntax.to_string()) },
            (None, None) => BadPattern::Regex { reason: last_line(&error.to_string()) },
        }
    })
}

/// The library draws the expression with a mark under it and ends with a line that says what is wrong.
fn last_line(drawing: &str) -> String {
    let line = drawing.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
