//! Plans over time: the document is read, compiled and put in force; watched; and the last good ones are kept.
//!
//! All or nothing: whatever is wrong, in the text, in a file it refers to, or in what a target needs, the plan in force
//! stays. Read [`Plans`]. What else has to be ready for a plan is prepared by a hook, [`Prepare`], which can refuse it.

mod history;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use policies::describe::diff;
use policies::document::{Document, Secret, Source};
use policies::plan::{Materials, Plan, wanted};
use policies::state::{Living, stable_hash};

use crate::sources;

use history::Left;
pub use history::{Generation, KEPT};
pub use watcher::Watcher;

/// Makes whatever else a plan needs ready, or says why it cannot be. What it returns puts that in force, in the moment the
/// plan is.
pub type Prepare = Box<dyn Fn(&Arc<Plan>) -> Result<Box<dyn FnOnce() + Send>, Vec<String>> + Send + Sync>;

/// The plan in force, and how it came to be.
pub struct Plans {
    path: PathBuf,
    state: Option<PathBuf>,
    living: Arc<Living>,
    prepare: Prepare,
    current: ArcSwap<Plan>,
    /// Held while a plan is made: one at a time.
    story: Mutex<Story>,
}

/// What is behind the plan in force.
struct Story {
    document: Document,
    /// What was read for the last try, good or bad.
    seen: Seen,
    /// What the last document that could be read refers to.
    wanted: Vec<Secret>,
    history: Vec<Generation>,
    last_failure: Option<Failure>,
    failures: u64,
    /// Rolled back: what stands in the files waits until it changes.
    pinned: bool,
}

/// Prints of what was read: enough to see that something changed.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Seen {
    /// The document's text.
    text: u64,
    /// The text, and whatever it refers to.
    all: u64,
}

/// A document that was refused.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Failure {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Everything that was wrong with it.
    pub problems: String,
}

/// How things stand, for the admin page and metrics.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// The generation in force.
    pub generation: u64,
    /// The last ones, the newest first.
    pub generations: Vec<history::Told>,
    /// The last document was refused: why. Nothing if it is in force.
    pub last_failure: Option<Failure>,
    /// How many were refused so far.
    pub failures: u64,
    /// Rolled back: the files wait until they change.
    pub pinned: bool,
}

/// A document that cannot be put in force. It says everything that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Sources that are not the document of any plan yet.
struct Read {
    sources: Result<Vec<Source>, String>,
    materials: Vec<(Secret, Vec<u8>)>,
    document: Result<Document, String>,
}

impl Plans {
    /// Reads the document for the first time. If it is no good, the newest of an earlier run that is still good
    /// is taken, if there is one.
    pub fn load(
        path: &Path,
        state: Option<&Path>,
        living: Arc<Living>,
        prepare: Prepare,
    ) -> Result<Self, LoadError> {
        let Left { kept, next } = state.map(history::read).unwrap_or_default();
        let read = of(sources::read(path).map_err(|error| error.to_string()));
        let prepared = |read: &Read, number: u64| {
            let (document, plan) = make(read, &living, number)?;
            let apply = prepare(&plan).map_err(|problems| problems.join("\n"))?;
            Ok::<_, String>((document, plan, apply))
        };
        // A restart is no change: what was in force before goes on under its number.
        let unchanged = kept.last().filter(|last| read.says(&last.sources)).map(|last| last.number);
        let (made, entry, failure) = match prepared(&read, unchanged.unwrap_or(next)) {
            Ok(made) => {
                let new = || Generation::new(next, "read at the start".into(), read.text());
                (made, unchanged.is_none().then(new), None)
            }
            Err(problems) => {
                log::error!(target: "banyan", "the document is refused:\n{problems}");
                let again = kept.iter().rev().find_map(|earlier| {
                    let no_good = |problems: &String| {
                        log::error!(target: "banyan", "generation {} is no good any more:\n{problems}", earlier.number);
                    };
                    let made = prepared(&of(Ok(earlier.sources.clone())), next).inspect_err(no_good).ok()?;
                    Some((made, earlier))
                });
                let Some((made, earlier)) = again else { return Err(LoadError(problems)) };
                let words = format!("generation {} again: the document is refused", earlier.number);
                log::error!(target: "banyan", "{words}");
                (made, Some(Generation::again(next, words, earlier)), Some(Failure::now(problems)))
            }
        };
        let (document, plan, apply) = made;
        let mut history = kept;
        history.extend(entry);
        let wanted = read.wanted();
        let seen = Seen::of(&read.sources, &wanted);
        let failures = u64::from(failure.is_some());
        let story = Story { document, seen, wanted, history, last_failure: failure, failures, pinned: false };
        let plans = Self {
            path: path.into(),
            state: state.map(Path::to_path_buf),
            living,
            prepare,
            current: ArcSwap::new(plan),
            story: Mutex::new(story),
        };
        apply();
        plans.keep(&mut plans.story());
        Ok(plans)
    }

    /// The plan in force.
    pub fn current(&self) -> Arc<Plan> {
        self.current.load_full()
    }

    /// The state that outlives plans.
    pub fn living(&self) -> &Arc<Living> {
        &self.living
    }

    /// The document in force.
    pub fn document(&self) -> Document {
        self.story().document.clone()
    }

    /// What the document in force refers to.
    pub fn materials(&self) -> Materials {
        materials(&fetched(&self.story().document))
    }

    /// How things stand.
    pub fn status(&self) -> Status {
        let story = self.story();
        Status {
            generation: self.current.load().generation,
            generations: story.history.iter().rev().map(Generation::told).collect(),
            last_failure: story.last_failure.clone(),
            failures: story.failures,
            pinned: story.pinned,
        }
    }

    /// Looks at the files, and puts what they say in force if they changed and are good.
    pub fn refresh(&self) {
        let mut story = self.story();
        // Looked at each second: nothing is parsed unless a byte has changed.
        let raw = sources::read(&self.path).map_err(|error| error.to_string());
        let seen = Seen::of(&raw, &story.wanted);
        // Rolled back, the text alone counts: a new key for the document that was left must not bring it back.
        let unchanged = if story.pinned { seen.text == story.seen.text } else { seen == story.seen };
        if unchanged {
            return;
        }
        let read = of(raw);
        story.wanted = read.wanted();
        story.seen = Seen::of(&read.sources, &story.wanted);
        let number = self.current.load().generation + 1;
        match self.put(&mut story, &read, number, |words| words) {
            Ok(()) => {}
            Err(problems) => {
                log::error!(target: "banyan", "the document is refused, generation {} stays:\n{problems}", number - 1);
                story.failures += 1;
                story.last_failure = Some(Failure::now(problems));
            }
        }
    }

    /// Puts an earlier generation in force again; the one before, if none is named. The files stay as they are, and wait
    /// until they change.
    pub fn rollback(&self, to: Option<u64>) -> Result<u64, LoadError> {
        let mut story = self.story();
        let now = self.current.load().generation;
        // The one before what is in force, which after a rollback is the one that was rolled back to.
        let whose = story.history.last().map_or(now, |last| last.of);
        let wanted = |one: &&Generation| to.map_or(one.of < whose, |to| one.number == to);
        let Some(found) = story.history.iter().rev().find(wanted).cloned() else {
            return Err(LoadError(match to {
                Some(to) => format!("there is no generation {to} among the last {KEPT}"),
                None => "there is no earlier generation".into(),
            }));
        };
        let read = of(Ok(found.sources.clone()));
        let number = now + 1;
        self.put(&mut story, &read, number, |_| format!("rolled back to generation {}", found.number))
            .map_err(LoadError)?;
        if let Some(last) = story.history.last_mut() {
            last.of = found.of;
        }
        self.keep(&mut story);
        story.pinned = true;
        Ok(number)
    }

    fn put(
        &self,
        story: &mut Story,
        read: &Read,
        number: u64,
        words: impl FnOnce(String) -> String,
    ) -> Result<(), String> {
        let (document, plan) = make(read, &self.living, number)?;
        let apply = (self.prepare)(&plan).map_err(|problems| problems.join("\n"))?;
        let changes = diff(&story.document, &document);
        let words = words(if changes.is_empty() {
            "nothing but a key or a comment changed".into()
        } else {
            changes.join("; ")
        });
        apply();
        self.current.store(plan);
        log::info!(target: "banyan", "generation {number} is in force: {words}");
        story.history.push(Generation::new(number, words, read.text()));
        story.document = document;
        story.last_failure = None;
        story.pinned = false;
        self.keep(story);
        Ok(())
    }

    /// Keeps the last good ones, here and on disk.
    fn keep(&self, story: &mut Story) {
        let surplus = story.history.len().saturating_sub(KEPT);
        story.history.drain(..surplus);
        let (Some(folder), Some(last)) = (&self.state, story.history.last()) else { return };
        if let Err(error) = history::write(folder, last) {
            log::error!(target: "banyan", "generation {} cannot be kept in {}: {error}", last.number, folder.display());
        }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn now(problems: String) -> Self {
        Self { at: crate::clock::unix().as_secs(), problems }
    }
}

fn of(sources: Result<Vec<Source>, String>) -> Read {
    let document = match &sources {
        Ok(sources) => Document::load(sources).map_err(|error| error.to_string()),
        Err(problem) => Err(problem.clone()),
    };
    let materials = document.as_ref().map(fetched).unwrap_or_default();
    Read { sources, materials, document }
}

impl Read {
    /// Every file and variable whose change changes the plan: identities' keys, and what TLS towards targets needs.
    fn wanted(&self) -> Vec<Secret> {
        let Ok(document) = &self.document else { return Vec::new() };
        let mut all = wanted(document);
        for tls in document.targets.0.values().filter_map(|target| target.tls.as_ref()) {
            all.extend(
                [&tls.ca, &tls.certificate, &tls.key].into_iter().flatten().cloned().map(Secret::File),
            );
        }
        all
    }

    /// Is this the text that was read?
    fn says(&self, text: &[Source]) -> bool {
        let plain = |source: &Source| (source.name.clone(), source.text.clone());
        self.sources.as_ref().is_ok_and(|own| own.iter().map(plain).eq(text.iter().map(plain)))
    }

    fn text(&self) -> Vec<Source> {
        self.sources.clone().unwrap_or_default()
    }
}

impl Seen {
    fn of(sources: &Result<Vec<Source>, String>, wanted: &[Secret]) -> Self {
        let text = sources
            .as_ref()
            .map(|sources| sources.iter().map(|source| (&source.name, &source.text)).collect::<Vec<_>>());
        // Looked at each second, and of thousands of routes it is megabytes: read once for both prints.
        let text = stable_hash(&text);
        let contents: Vec<_> = wanted.iter().map(fetch).collect();
        Self { text, all: stable_hash(&(text, contents)) }
    }
}

/// Everything a document refers to, as far as it can be read.
pub fn fetched(document: &Document) -> Vec<(Secret, Vec<u8>)> {
    wanted(document).into_iter().filter_map(|secret| Some((secret.clone(), fetch(&secret)?))).collect()
}

/// The same, as a plan is compiled with it.
pub fn materials(found: &[(Secret, Vec<u8>)]) -> Materials {
    let mut materials = Materials::default();
    for (secret, content) in found {
        materials.add(secret.clone(), content.clone());
    }
    materials
}

fn fetch(secret: &Secret) -> Option<Vec<u8>> {
    match secret {
        Secret::Env(name) => std::env::var(name).ok().map(String::into_bytes),
        Secret::File(path) => std::fs::read(path).ok(),
    }
}

fn make(read: &Read, living: &Arc<Living>, number: u64) -> Result<(Document, Arc<Plan>), String> {
    let document = read.document.clone()?;
    let plan = Plan::compile(&document, &materials(&read.materials), living, number)
        .map_err(|error| error.to_string())?;
    Ok((document, Arc::new(plan)))
}
