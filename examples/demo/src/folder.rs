//! The folder of one run: certificates, policies, databases, logs. `target/demo/latest` leads to the newest.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The folder of this run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, in a folder for all runs. What runs that were killed have left there goes.
    pub fn make(all: &Path) -> io::Result<Self> {
        fs::create_dir_all(all)?;
        for entry in fs::read_dir(all)?.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("run-")?.parse::<u32>().ok());
            if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        let path = all.join(format!("run-{}", std::process::id()));
        for part in ["certs", "data", "logs", "policies/sidecars"] {
            fs::create_dir_all(path.join(part))?;
        }
        let latest = all.join("latest");
        match fs::remove_file(&latest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => symlink(&path, latest)?,
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file of a service.
    pub fn database(&self, service: &str) -> PathBuf {
        self.path.join("data").join(format!("{service}.db"))
    }

    /// Takes it away.
    pub fn remove(self) -> io::Result<()> {
        if let Some(all) = self.path.parent() {
            let latest = all.join("latest");
            if fs::read_link(&latest).is_ok_and(|to| to == self.path) {
                fs::remove_file(latest)?;
            }
        }
        fs::remove_dir_all(&self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[test]
    fn what_killed_runs_have_left_goes_and_what_lives_stays() {
        let all = tempfile::tempdir().unwrap();
        // No process has number zero; one always does.
        for name in ["run-0", "run-1", "mine"] {
            fs::create_dir_all(all.path().join(name).join("logs")).unwrap();
        }
        let folder = Folder::make(all.path()).unwrap();
        let there = |name: &str| all.path().join(name).exists();
        assert!(!there("run-0") && there("run-1") && there("mine") && there("latest/certs"));
        folder.remove().unwrap();
        assert!(!there("latest") && !there(&format!("run-{}", std::process::id())));
    }
}
