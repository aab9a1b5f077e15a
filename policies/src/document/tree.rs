//! YAML as a tree that knows where each of its nodes stands, bounded in size, depth and aliases.
//!
//! The parser is a crate's; what is added here is the place of every node, the limits, and the joining of the
//! files of a directory into one document.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{At, Problems, Source};

/// A file may be this long; 100,000 routes fit.
pub(crate) const FILE_BYTES_MAX: usize = 8 << 20;
/// All files together.
pub(crate) const ALL_BYTES_MAX: usize = 32 << 20;
/// A directory may hold so many documents.
pub(crate) const FILES_MAX: usize = 1000;
/// Our own documents are about eight levels deep.
const DEPTH_MAX: usize = 32;
/// Nodes of all files, aliases written out: what bounds memory (about 100 bytes each).
const NODES_MAX: u32 = 4_000_000;
/// Nodes that come from following aliases. A handful is honest; a bomb needs millions.
const ALIASED_MAX: usize = 10_000;

/// What trips everybody once: `{id}` in a path is a block to YAML where the line is in brackets or braces already.
const BRACES: &str = "inside `[ ]` and `{ }` a path with a parameter needs quotes: \"/orders/{id}\"";

/// One node of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Which node this is: unique in a document, also among the copies that aliases make.
    pub(crate) id: u32,
    pub(crate) at: At,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    List(Vec<Node>),
    Map(Vec<Entry>),
    Scalar { text: String, style: Style },
}

/// Was the text quoted? A quoted `"5"` is always text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) node: Node,
}

impl Node {
    /// The entry of this name, if this is a map that has one.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Value::List(_) | Value::Scalar { .. } => None,
        }
    }

    /// Is this YAML's null: nothing, `~` or `null`, unquoted?
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, style: Style::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// What a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a block of keys",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } => "a plain value",
        }
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.count()).sum(),
            Value::Scalar { .. } => 0,
        }
    }
}

/// Reads all sources into one tree: the maps of their roots are joined, and so are the lists and maps right under
/// them (`routes`, `targets` ...). A source that cannot be read is a problem and is left out; the others are read all the same.
pub(crate) fn grow(sources: &[Source], problems: &mut Problems) -> Node {
    let mut next_id = 1;
    let mut root =
        Node { id: 0, at: At { line: 1, column: 1, ..At::default() }, value: Value::Map(Vec::new()) };
    if sources.len() > FILES_MAX
        || sources.iter().map(|source| source.text.len()).sum::<usize>() > ALL_BYTES_MAX
    {
        let limit = format!("more than {FILES_MAX} files or {} MiB of documents", ALL_BYTES_MAX >> 20);
        problems.add(root.at, limit, Some("move what belongs together into one gateway's directory".into()));
        return root;
    }
    for (file, source) in (0..).zip(sources) {
        let mut builder = Builder::new(file, next_id, problems);
        if let Some(tree) = builder.build(&source.text) {
            next_id = builder.next_id;
            join(&mut root, tree, problems);
        }
    }
    root
}

/// Adds the top-level keys of one file to the whole.
fn join(root: &mut Node, tree: Node, problems: &mut Problems) {
    let at = tree.at;
    let (Value::Map(whole), Value::Map(part)) = (&mut root.value, tree.value) else {
        problems.add(at, "a document is a block of keys: version, targets, routes ...", None);
        return;
    };
    if whole.is_empty() {
        root.at = at;
    }
    for entry in part {
        let Some(known) = whole.iter_mut().find(|known| known.key == entry.key) else {
            whole.push(entry);
            continue;
        };
        match (&mut known.node.value, entry.node.value) {
            (Value::List(all), Value::List(more)) => all.extend(more),
            (Value::Map(all), Value::Map(more)) => join_maps(all, more, problems),
            (Value::Scalar { text, .. }, Value::Scalar { text: other, .. }) if *text == other => {}
            _ => problems.add(
                entry.key_at,
                format!("`{}` says something else in another file", entry.key),
                None,
            ),
        }
    }
}

fn join_maps(all: &mut Vec<Entry>, more: Vec<Entry>, problems: &mut Problems) {
    let known: HashSet<String> = all.iter().map(|entry| entry.key.clone()).collect();
    for entry in more {
        if known.contains(&entry.key) {
            problems.add(entry.key_at, format!("`{}` is already defined in another file", entry.key), None);
        } else {
            all.push(entry);
        }
    }
}

/// Turns the parser's events into nodes. Not recursive: depth is a limit, not a stack overflow.
struct Builder<'p> {
    file: u16,
    next_id: u32,
    aliased: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    problems: &'p mut Problems,
}

/// A list or map whose end has not come yet.
struct Open {
    anchor: usize,
    at: At,
    part: Part,
}

enum Part {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: HashSet<String>, key: Option<(String, At)> },
}

impl<'p> Builder<'p> {
    fn new(file: u16, next_id: u32, problems: &'p mut Problems) -> Self {
        Self { file, next_id, aliased: 0, open: Vec::new(), anchors: HashMap::new(), problems }
    }

    fn build(&mut self, text: &str) -> Option<Node> {
        let start = At { file: self.file, line: 1, column: 1, width: 1 };
        if text.len() > FILE_BYTES_MAX {
            self.problems.add(start, format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20), None);
            return None;
        }
        let mut root = None;
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let marker = error.marker();
                    let at = self.at(&Span::new(*marker, *marker));
                    let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
                    let hint = line.contains("/{").then(|| BRACES.to_owned());
                    self.problems.add(at, format!("this is not YAML: {}", error.info()), hint);
                    return None;
                }
            };
            match self.take(event, &span) {
                Ok(None) => {}
                Ok(Some(_)) if root.is_some() => {
                    let message = "a file holds one document; `---` starts a second one";
                    self.problems.add(self.at(&span), message, Some("put it into a file of its own".into()));
                    return None;
                }
                Ok(Some(node)) => root = Some(node),
                Err(message) => {
                    self.problems.add(self.at(&span), message, None);
                    return None;
                }
            }
        }
        let root = root.filter(|node| !node.is_null());
        if root.is_none() {
            self.problems.add(start, "the file is empty", None);
        }
        root
    }

    /// Takes one event; gives the node that is complete at the outermost level.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<Option<Node>, String> {
        let at = self.at(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match (style, tag) {
                    (ScalarStyle::Plain, None) => Style::Plain,
                    _ => Style::Quoted,
                };
                let node = self.node(at, Value::Scalar { text: text.into_owned(), style })?;
                self.place(node, anchor)
            }
            Event::Alias(anchor) => self.follow(anchor, at),
            Event::SequenceStart(anchor, _) => self.begin(anchor, at, Part::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let part = Part::Map { entries: Vec::new(), keys: HashSet::new(), key: None };
                self.begin(anchor, at, part)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(None),
        }
    }

    fn node(&mut self, at: At, value: Value) -> Result<Node, String> {
        let id = self.next_id;
        self.next_id += 1;
        if id > NODES_MAX {
            return Err(format!("the documents have more than {NODES_MAX} nodes"));
        }
        Ok(Node { id, at, value })
    }

    fn begin(&mut self, anchor: usize, at: At, part: Part) -> Result<Option<Node>, String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} levels deep"));
        }
        if let Some(Open { part: Part::Map { key: None, .. }, .. }) = self.open.last() {
            return Err("a key is a name, not a list or a block".into());
        }
        self.open.push(Open { anchor, at, part });
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Node>, String> {
        let Some(open) = self.open.pop() else { return Ok(None) };
        let value = match open.part {
            Part::List(items) => Value::List(items),
            Part::Map { entries, .. } => Value::Map(entries),
        };
        let node = self.node(open.at, value)?;
        self.place(node, open.anchor)
    }

    /// Writes out an alias: a copy with ids of its own, so that a problem in one use is a problem of that use.
    fn follow(&mut self, anchor: usize, at: At) -> Result<Option<Node>, String> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err("this alias stands inside its own anchor, or has none".into());
        };
        self.aliased += node.count();
        if self.aliased > ALIASED_MAX {
            return Err(format!("aliases expand to more than {ALIASED_MAX} nodes"));
        }
        let mut node = node.clone();
        self.number_anew(&mut node);
        node.at = At { file: self.file, ..at };
        self.place(node, 0)
    }

    fn number_anew(&mut self, node: &mut Node) {
        node.id = self.next_id;
        self.next_id += 1;
        match &mut node.value {
            Value::List(items) => items.iter_mut().for_each(|item| self.number_anew(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.number_anew(&mut entry.node)),
            Value::Scalar { .. } => {}
        }
    }

    /// Puts a complete node where it belongs: into the open list or map, or out as the root.
    fn place(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, String> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut open.part {
            Part::List(items) => items.push(node),
            Part::Map { entries, keys, key } => match key.take() {
                Some((key, key_at)) => {
                    if keys.insert(key.clone()) {
                        entries.push(Entry { key, key_at, node });
                    } else {
                        let first = entries.iter().find(|entry| entry.key == key);
                        let line = first.map_or(0, |entry| entry.key_at.line);
                        self.problems.add(
                            key_at,
                            format!("`{key}` stands twice; first on line {line}"),
                            None,
                        );
                    }
                }
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return Err("a key is a name, not a list or a block".into());
                    };
                    *key = Some((text, node.at));
                }
            },
        }
        Ok(None)
    }

    fn at(&self, span: &Span) -> At {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
        At {
            file: self.file,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            width: number(width.max(1)),
        }
    }
}
