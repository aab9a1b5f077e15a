//! What a process writes goes into a file, as far as the file may grow; the end of it is kept for when it crashes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A log that is longer begins anew; the one before is kept as `NAME.log.1`.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// So much of the end is kept in memory.
const TAIL_BYTES: usize = 8 * 1024;
/// So many lines are told of a crash.
const LAST_LINES: usize = 15;

/// The log of one process.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    written: usize,
    tail: Vec<u8>,
}

impl Log {
    /// Opens it; what was there stays, so that a restarted process goes on in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let written = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let inner = Inner { file, written, tail: Vec::with_capacity(2 * TAIL_BYTES) };
        Ok(Self { path: path.to_owned(), inner: Arc::new(Mutex::new(inner)) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines.
    pub fn last(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&inner.tail);
        let mut lines: Vec<_> = text.lines().rev().take(LAST_LINES).map(str::to_owned).collect();
        lines.reverse();
        lines
    }

    /// Takes all that comes, until nothing more can come.
    pub async fn drink(self, mut from: impl AsyncRead + Unpin) {
        let mut part = vec![0; TAIL_BYTES];
        loop {
            match from.read(&mut part).await {
                Ok(0) | Err(_) => return,
                // A disk that is full ends the log and not the process.
                Ok(many) => drop(self.write(part.get(..many).unwrap_or_default())),
            }
        }
    }

    fn write(&self, part: &[u8]) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.tail.extend_from_slice(part);
        let too_much = inner.tail.len().saturating_sub(TAIL_BYTES);
        inner.tail.drain(..too_much);
        if inner.written.saturating_add(part.len()) > FILE_BYTES_MAX {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
            inner.file = File::create(&self.path)?;
            inner.written = 0;
        }
        inner.written += part.len();
        inner.file.write_all(part)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[tokio::test]
    async fn a_log_keeps_its_end_and_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("chatty.log")).unwrap();
        let mut text = Vec::new();
        for number in 0..3_000_000 {
            text.extend_from_slice(format!("line {number}\n").as_bytes());
        }
        assert!(text.len() > 2 * FILE_BYTES_MAX);
        log.clone().drink(text.as_slice()).await;
        let last = log.last();
        assert_eq!((last.len(), last.last().unwrap().as_str()), (LAST_LINES, "line 2999999"));
        let sizes =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        let sizes: Vec<_> = sizes.collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= FILE_BYTES_MAX as u64), "{sizes:?}");
    }
}
