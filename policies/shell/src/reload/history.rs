//! The last good documents, in memory and, if there is a place for them, on disk: a file for each, written whole or not
//! at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use policies::document::Source;
use serde::{Deserialize, Serialize};

/// So many are kept.
pub const KEPT: usize = 20;

/// A document that was in force.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Which.
    pub number: u64,
    /// Whose text it has: its own, or after a rollback that of an earlier one.
    pub of: u64,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// What changed with it.
    pub words: String,
    /// Its text.
    pub sources: Vec<Source>,
}

/// The same without its text.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// Which.
    pub generation: u64,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// What changed with it.
    pub words: String,
}

/// As it stands on disk.
#[derive(Deserialize, Serialize)]
struct Kept {
    generation: u64,
    /// Not in what was kept before there was a way back from a way back: such a one is its own.
    of: Option<u64>,
    since: u64,
    words: String,
    files: Vec<(String, String)>,
}

impl Generation {
    pub(super) fn new(number: u64, words: String, sources: Vec<Source>) -> Self {
        Self { number, of: number, since: crate::clock::unix().as_secs(), words, sources }
    }

    /// An earlier one's text, in force again under another number.
    pub(super) fn again(number: u64, words: String, earlier: &Self) -> Self {
        Self { of: earlier.of, ..Self::new(number, words, earlier.sources.clone()) }
    }

    pub(super) fn told(&self) -> Told {
        Told { generation: self.number, since: self.since, words: self.words.clone() }
    }
}

/// What an earlier run left.
pub(super) struct Left {
    /// The oldest first.
    pub kept: Vec<Generation>,
    /// A number after all that were used, also by those that cannot be read.
    pub next: u64,
}

impl Default for Left {
    fn default() -> Self {
        Self { kept: Vec::new(), next: 1 }
    }
}

/// Reads what an earlier run left. What cannot be read is left out, and said.
pub(super) fn read(folder: &Path) -> Left {
    let mut left = Left::default();
    let found = &mut left.kept;
    for path in numbered(folder).into_iter().flatten() {
        left.next = left.next.max(number_of(&path).unwrap_or_default().saturating_add(1));
        let kept = fs::read(&path).map_err(|error| error.to_string());
        match kept.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).map_err(|error| error.to_string()))
        {
            Ok(kept) => found.push(Generation {
                number: kept.generation,
                of: kept.of.unwrap_or(kept.generation),
                since: kept.since,
                words: kept.words,
                sources: kept.files.into_iter().map(|(name, text)| Source::new(name, text)).collect(),
            }),
            Err(error) => log::error!(target: "banyan", "{} is left out: {error}", path.display()),
        }
    }
    found.sort_by_key(|generation| generation.number);
    let surplus = found.len().saturating_sub(KEPT);
    found.drain(..surplus);
    left
}

/// Writes one, and removes what is older than the last [`KEPT`].
pub(super) fn write(folder: &Path, generation: &Generation) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let files =
        generation.sources.iter().map(|source| (source.name.clone(), source.text.to_string())).collect();
    let kept = Kept {
        generation: generation.number,
        of: Some(generation.of),
        since: generation.since,
        words: generation.words.clone(),
        files,
    };
    let (whole, part) = (folder.join(name(generation.number)), folder.join("next.part"));
    let mut file = fs::File::create(&part)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.sync_all()?;
    fs::rename(&part, &whole)?;
    let all = numbered(folder)?;
    let surplus = all.len().saturating_sub(KEPT);
    all.iter().take(surplus).try_for_each(fs::remove_file)
}

/// The files that are ours, by number. What else somebody put there is neither read nor removed.
fn numbered(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all: Vec<_> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| number_of(path).is_some());
    all.sort_by_key(|path| number_of(path));
    Ok(all)
}

fn number_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

fn name(number: u64) -> String {
    format!("{number:020}.json")
}
