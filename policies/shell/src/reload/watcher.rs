//! Notices that files changed: told by the kernel within milliseconds, and looking for itself each second, since some file
//! systems tell nothing. What is done then is done on the watcher's own thread.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// A program that writes a file writes it in several steps: so long is waited for the last one.
const SETTLE: Duration = Duration::from_millis(30);
/// But no longer than this in all: a log that is written beside the document must not keep it from being read.
const SETTLE_MAX: Duration = Duration::from_millis(150);
/// Looked at this often, told or not.
const POLL: Duration = Duration::from_secs(1);

/// A thread that looks; it ends with this.
pub struct Watcher {
    stop: Option<Sender<Told>>,
    thread: Option<JoinHandle<()>>,
}

enum Told {
    Changed,
    Stop,
}

impl Watcher {
    /// Calls `look` whenever something in the directories of these paths changes, and each second.
    pub fn start(paths: &[PathBuf], look: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (tell, told) = mpsc::channel();
        let stop = tell.clone();
        let kernel = ears(paths, tell);
        let thread = std::thread::Builder::new().name("banyan-watch".into()).spawn(move || {
            // It hears as long as it lives.
            let _kernel = kernel;
            loop {
                match told.recv_timeout(POLL) {
                    Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(Told::Changed) => {
                        let heard = Instant::now();
                        while heard.elapsed() < SETTLE_MAX {
                            match told.recv_timeout(SETTLE) {
                                Ok(Told::Changed) => {}
                                Ok(Told::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                                Err(RecvTimeoutError::Timeout) => break,
                            }
                        }
                    }
                }
                look();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

/// The directory is watched, not the file: editors and ConfigMaps put another file in its place.
fn ears(paths: &[PathBuf], tell: Sender<Told>) -> Option<RecommendedWatcher> {
    let named = paths.to_vec();
    let heard = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_news(&event, &named)) {
            let _ = tell.send(Told::Changed);
        }
    };
    let mut watcher = notify::recommended_watcher(heard)
        .inspect_err(|error| log::warn!(target: "banyan", "files are looked at each second only: {error}"))
        .ok()?;
    for path in paths {
        let folder = if path.is_dir() { Some(path.as_path()) } else { path.parent() };
        let folder =
            folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        let mode = if path.is_dir() { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        if let Err(error) = watcher.watch(folder, mode) {
            log::warn!(target: "banyan", "{} is looked at each second only: {error}", folder.display());
        }
    }
    Some(watcher)
}

/// A log that is written in the same directory is no news; a file that comes, goes or takes another's place may be.
fn is_news(event: &notify::Event, named: &[PathBuf]) -> bool {
    let is_ours = |path: &PathBuf| {
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        named.contains(path) || matches!(ending, "crt" | "key" | "pem" | "yaml" | "yml")
    };
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_)) => event.paths.iter().any(is_ours),
        _ => true,
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(Told::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use notify::Event;
    use notify::event::{AccessKind, CreateKind, DataChange, RenameMode};

    use super::*;

    #[test]
    fn a_log_beside_the_document_is_no_news() {
        let named = [PathBuf::from("/etc/banyan/policies")];
        let check = |kind: EventKind, path: &str, expected| {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(is_news(&event, &named), expected, "{event:?}");
        };
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(written, "/etc/banyan/access.log", false);
        check(written, "/etc/banyan/log", false);
        check(written, "/etc/banyan/policies", true);
        check(written, "/etc/banyan/shop.yaml", true);
        check(written, "/etc/banyan/shop.key", true);
        check(EventKind::Access(AccessKind::Any), "/etc/banyan/shop.yaml", false);
        check(EventKind::Modify(ModifyKind::Name(RenameMode::To)), "/etc/banyan/..data", true);
        check(EventKind::Create(CreateKind::File), "/etc/banyan/log", true);
    }
}
