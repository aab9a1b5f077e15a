//! What is wrong with a document, and where. All of it, not the first.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// More problems than this are counted, not listed: nobody reads further, and a hostile file must not fill memory.
const LISTED_MAX: usize = 100;

/// One text with the name it goes by in messages: its path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// The path, as the operator wrote it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// Names a text.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }
}

/// A place in one of the sources.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct At {
    /// Which source, by its position in the list that was loaded.
    pub file: u16,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters of that line it is about.
    pub width: u32,
}

/// One thing wrong: what was found, what was expected, and what was probably meant.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// Where.
    pub at: At,
    /// What was found and what was expected, in one sentence.
    pub message: String,
    /// What to do, or what was probably meant.
    pub hint: Option<String>,
}

/// Everything that is wrong with a document. Its `Display` shows each problem in the text it was found in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DocumentError {
    sources: Vec<Source>,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl DocumentError {
    /// The problems, by file and line.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The name of the source a problem is in.
    pub fn file(&self, problem: &Problem) -> &str {
        self.sources.get(usize::from(problem.at.file)).map_or("", |source| &source.name)
    }
}

impl std::error::Error for DocumentError {}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}\n", self.shown(problem))?;
        }
        if self.unlisted > 0 {
            writeln!(f, "... and {} more\n", self.unlisted)?;
        }
        let count = self.problems.len() + self.unlisted;
        write!(f, "{count} problem{}; nothing was loaded", if count == 1 { "" } else { "s" })
    }
}

impl DocumentError {
    /// The problem with its line of the source, and a mark under the place.
    fn shown(&self, problem: &Problem) -> String {
        let source = self.sources.get(usize::from(problem.at.file));
        let line = source
            .and_then(|source| source.text.lines().nth(problem.at.line.saturating_sub(1) as usize))
            .unwrap_or_default();
        let start = byte_of(line, problem.at.column.saturating_sub(1));
        let end = byte_of(line, problem.at.column.saturating_sub(1).saturating_add(problem.at.width.max(1)));
        let snippet = Snippet::source(line)
            .line_start(problem.at.line as usize)
            .path(source.map(|source| source.name.as_str()))
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut group = Level::ERROR.primary_title(problem.message.as_str()).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        Renderer::plain().render(&[group])
    }
}

fn byte_of(line: &str, chars: u32) -> usize {
    line.char_indices().nth(chars as usize).map_or(line.len(), |(byte, _)| byte)
}

/// Collects problems while a document is read. A problem that is found twice is kept once.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: std::collections::BTreeSet<Problem>,
    unlisted: usize,
}

impl Problems {
    pub(crate) fn add(&mut self, at: At, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem { at, message: message.into(), hint };
        if self.found.len() < LISTED_MAX {
            self.found.insert(problem);
        } else if !self.found.contains(&problem) {
            self.unlisted += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Is the list full, so that looking for more is of no use?
    pub(crate) fn is_full(&self) -> bool {
        self.unlisted > 0
    }

    pub(crate) fn into_error(self, sources: &[Source]) -> DocumentError {
        DocumentError {
            sources: sources.to_vec(),
            problems: self.found.into_iter().collect(),
            unlisted: self.unlisted,
        }
    }
}

/// The known name nearest to what was written, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .min()
        // A third of the letters may be wrong; beyond that it is another word.
        .filter(|(distance, name)| *distance <= name.len().max(written.len()).div_ceil(3))
        .map(|(_, name)| name)
}

/// The hint for an unknown name: the nearest known one, else all of them.
pub(crate) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(name) = nearest(written, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    let all: Vec<_> = known.into_iter().take(40).collect();
    if all.is_empty() { "there are none".into() } else { format!("expected one of: {}", all.join(", ")) }
}
