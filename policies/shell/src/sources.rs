//! Where documents come from: a file, or all YAML files below a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policies::document::Source;

/// Deeper than anybody sorts policies; a link that leads back up ends here.
const DEPTH_MAX: usize = 8;

/// A path that cannot be read.
#[derive(Debug)]
pub struct Unreadable {
    path: PathBuf,
    error: io::Error,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

/// Reads one file, or the whole of a directory in the order of its names. Hidden entries are left out: a mounted
/// ConfigMap shows each file by its name and once more below `..data`.
pub fn read(path: &Path) -> Result<Vec<Source>, Unreadable> {
    let mut files = Vec::new();
    find(path, DEPTH_MAX, &mut files).map_err(|error| Unreadable { path: path.into(), error })?;
    let source = |path: PathBuf| match fs::read_to_string(&path) {
        Ok(text) => Ok(Source::new(path.display().to_string(), text)),
        Err(error) => Err(Unreadable { path, error }),
    };
    files.into_iter().map(source).collect()
}

fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.into());
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = entry.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let folder = fs::metadata(&entry)?.is_dir();
        if !hidden && (yaml || (folder && depth > 0)) {
            find(&entry, depth.saturating_sub(1), files)?;
        }
    }
    Ok(())
}
