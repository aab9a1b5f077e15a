//! The access log: a line of JSON for each request. A worker writes its lines onto a page of its own; a thread takes the
//! pages away and writes them out, some thirty times a second, or sooner when one is full. A reader that takes nothing, a
//! full disk, a closed pipe: the line is dropped and counted, and no request ever waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use policies::observe::Record;

use super::TelemetryError;

/// How long the first line of a page waits for others: waking a thread for each of them would cost a request more than all
/// policies together.
const GATHER_FOR: Duration = Duration::from_millis(30);
/// A page this long is taken away at once.
const PAGE_FULL: usize = 64 * 1024;
/// What is longer takes no more lines: some two thousand of them, as long as nobody takes it away.
const PAGE_MAX: usize = 512 * 1024;

/// Where requests are told.
pub struct AccessLog {
    desk: Arc<Desk>,
    writer: Option<Thread>,
}

/// What workers and the writer share.
#[derive(Default)]
struct Desk {
    pages: Box<[Page]>,
    /// Some page has a line, and the writer knows.
    begun: AtomicBool,
    /// Some page is full.
    full: AtomicBool,
    /// Somebody waits until everything is written.
    flush: AtomicBool,
    flushed: (Mutex<bool>, Condvar),
    closed: AtomicBool,
    reopen: AtomicBool,
    dropped: AtomicU64,
}

/// The lines of one worker. Nobody else asks for its lock but the writer, when it takes them away.
#[derive(Default)]
#[repr(align(128))]
struct Page(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    count: u64,
}

impl Page {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessLog {
    /// Opens it, with a page for each worker.
    pub fn start(to: &LogTo, workers: usize) -> Result<Self, TelemetryError> {
        let out: Box<dyn Output> = match to {
            LogTo::Off => return Ok(Self { desk: Arc::default(), writer: None }),
            LogTo::Stdout => Box::new(io::stdout()),
            LogTo::File(path) => {
                let told = |error| TelemetryError::AccessLog(path.display().to_string(), error);
                Box::new(Kept { path: path.clone(), file: open(path).map_err(told)? })
            }
        };
        let pages = (0..workers.max(1)).map(|_| Page::default()).collect();
        let desk = Arc::new(Desk { pages, ..Desk::default() });
        let writer = Writer { out, desk: desk.clone(), torn: false };
        let spawned =
            std::thread::Builder::new().name("banyan-access-log".into()).spawn(move || writer.run());
        let writer = spawned.map_err(|error| TelemetryError::AccessLog("a thread".into(), error))?;
        Ok(Self { desk, writer: Some(writer.thread().clone()) })
    }

    /// Tells of a request on a worker's page, if there is room.
    pub fn tell(&self, worker: usize, record: &Record<'_>) {
        let Some(writer) = &self.writer else { return };
        let Some(page) = self.desk.pages.get(worker) else { return self.desk.lose(1) };
        let (first, full) = {
            let mut lines = page.lock();
            if lines.text.len() >= PAGE_MAX {
                return self.desk.lose(1);
            }
            record.write(&mut lines.text);
            lines.text.push(b'\n');
            lines.count += 1;
            (lines.count == 1, lines.text.len() >= PAGE_FULL)
        };
        let begins = first && !self.desk.begun.swap(true, Ordering::SeqCst);
        let fills = full && !self.desk.full.swap(true, Ordering::SeqCst);
        if begins || fills {
            writer.unpark();
        }
    }

    /// Lines that were dropped.
    pub fn dropped(&self) -> u64 {
        self.desk.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file again before the next line.
    pub fn reopen(&self) {
        self.desk.reopen.store(true, Ordering::Relaxed);
    }

    /// Waits until what was told has been written, but no longer than this.
    pub fn close(&self, limit: Duration) {
        let Some(writer) = &self.writer else { return };
        let (flushed, bell) = &self.desk.flushed;
        let mut done = flushed.lock().unwrap_or_else(PoisonError::into_inner);
        *done = false;
        self.desk.flush.store(true, Ordering::SeqCst);
        writer.unpark();
        let _ = bell.wait_timeout_while(done, limit, |done| !*done);
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.desk.closed.store(true, Ordering::SeqCst);
        if let Some(writer) = &self.writer {
            writer.unpark();
        }
    }
}

impl Desk {
    fn lose(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn is_urgent(&self) -> bool {
        [&self.full, &self.flush, &self.closed].iter().any(|flag| flag.load(Ordering::SeqCst))
    }

    /// Waits until there is something to write, and a moment longer for what follows it.
    fn gather(&self) {
        while !self.begun.load(Ordering::SeqCst) && !self.is_urgent() {
            std::thread::park();
        }
        let until = Instant::now() + GATHER_FOR;
        while !self.is_urgent() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::park_timeout(left);
        }
    }
}

/// Something lines go to.
trait Output: Write + Send {
    /// Begins anew, if it can.
    fn renew(&mut self) {}
}

impl Output for io::Stdout {}

/// A file that may be moved away under us.
struct Kept {
    path: std::path::PathBuf,
    file: File,
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Output for Kept {
    fn renew(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = file,
            Err(error) => log::error!(target: "banyan", "{}: {error}", self.path.display()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

struct Writer {
    out: Box<dyn Output>,
    desk: Arc<Desk>,
    /// The last write broke off: what comes next begins on a line of its own.
    torn: bool,
}

impl Writer {
    fn run(mut self) {
        let (desk, mut taken) = (self.desk.clone(), Vec::new());
        loop {
            desk.gather();
            let closed = desk.closed.load(Ordering::SeqCst);
            let flush = desk.flush.swap(false, Ordering::SeqCst);
            // Before the pages are taken: who writes a first line after that rings again.
            desk.begun.store(false, Ordering::SeqCst);
            desk.full.store(false, Ordering::SeqCst);
            for page in &desk.pages {
                let count = {
                    let mut lines = page.lock();
                    std::mem::swap(&mut lines.text, &mut taken);
                    std::mem::take(&mut lines.count)
                };
                if count > 0 {
                    self.write(&taken, count);
                }
                taken.clear();
                taken.shrink_to(2 * PAGE_FULL);
            }
            if flush {
                let (flushed, bell) = &desk.flushed;
                *flushed.lock().unwrap_or_else(PoisonError::into_inner) = true;
                bell.notify_all();
            }
            if closed {
                return;
            }
        }
    }

    /// A write that fails loses its lines; the next one is tried again.
    fn write(&mut self, lines: &[u8], count: u64) {
        if self.desk.reopen.swap(false, Ordering::Relaxed) {
            self.out.renew();
        }
        let begun = if self.torn { self.out.write_all(b"\n") } else { Ok(()) };
        let written = begun.and_then(|()| self.out.write_all(lines)).and_then(|()| self.out.flush());
        self.torn = written.is_err();
        if self.torn {
            self.desk.lose(count);
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogTo {
    /// Into this file, opened again on SIGHUP.
    File(PathBuf),
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
}

impl std::str::FromStr for LogTo {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "off" => Self::Off,
            "stdout" => Self::Stdout,
            file => Self::File(file.into()),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
mod tests {
    use super::*;
    use crate::telemetry::an_answered_request;

    /// As many as a page takes, and many times more than wake the writer.
    const EACH: u64 = 3000;

    fn record(host: &str, number: u64) -> Record<'_> {
        Record { host, bytes_in: number, ..an_answered_request() }
    }

    fn log_to(path: &Path, workers: usize) -> AccessLog {
        AccessLog::start(&LogTo::File(path.into()), workers).unwrap()
    }

    #[test]
    fn every_line_is_written_once_and_in_the_order_of_its_worker_or_counted_as_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = log_to(&path, 3);
        std::thread::scope(|scope| {
            for (worker, host) in ["one", "two", "three"].into_iter().enumerate() {
                let log = &log;
                scope.spawn(move || (0..EACH).for_each(|number| log.tell(worker, &record(host, number))));
            }
        });
        log.close(Duration::from_secs(30));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut last = std::collections::HashMap::new();
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let (host, number) = (line["host"].as_str().unwrap().to_owned(), line["bytes_in"].as_u64());
            let before = last.insert(host, number);
            assert!(before.is_none_or(|before| before < number), "{before:?} before {number:?}");
        }
        assert_eq!(text.lines().count() as u64 + log.dropped(), 3 * EACH);
        assert_eq!(last.len(), 3);
    }

    #[test]
    fn a_line_that_nothing_follows_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = log_to(&path, 1);
        let until = Instant::now() + Duration::from_secs(30);
        for number in 1..4 {
            log.tell(0, &record("shop", number));
            while std::fs::read_to_string(&path).unwrap().lines().count() < usize::try_from(number).unwrap() {
                assert!(Instant::now() < until, "line {number} is not written");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_page_nobody_takes_away_is_full_at_some_time_and_what_has_no_place_is_counted() {
        // As a writer that hangs in a write leaves it: there is a thread to be woken, and it takes nothing.
        let desk = Arc::new(Desk { pages: [Page::default()].into(), ..Desk::default() });
        let log = AccessLog { desk, writer: Some(std::thread::current()) };
        let line = {
            let mut line = Vec::new();
            record("shop", 0).write(&mut line);
            line.len() + 1
        };
        let told = 2 * PAGE_MAX / line;
        (0..told).for_each(|_| log.tell(0, &record("shop", 0)));
        let kept = usize::try_from(log.desk.pages[0].lock().count).unwrap();
        assert!(log.desk.pages[0].lock().text.len() < PAGE_MAX + line);
        assert_eq!(kept + usize::try_from(log.dropped()).unwrap(), told);
        assert!(log.dropped() > 0);
    }
}
